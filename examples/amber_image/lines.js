'use strict';
// lines.js answers: which whole lines are in the bytes that came so far?
//
// Pure: no socket, no JSON. A line longer than the bound is dropped as a whole, up to its line end,
// and reported once, so that one bad line never costs the lines behind it.

const MAX_LINE_BYTES = 16 * 1024 * 1024;
const LF = 0x0a;

class LineSplitter {
  constructor(maxBytes = MAX_LINE_BYTES) {
    this.maxBytes = maxBytes;
    this.parts = [];
    this.size = 0;
    this.skipping = false;
  }

  /** Takes a Buffer; returns {lines: [string], tooLong: number of lines dropped for their size}. */
  push(chunk) {
    const lines = [];
    let tooLong = 0;
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LF, start);
      const piece = chunk.subarray(start, end < 0 ? chunk.length : end);
      if (!this.skipping && this.size + piece.length > this.maxBytes) {
        this.skipping = true;
        this.parts = [];
        this.size = 0;
        tooLong += 1;
      }
      if (!this.skipping && piece.length > 0) {
        this.parts.push(piece);
        this.size += piece.length;
      }
      if (end < 0) return { lines, tooLong };
      if (!this.skipping) lines.push(this.take());
      this.skipping = false;
      start = end + 1;
    }
  }

  take() {
    const text = Buffer.concat(this.parts, this.size).toString('utf8');
    this.parts = [];
    this.size = 0;
    return text;
  }
}

module.exports = { LineSplitter, MAX_LINE_BYTES };
