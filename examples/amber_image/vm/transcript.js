'use strict';
// transcript.js answers: where does the text go that code writes to Transcript?
//
// To the session and tool whose evaluation wrote it, also when a forked block or a timer writes it
// later. Text is gathered, since a busy loop may write a million small pieces.

const { AsyncLocalStorage } = require('node:async_hooks');

const FLUSH_LENGTH = 16384;
const FLUSH_MS = 50;
const NOWHERE = { session: null, tool: 'default' };

class Transcript {
  constructor(amber, emit) {
    this.amber = amber;
    this.emit = emit;
    this.places = new AsyncLocalStorage();
    this.text = '';
    this.place = NOWHERE;
    this.since = 0;
    this.register();
  }

  /** Makes the object Amber's class Transcript sends everything to. */
  register() {
    const target = this.amber.hiddenClass('SessionTranscript')._new();
    const ignore = () => target;
    target._show_ = (value) => {
      this.write(this.textOf(value));
      return target;
    };
    target._cr = () => target._show_('\n');
    target._open = ignore;
    target._clear = ignore;
    this.amber.globals.Transcript._register_(target);
  }

  textOf(value) {
    if (this.amber.isNil(value)) return 'nil';
    return String(this.amber.asReceiver(value)._asString());
  }

  /** Runs an action; what it writes now or later belongs to the place. */
  during(place, action) {
    return this.places.run(place, () => {
      try {
        return action();
      } finally {
        this.flush();
      }
    });
  }

  /** The session and tool whose code runs. */
  present() {
    return this.places.getStore() || NOWHERE;
  }

  write(text) {
    const place = this.present();
    if (place !== this.place) this.flush();
    if (this.text === '') {
      this.since = Date.now();
      this.timer = setTimeout(() => this.flush(), FLUSH_MS);
    }
    this.place = place;
    this.text += text.replace(/\r\n?/g, '\n');
    if (this.text.length >= FLUSH_LENGTH || Date.now() - this.since >= FLUSH_MS) this.flush();
  }

  flush() {
    if (this.text === '') return;
    clearTimeout(this.timer);
    const { text, place } = this;
    this.text = '';
    for (let start = 0; start < text.length; ) {
      const end = this.pieceEnd(text, start);
      this.emit(place, text.slice(start, end));
      start = end;
    }
  }

  /** Pieces are bounded and never end within a surrogate pair. */
  pieceEnd(text, start) {
    const end = Math.min(text.length, start + 4 * FLUSH_LENGTH);
    return end < text.length && /[\uD800-\uDBFF]/.test(text[end - 1]) ? end - 1 : end;
  }
}

module.exports = { Transcript };
