'use strict';
// host.js answers: who works on which request, and what is answered at once?
//
// The main-thread side of the virtual machine. One request is with the worker at a time, the others
// wait here in order; ping is answered here, so a busy Smalltalk still answers it. A request that changes
// something is carried out even if its connection is gone meanwhile, and its answer goes over the next
// one; one that only reads is dropped: whoever wants to know asks again.

const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { toJson } = require('./json');

const MAX_WAITING = 1000;
const CHANGES = new Set(['evaluate', 'debug', 'release_session']);
const LIMITS = { maxOldGenerationSizeMb: 1024, stackSizeMb: 16 };

function errorBody(code, error, details = {}) {
  return toJson({ status: 'error', error, code, details });
}

function withId(id, body) {
  return `{"id":${toJson(id)},${body.slice(1)}`;
}

class VmHost {
  /** Callbacks: answer(line, {changes, connection}), push(line), died(text), log(text). */
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
      const request = this.current;
      this.current = null;
      this.reply(request, message.body);
      this.next();
    }
  }

  request({ id, command, parameters }, connection) {
    const request = { id, command, parameters, connection };
    if (command === 'ping') {
      this.reply(request, this.pong(parameters));
    } else if (this.waiting.length >= MAX_WAITING) {
      this.reply(request, errorBody('internal_error', `too many requests wait for the image (${MAX_WAITING})`));
    } else {
      this.waiting.push(request);
      this.next();
    }
  }

  reply({ id, command, connection }, body) {
    this.answer(withId(id, body), { changes: CHANGES.has(command), connection });
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

  /** Forgets what waits for a connection that is gone and changes nothing. */
  forget(connection) {
    this.waiting = this.waiting.filter(
      (request) => request.connection !== connection || CHANGES.has(request.command),
    );
  }

  ended(cause) {
    if (this.stopping) return;
    const body = errorBody('internal_error', `the Smalltalk virtual machine died: ${cause}`);
    const pending = this.current ? [this.current, ...this.waiting] : this.waiting;
    this.current = null;
    this.waiting = [];
    for (const request of pending) this.reply(request, body);
    this.died(cause);
  }

  async stop() {
    this.stopping = true;
    if (this.worker) await this.worker.terminate();
  }
}

module.exports = { VmHost };
