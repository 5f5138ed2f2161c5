'use strict';
// worker.js answers: what does the thread that runs Smalltalk do with a message from the main thread?

const { parentPort } = require('node:worker_threads');
const { toJson } = require('../json');
const { startAmber } = require('./amber');
const { installCompatibility } = require('./compatibility');
const { Requests } = require('./requests');
const { messageOf } = require('./text');
const { Transcript } = require('./transcript');

/** Text of code that ran for no session has no listener: an event names its session. */
function emitTranscript(place, text) {
  if (!place.session) return;
  const data = { text, tool_id: place.tool };
  const line = toJson({ event: 'transcript', session_id: place.session, data });
  parentPort.postMessage({ kind: 'event', line });
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
  const transcript = new Transcript(amber, emitTranscript);
  surviveBackgroundErrors(transcript);
  const requests = new Requests(amber, transcript);
  parentPort.on('message', ({ command, parameters }) => {
    parentPort.postMessage({ kind: 'answer', body: toJson(requests.answer(command, parameters)) });
  });
  parentPort.postMessage({ kind: 'ready', version: amber.version() });
}

main();
