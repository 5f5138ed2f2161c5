'use strict';
// turn.js answers: how far is the one request that the thread of Smalltalk has?
//
// Both threads look at one number. Code may be unwound only while the thread works on a request: Node does not
// survive it elsewhere, for example inside of a timer. Whoever changes the number first decides.

const PENDING = 1;
const RUNNING = 2;
const DONE = 3;
const ENDING = 4;
const DROPPED = 5;

class Turn {
  constructor(memory = new SharedArrayBuffer(4)) {
    this.memory = memory;
    this.state = new Int32Array(memory);
  }

  change(from, to) {
    return Atomics.compareExchange(this.state, 0, from, to) === from;
  }

  /** Main thread: a request is handed over. */
  handOver() {
    Atomics.store(this.state, 0, PENDING);
  }

  /** Main thread: the request is not wanted any more. Tells `dropped`, `ending` or `done`. */
  end() {
    if (this.change(PENDING, DROPPED)) return 'dropped';
    if (this.change(RUNNING, ENDING)) return 'ending';
    return 'done';
  }

  /** Thread of Smalltalk: tells whether the request is still wanted; if so, it may be unwound from now on. */
  begin() {
    return this.change(PENDING, RUNNING);
  }

  /** Thread of Smalltalk: it may not be unwound from now on. Where that is under way already, it is awaited. */
  finish() {
    if (this.change(RUNNING, DONE)) return;
    for (;;) Atomics.wait(this.state, 0, ENDING);
  }
}

module.exports = { Turn };
