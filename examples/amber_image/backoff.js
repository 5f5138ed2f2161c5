'use strict';
// backoff.js answers: how long to wait before the next attempt to connect?
//
// Exponential with full jitter: any wait between the floor and a ceiling that doubles per attempt.

const FLOOR_MS = 50;
const FIRST_CEILING_MS = 200;
const CAP_MS = 5000;

class Backoff {
  constructor(random = Math.random) {
    this.random = random;
    this.reset();
  }

  reset() {
    this.ceiling = FIRST_CEILING_MS;
  }

  next() {
    const delay = Math.round(FLOOR_MS + this.random() * (this.ceiling - FLOOR_MS));
    this.ceiling = Math.min(CAP_MS, this.ceiling * 2);
    return delay;
  }
}

module.exports = { Backoff };
