'use strict';
// vm_thread.js answers: how is the thread that runs Smalltalk started, interrupted and given up?
//
// V8 can be told through its inspector to unwind whatever a thread executes. Code cannot catch that, its
// ensure: blocks do not run, and all objects stay. Then the thread is asked to put things in order; once it
// says so, the code has ended for certain.

const inspector = require('node:inspector');
const path = require('node:path');
const { Worker } = require('node:worker_threads');

const LIMITS = { maxOldGenerationSizeMb: 1024, stackSizeMb: 16 };
const ASK_AGAIN_MS = 100;
const UNWIND = JSON.stringify({ id: 1, method: 'Runtime.terminateExecution' });

class VmThread {
  /** Callbacks: answered(body), event(line), recovered(), ended(cause). After `giveUp` none is called. */
  constructor({ answered, event, recovered, ended }) {
    Object.assign(this, { answered, event, recovered, ended });
    this.interrupting = null;
    this.session = null;
    this.serial = 0;
  }

  /** Starts the thread; resolves to {version} when Smalltalk answers. */
  async start(environment) {
    await this.listenForThreads();
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
      this.worker.on('exit', () => this.finished(cause));
    });
  }

  listenForThreads() {
    this.session = new inspector.Session();
    this.session.connect();
    this.session.on('NodeWorker.attachedToWorker', ({ params }) => {
      this.target = params.sessionId;
    });
    return new Promise((done) => {
      this.session.post('NodeWorker.enable', { waitForDebuggerOnStart: false }, done);
    });
  }

  received(message, ready) {
    if (this.session === null) return;
    if (message.kind === 'ready') ready({ version: message.version });
    else if (message.kind === 'event') this.event(message.line);
    else if (message.kind === 'answer') this.answered(message.body);
    else if (message.kind === 'recovered' && this.interrupting !== null && message.serial === this.serial) {
      clearInterval(this.interrupting);
      this.interrupting = null;
      this.recovered();
    }
  }

  work(command, parameters) {
    this.worker.postMessage({ kind: 'request', command, parameters });
  }

  /**
   * Ends what the thread executes; `recovered` is called when that is done. The unwinding may hit the very
   * message that asks for it, so that is repeated.
   */
  interrupt() {
    if (this.interrupting !== null) return;
    this.session.post('NodeWorker.sendMessageToWorker', { sessionId: this.target, message: UNWIND }, () => {});
    this.serial += 1;
    const ask = () => this.worker.postMessage({ kind: 'recover', serial: this.serial });
    this.interrupting = setInterval(ask, ASK_AGAIN_MS);
    ask();
  }

  /** Ends the thread and forgets it. One that is inside of a system call goes on until that returns. */
  giveUp() {
    clearInterval(this.interrupting);
    if (this.session !== null) this.session.disconnect();
    this.session = null;
    return this.worker ? this.worker.terminate() : Promise.resolve();
  }

  finished(cause) {
    if (this.session === null) return;
    clearInterval(this.interrupting);
    this.session.disconnect();
    this.session = null;
    this.ended(cause);
  }
}

module.exports = { VmThread };
