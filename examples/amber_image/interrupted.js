'use strict';
// interrupted.js answers: what is the answer to a request that was interrupted?
//
// For evaluate that is a result like any other; other requests are refused, since they have no value to give.

const { toJson } = require('./json');

const RUNS_CODE = new Set(['inspect', 'debug']);

function interruptedBody(command, message) {
  const error = { class: 'Interrupted', message, signaler: null, stack: [] };
  if (command === 'evaluate') {
    const result = { result: null, result_type: error.class, execution_time: 0, has_error: true, error };
    return toJson({ status: 'success', result });
  }
  const code = RUNS_CODE.has(command) ? 'evaluation_error' : 'internal_error';
  return toJson({ status: 'error', error: `${command} was interrupted: ${message}`, code, details: { error } });
}

module.exports = { interruptedBody };
