'use strict';
// outbox.js answers: which answers has the daemon perhaps not got, and which of them go over the next link?
//
// Pure: no socket. What was written to a connection that broke may have been read or not, so it is said
// again with what could not be written at all; the daemon ignores what it knows already. Bounded in number,
// bytes and (for what was written once) age; the oldest goes first.

const MAX_ANSWERS = 1000;
const MAX_CHARS = 8 * 1024 * 1024;
const WRITTEN_MS = 10 * 60 * 1000;

class Outbox {
  constructor({ maxAnswers = MAX_ANSWERS, maxChars = MAX_CHARS, writtenMs = WRITTEN_MS, now = Date.now } = {}) {
    Object.assign(this, { maxAnswers, maxChars, writtenMs, now });
    this.answers = [];
    this.chars = 0;
    this.dropped = 0;
  }

  /** Keeps an answer; `written` tells whether it was written to the present connection. */
  keep(line, written) {
    this.answers.push({ line, writtenAt: written ? this.now() : null });
    this.chars += line.length;
    while (this.answers.length > this.maxAnswers || (this.chars > this.maxChars && this.answers.length > 1)) {
      const oldest = this.answers.shift();
      this.chars -= oldest.line.length;
      if (oldest.writtenAt === null) this.dropped += 1;
    }
  }

  /** The lines to write to a new connection, in order; they count as written from now on. */
  again() {
    const now = this.now();
    this.answers = this.answers.filter(({ writtenAt }) => writtenAt === null || now - writtenAt < this.writtenMs);
    this.chars = this.answers.reduce((sum, { line }) => sum + line.length, 0);
    for (const answer of this.answers) answer.writtenAt = answer.writtenAt === null ? now : answer.writtenAt;
    return this.answers.map(({ line }) => line);
  }
}

module.exports = { Outbox };
