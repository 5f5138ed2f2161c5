'use strict';
// vm_thread.js answers: how is the thread that runs Smalltalk started, interrupted and given up?
//
// V8 can be told through its inspector to unwind whatever a thread executes. Code cannot catch that, its
// ensure: blocks do not run, and all objects stay. Then the thread is asked to put things in order.

const inspector = require('node:inspector');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { Turn } = require('./turn');

const LIMITS = { maxOldGenerationSizeMb: 1024, stackSizeMb: 16 };
const UNWIND = JSON.stringify({ id: 1, method: 'Runtime.terminateExecution' });

class VmThread {
  /** Callbacks: answered(body), event(line), recovered(), ended(cause). After `giveUp` none is called. */
  constructor({ answered, event, recovered, ended }) {
    Object.assign(this, { answered, event, recovered, ended });
    this.turn = new Turn();
    this.settling = false;
    this.session = null;
  }

  /** Starts the thread; resolves to {version} when Smalltalk answers. */
  async start(environment) {
    await this.listenForThreads();
    this.worker = new Worker(path.join(__dirname, 'vm', 'worker.js'), {
      env: environment,
      workerData: { turn: this.turn.memory },
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
    else if (message.kind === 'recovered') {
      this.settling = false;
      this.recovered();
    }
  }

  work(command, parameters) {
    this.turn.handOver();
    this.worker.postMessage({ kind: 'request', command, parameters });
  }

  /**
   * Ends the request that the thread has: `ending` if it is being unwound, `dropped` if it will not begin; either
   * way `recovered` follows. `done` if its answer is on the way.
   */
  interrupt() {
    if (this.settling) return 'ending';
    const outcome = this.turn.end();
    if (outcome === 'done') return outcome;
    this.settling = true;
    if (outcome === 'ending') {
      const message = { sessionId: this.target, message: UNWIND };
      this.session.post('NodeWorker.sendMessageToWorker', message, () => {});
    }
    this.worker.postMessage({ kind: 'recover' });
    return outcome;
  }

  /** Ends the thread and forgets it. One that is inside of a system call goes on until that returns. */
  giveUp() {
    if (this.session !== null) this.session.disconnect();
    this.session = null;
    return this.worker ? this.worker.terminate() : Promise.resolve();
  }

  finished(cause) {
    if (this.session === null) return;
    this.session.disconnect();
    this.session = null;
    this.ended(cause);
  }
}

module.exports = { VmThread };
