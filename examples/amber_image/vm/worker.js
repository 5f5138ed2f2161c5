'use strict';
// worker.js answers: what does the thread that runs Smalltalk do with a message from the main thread?

const { parentPort, workerData } = require('node:worker_threads');
const { toJson } = require('../json');
const { Turn } = require('../turn');
const { startAmber } = require('./amber');
const { Changes } = require('./changes');
const { installCompatibility } = require('./compatibility');
const { Contexts } = require('./contexts');
const { Requests } = require('./requests');
const { messageOf } = require('./text');
const { Transcript } = require('./transcript');

function emit(event) {
  parentPort.postMessage({ kind: 'event', line: toJson(event) });
}

/** Text of code that ran for no session has no listener: an event names its session. */
function emitTranscript({ session, tool }, text) {
  if (session) emit({ event: 'transcript', session_id: session, data: { text, tool_id: tool } });
}

/** A change concerns everybody, so it is told without a session as well. */
function emitChange({ session }, data) {
  emit({ event: 'code_changed', ...(session ? { session_id: session } : {}), data });
}

/** Amber ends the process at an error in a forked block; here such an error is told and survived. */
function surviveBackgroundErrors(transcript) {
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.removeAllListeners(event);
    process.on(event, (error) => transcript.write(`Error in the background: ${messageOf(error)}\n`));
  }
}

async function main() {
  const amber = await startAmber();
  installCompatibility(amber);
  const contexts = new Contexts(amber);
  const transcript = new Transcript(amber, emitTranscript);
  surviveBackgroundErrors(transcript);
  const changes = new Changes(amber, { emit: emitChange, present: () => transcript.present() });
  const requests = new Requests({ amber, contexts, transcript, changes });
  const turn = new Turn(workerData.turn);
  parentPort.on('message', ({ kind, command, parameters }) => {
    if (kind === 'recover') {
      requests.recover();
      parentPort.postMessage({ kind: 'recovered' });
    } else if (turn.begin()) {
      const body = toJson(requests.answer(command, parameters));
      turn.finish();
      parentPort.postMessage({ kind: 'answer', body });
    }
  });
  parentPort.postMessage({ kind: 'ready', version: amber.version() });
}

main();
