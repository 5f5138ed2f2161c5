'use strict';
// host.js answers: who works on which request, and what is answered at once?
//
// The main-thread side of the virtual machine. One request is with the worker at a time, the others
// wait here in order; ping is answered here, so a busy Smalltalk still answers it. What waits for a
// connection that has gone is dropped before it ever ran.

const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { toJson } = require('./json');

const MAX_WAITING = 1000;
const LIMITS = { maxOldGenerationSizeMb: 1024, stackSizeMb: 16 };

function errorBody(code, error, details = {}) {
  return toJson({ status: 'error', error, code, details });
}

function withId(id, body) {
  return `{"id":${toJson(id)},${body.slice(1)}`;
}

class VmHost {
  /** Callbacks: answer(line, connection), push(line), died(text), log(text). */
  constructor({ answer, push, died, log }) {
    Object.assign(this, { answer, push, died, log });
    this.waiting = [];
    this.current = null;
    this.started = Date.now();
  }

  /** Starts the worker; resolves to {version} when Smalltalk answers. */
  start(environment) {
    this.worker = new Worker(path.join(__dirname, 'vm', 'worker.js'), {
      env: environment,
      resourceLimits: LIMITS,
      stdout: true,
      stderr: true,
    });
    this.worker.stdout.pipe(process.stderr, { end: false });
    this.worker.stderr.pipe(process.stderr, { end: false });
    return new Promise((ready) => {
      let cause = 'ended';
      this.worker.on('message', (message) => this.received(message, ready));
      this.worker.on('error', (error) => {
        cause = error.code || error.message || String(error);
      });
      this.worker.on('exit', () => this.ended(cause));
    });
  }

  received(message, ready) {
    if (message.kind === 'ready') ready({ version: message.version });
    else if (message.kind === 'event') this.push(message.line);
    else if (message.kind === 'answer' && this.current) {
      const { id, connection } = this.current;
      this.current = null;
      this.answer(withId(id, message.body), connection);
      this.next();
    }
  }

  request({ id, command, parameters }, connection) {
    if (command === 'ping') {
      this.answer(withId(id, this.pong(parameters)), connection);
    } else if (this.waiting.length >= MAX_WAITING) {
      const text = `too many requests wait for the image (${MAX_WAITING})`;
      this.answer(withId(id, errorBody('internal_error', text)), connection);
    } else {
      this.waiting.push({ id, command, parameters, connection });
      this.next();
    }
  }

  next() {
    if (this.current || this.waiting.length === 0) return;
    this.current = this.waiting.shift();
    const { command, parameters } = this.current;
    this.worker.postMessage({ command, parameters });
  }

  pong(parameters) {
    const message = parameters && typeof parameters === 'object' ? parameters.message : undefined;
    if (message !== undefined && message !== null && typeof message !== 'string') {
      return errorBody('invalid_parameters', "'message' must be a string", { field: 'message' });
    }
    const status = this.current ? 'busy' : 'ready';
    const uptime = (Date.now() - this.started) / 1000;
    return toJson({ status: 'success', result: { message: message || '', status, uptime } });
  }

  /** Forgets what waits for a connection that is gone. */
  forget(connection) {
    this.waiting = this.waiting.filter((request) => request.connection !== connection);
  }

  ended(cause) {
    if (this.stopping) return;
    const body = errorBody('internal_error', `the Smalltalk virtual machine died: ${cause}`);
    const pending = this.current ? [this.current, ...this.waiting] : this.waiting;
    this.current = null;
    this.waiting = [];
    for (const { id, connection } of pending) this.answer(withId(id, body), connection);
    this.died(cause);
  }

  async stop() {
    this.stopping = true;
    if (this.worker) await this.worker.terminate();
  }
}

module.exports = { VmHost };
