'use strict';
// scopes.js answers: which variables, history and last error belong to a session's tool?
//
// The variables of a scope are slots of the one instance of a hidden class, so their values live in
// that instance and stay whatever happens to the list of slots.

const MAX_HISTORY = 100;

class Scope {
  constructor(amber) {
    this.behavior = amber.hiddenClass('DoIt');
    this.receiver = this.behavior._new();
    this.names = new Set();
    this.history = [];
    this.lastError = null;
  }

  /** Each variable's name and value, in the order of their creation. */
  bindings() {
    return [...this.names].map((name) => [name, this.receiver[name]]);
  }

  remember(entry) {
    this.history.push(entry);
    if (this.history.length > MAX_HISTORY) this.history.shift();
  }
}

class Scopes {
  constructor(amber) {
    this.amber = amber;
    this.sessions = new Map();
  }

  /** The scope of a tool, made when it is first asked for. Session null is a session like any other. */
  obtain(session, tool) {
    if (!this.sessions.has(session)) this.sessions.set(session, new Map());
    const tools = this.sessions.get(session);
    if (!tools.has(tool)) tools.set(tool, new Scope(this.amber));
    return tools.get(tool);
  }

  /** The scope of a tool or null. */
  find(session, tool) {
    return (this.sessions.get(session) || new Map()).get(tool) || null;
  }

  release(session) {
    return this.sessions.delete(session);
  }
}

module.exports = { Scopes };
