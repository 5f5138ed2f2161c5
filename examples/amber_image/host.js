'use strict';
// host.js answers: who works on which request, and what is answered at once?
//
// The main-thread side of the virtual machine. One request is with the worker at a time, the others
// wait here in order; ping and interrupt are answered here, so a busy Smalltalk still answers them. A request
// that changes something is carried out even if its connection is gone meanwhile, and its answer goes over the
// next one; one that only reads is dropped: whoever wants to know asks again.

const { interruptedBody } = require('./interrupted');
const { toJson } = require('./json');
const { VmThread } = require('./vm_thread');

const MAX_WAITING = 1000;
const REACTION_MS = 1000;
const CHANGES = new Set([
  'evaluate', 'debug', 'release_session', 'release_handles',
  'compile_method', 'remove_method', 'define_class', 'remove_class',
]);
const ENDED = 'interrupted by request; its ensure: blocks were not run';
const DROPPED = 'interrupted before it began';
const LOST = 'the image was started anew to end code that could not be interrupted; this was not carried out';

function errorBody(code, error, details = {}) {
  return toJson({ status: 'error', error, code, details });
}

function refusal(field, wanted) {
  return errorBody('invalid_parameters', `'${field}' must be ${wanted}`, { field });
}

function withId(id, body) {
  return `{"id":${toJson(id)},${body.slice(1)}`;
}

class VmHost {
  /**
   * Callbacks: answer(line, {changes, connection}), push(line), died(text), leave() and join(version) around
   * a new start of Smalltalk, log(text).
   */
  constructor({ answer, push, died, leave, join, log }) {
    Object.assign(this, { answer, push, died, leave, join, log });
    this.waiting = [];
    this.current = null;
    this.interrupts = new Map();
    this.started = Date.now();
  }

  /** Starts Smalltalk; resolves to {version} when it answers. */
  start(environment) {
    this.environment = environment;
    this.thread = new VmThread({
      answered: (body) => this.finish(body),
      event: (line) => this.push(line),
      recovered: () => this.recovered(),
      ended: (cause) => this.ended(cause),
    });
    return this.thread.start(environment);
  }

  request({ id, command, parameters }, connection) {
    const request = { id, command, parameters, connection };
    if (command === 'ping') {
      this.reply(request, this.pong(parameters));
    } else if (command === 'interrupt') {
      this.interrupt(request);
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

  /** Hands over the next request, unless one is under way or the thread has yet to come out of one. */
  next() {
    if (this.current || this.thread.settling || this.waiting.length === 0) return;
    this.current = this.waiting.shift();
    this.thread.work(this.current.command, this.current.parameters);
  }

  /** Answers the request that was under way. */
  finish(body) {
    this.endCurrent(body);
    this.answerInterrupts(false);
    this.next();
  }

  endCurrent(body) {
    const request = this.current;
    this.current = null;
    if (request) this.reply(request, body);
  }

  pong(parameters) {
    const message = parameters && typeof parameters === 'object' ? parameters.message : undefined;
    if (message !== undefined && message !== null && typeof message !== 'string') return refusal('message', 'a string');
    const status = this.current || this.thread.settling ? 'busy' : 'ready';
    const uptime = (Date.now() - this.started) / 1000;
    return toJson({ status: 'success', result: { message: message || '', status, uptime } });
  }

  interrupt(request) {
    const { request_id: id, force } = request.parameters || {};
    if (typeof id !== 'string' || id === '') this.reply(request, refusal('request_id', 'the id of a request'));
    else if (force !== undefined && force !== null && typeof force !== 'boolean') {
      this.reply(request, refusal('force', 'true or false'));
    } else {
      this.endRequest(request, id, force === true);
    }
  }

  /** Drops a request that waits. One that runs is unwound; inside of a system call, once that returns. */
  endRequest(request, id, force) {
    if (this.current && this.current.id === id) {
      const outcome = this.thread.interrupt();
      if (outcome === 'dropped') this.endCurrent(interruptedBody(this.current.command, DROPPED));
      if (outcome === 'dropped' && !force) this.answerInterrupt(request, true);
      else this.awaitReaction(request, force);
      return;
    }
    const dropped = this.dropWaiting(id);
    if (dropped && force && this.thread.settling) this.awaitReaction(request, force);
    else this.answerInterrupt(request, dropped);
  }

  dropWaiting(id) {
    const dropped = this.waiting.find((request) => request.id === id);
    if (!dropped) return false;
    this.waiting = this.waiting.filter((request) => request !== dropped);
    this.reply(dropped, interruptedBody(dropped.command, DROPPED));
    return true;
  }

  /** Answers an interrupt when the thread has come out of what it did, or did not in time. */
  awaitReaction(request, force) {
    const timer = setTimeout(() => {
      this.interrupts.delete(request);
      if (force) this.startAnew(request);
      else this.answerInterrupt(request, true);
    }, REACTION_MS);
    this.interrupts.set(request, timer);
  }

  answerInterrupt(request, interrupted, stateLost = false) {
    this.reply(request, toJson({ status: 'success', result: { interrupted, state_lost: stateLost } }));
  }

  answerInterrupts(interrupted, stateLost = false) {
    for (const [request, timer] of this.interrupts) {
      clearTimeout(timer);
      this.answerInterrupt(request, interrupted, stateLost);
    }
    this.interrupts.clear();
  }

  recovered() {
    if (this.current) this.endCurrent(interruptedBody(this.current.command, ENDED));
    this.answerInterrupts(true);
    this.next();
  }

  /** Gives up Smalltalk with all its objects, and comes back as another instance. */
  async startAnew(request) {
    this.thread.giveUp();
    if (this.current) this.endCurrent(interruptedBody(this.current.command, ENDED));
    for (const each of this.takeAll()) this.reply(each, interruptedBody(each.command, LOST));
    this.answerInterrupt(request, true, true);
    this.answerInterrupts(true, true);
    this.log('Smalltalk was ended by force and starts anew');
    await this.leave();
    const { version } = await this.start(this.environment);
    this.started = Date.now();
    this.join(version);
  }

  takeAll() {
    const all = this.current ? [this.current, ...this.waiting] : this.waiting;
    this.current = null;
    this.waiting = [];
    return all;
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
    for (const request of this.takeAll()) this.reply(request, body);
    this.answerInterrupts(true, true);
    this.died(cause);
  }

  /** Ends Smalltalk for good. */
  stop() {
    this.stopping = true;
    if (this.thread) this.thread.giveUp();
  }
}

module.exports = { VmHost };
