'use strict';
// link.js answers: how does the image stay connected to the daemon?
//
// It dials, says hello, hands over requests and writes answers, and dials again for ever when the
// connection is gone. Connections are numbered: the answer to a request that only reads is written only to
// the connection the request came from; one that changed something is told over whichever there is next.

const net = require('node:net');
const { Backoff } = require('./backoff');
const { toJson } = require('./json');
const { LineSplitter } = require('./lines');
const { Outbox } = require('./outbox');

const HELLO_ID = 'hello-1';
const HELLO_TIMEOUT_MS = 10000;
const KEEP_ALIVE_MS = 30000;
const MAX_UNSENT_EVENT_BYTES = 8 * 1024 * 1024;
const FLUSH_TIMEOUT_MS = 1000;

class Link {
  /** Callbacks: onRequest(message, connection), onDisconnect(connection), onRefused(text), log(text). */
  constructor({ address, identity, token, onRequest, onDisconnect, onRefused, log }) {
    Object.assign(this, { address, token, onRequest, onDisconnect, onRefused, log });
    this.introduce(identity);
    this.backoff = new Backoff();
    this.connection = 0;
    this.socket = null;
    this.greeted = false;
    this.closing = false;
    this.droppedEvents = 0;
    this.outbox = new Outbox();
  }

  introduce(identity) {
    const parameters = { role: 'image', protocol: ['1.0.0'], identity };
    if (this.token) parameters.token = this.token;
    this.hello = toJson({ id: HELLO_ID, command: 'hello', parameters });
  }

  open() {
    const connection = (this.connection += 1);
    const socket = net.connect(this.address.socket);
    const lines = new LineSplitter();
    let reason = 'closed by the daemon';
    this.socket = socket;
    this.greeted = false;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.helloTimer = setTimeout(() => socket.destroy(new Error('no answer to hello')), HELLO_TIMEOUT_MS);
    socket.on('connect', () => socket.write(`${this.hello}\n`));
    socket.on('data', (chunk) => {
      const { lines: whole, tooLong } = lines.push(chunk);
      if (tooLong > 0) this.log(`ignored ${tooLong} line(s) longer than ${lines.maxBytes} bytes`);
      for (const line of whole) if (!socket.destroyed) this.receive(line, connection);
    });
    socket.on('error', (error) => {
      reason = error.code || error.message;
    });
    socket.on('close', () => this.closed(connection, reason));
  }

  receive(line, connection) {
    if (line.trim() === '') return;
    let message = null;
    try {
      message = JSON.parse(line);
    } catch {
      message = null;
    }
    if (message === null || typeof message !== 'object' || Array.isArray(message)) {
      this.log('ignored a malformed line');
    } else if (!this.greeted) {
      if (message.id === HELLO_ID) this.helloAnswered(message);
    } else if (typeof message.command === 'string') {
      if (typeof message.id === 'string' && message.id !== '') this.onRequest(message, connection);
      else this.log(`ignored a ${message.command} request without an id`);
    }
  }

  helloAnswered(message) {
    clearTimeout(this.helloTimer);
    if (message.status === 'success') {
      this.greeted = true;
      this.backoff.reset();
      this.log(`connected to ${this.address.text}`);
      this.answerAgain();
      return;
    }
    const text = `hello refused: ${message.error || message.code || 'no reason given'}`;
    if (message.retryable === false) {
      this.closing = true;
      this.socket.destroy();
      this.onRefused(text);
    } else {
      this.socket.destroy(new Error(text));
    }
  }

  closed(connection, reason) {
    clearTimeout(this.helloTimer);
    const wasGreeted = this.greeted;
    this.greeted = false;
    this.socket = null;
    if (wasGreeted) this.onDisconnect(connection);
    if (this.closing) return;
    const delay = this.backoff.next();
    this.log(`${wasGreeted ? 'disconnected' : 'cannot connect'} (${reason}), retry in ${delay} ms`);
    this.retryTimer = setTimeout(() => this.open(), delay);
  }

  /** Writes the answer to a request; that of one that changed something is kept for the next connection. */
  answer(line, { changes, connection }) {
    const written = this.greeted && (changes || connection === this.connection);
    if (written) this.socket.write(`${line}\n`);
    if (changes) this.outbox.keep(line, written);
  }

  answerAgain() {
    const { dropped } = this.outbox;
    if (dropped > 0) this.log(`dropped ${dropped} answer(s): the daemon was gone for too long`);
    this.outbox.dropped = 0;
    for (const line of this.outbox.again()) this.socket.write(`${line}\n`);
  }

  /** Writes one event line; drops it when nobody is connected or the daemon does not keep up. */
  push(line) {
    if (!this.greeted) return;
    if (this.socket.writableLength > MAX_UNSENT_EVENT_BYTES) {
      this.droppedEvents += 1;
      return;
    }
    if (this.droppedEvents > 0) this.log(`dropped ${this.droppedEvents} event(s): the daemon reads too slowly`);
    this.droppedEvents = 0;
    this.socket.write(`${line}\n`);
  }

  /** Sends what is written so far and hangs up, until `join`. What still comes is ignored. */
  leave() {
    return new Promise((done) => this.close(done, true));
  }

  /** Dials again, as somebody else. */
  join(identity) {
    this.introduce(identity);
    this.closing = false;
    this.backoff.reset();
    this.open();
  }

  /**
   * Sends what is written so far, closes for good, then calls done. Waiting for the daemon to hang up as well
   * makes sure that it has read everything.
   */
  close(done, untilDaemonCloses = false) {
    this.closing = true;
    this.greeted = false;
    clearTimeout(this.retryTimer);
    clearTimeout(this.helloTimer);
    if (!this.socket) {
      done();
      return;
    }
    const socket = this.socket;
    const timer = setTimeout(() => socket.destroy(), FLUSH_TIMEOUT_MS);
    socket.on('close', () => {
      clearTimeout(timer);
      done();
    });
    if (socket.connecting) socket.destroy();
    else if (untilDaemonCloses) socket.end();
    else socket.end(() => socket.destroy());
  }
}

module.exports = { Link };
