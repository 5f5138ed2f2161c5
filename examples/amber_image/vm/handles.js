'use strict';
// handles.js answers: which objects are kept for a session, and under which names?
//
// A name has a part of its own for each start of Smalltalk and a number that only grows, so that none is ever
// given to another object.

const { randomBytes } = require('node:crypto');
const { RequestFailure } = require('./failure');

const MAX_KEPT = 1000;
const MAX_RELEASED = 1000;

class Handles {
  constructor() {
    this.start = randomBytes(4).toString('hex');
    this.last = 0;
    this.sessions = new Map();
  }

  /** Keeps an object and returns its new name. The oldest of the session gives way. */
  keep(session, value) {
    if (!this.sessions.has(session)) this.sessions.set(session, new Map());
    const kept = this.sessions.get(session);
    const name = `${this.start}-${(this.last += 1)}`;
    kept.set(name, value);
    if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value);
    return name;
  }

  find(session, name) {
    const kept = this.sessions.get(session);
    if (kept && kept.has(name)) return kept.get(name);
    throw new RequestFailure('object_not_found', `no object is kept as ${name} for this session`, { handle: name });
  }

  releaseHandles(parameters) {
    const session = parameters.string('session_id');
    const names = parameters.names('handles', MAX_RELEASED);
    const kept = this.sessions.get(session) || new Map();
    return { released: names.filter((name) => kept.delete(name)).length };
  }

  releaseSession(session) {
    return this.sessions.delete(session);
  }
}

module.exports = { Handles };
