'use strict';
// debugger.js answers: debug. Where did the last error of this tool happen?

const { RequestFailure } = require('./failure');

const NEED_A_PROCESS = [
  'StepInto', 'StepOver', 'StepOut', 'Continue', 'RestartFrame', 'ReturnValue', 'EvaluateInFrame', 'GetSource',
  'Terminate', 'SetBreakpoint', 'RemoveBreakpoint',
];

/** An operation comes as a word or as an object with the word as its only key. */
function operationName(parameters) {
  const given = parameters.values.operation;
  if (given !== null && typeof given === 'object' && !Array.isArray(given)) return Object.keys(given)[0] || '';
  return parameters.name('operation');
}

class Debugger {
  constructor({ scopes }) {
    this.scopes = scopes;
  }

  debug(parameters, place) {
    const name = operationName(parameters);
    if (NEED_A_PROCESS.includes(name)) {
      const text = `Amber has no processes that could be suspended: ${name} is not supported`;
      throw new RequestFailure('unsupported_operation', text, { operation: name, capability: 'suspend' });
    }
    if (name !== 'GetStackTrace' && name !== 'GetLocalVars') {
      const details = { field: 'operation' };
      throw new RequestFailure('invalid_parameters', `'operation' must be a debug operation, not '${name}'`, details);
    }
    if (parameters.given('debugger_id')) {
      const id = parameters.string('debugger_id');
      throw new RequestFailure('object_not_found', `no process ${id} waits in this image`, { debugger_id: id });
    }
    const { error, locals } = this.lastError(place);
    if (name === 'GetLocalVars') return { result: 'ok', debug_info: { locals } };
    const about = { class: error.class, message: error.message };
    return { result: 'ok', debug_info: { stack: error.stack, error: about } };
  }

  lastError(place) {
    const scope = this.scopes.find(place.session, place.tool);
    if (scope && scope.lastError) return scope.lastError;
    throw new RequestFailure('object_not_found', 'this tool has had no error yet', { tool_id: place.tool });
  }
}

module.exports = { Debugger };
