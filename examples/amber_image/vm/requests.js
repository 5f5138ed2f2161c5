'use strict';
// requests.js answers: which part of the image works on which command?

const { Browser } = require('./browser');
const { Completion } = require('./completion');
const { Debugger } = require('./debugger');
const { ErrorReporter } = require('./errors');
const { Evaluator } = require('./evaluator');
const { RequestFailure } = require('./failure');
const { Inspector } = require('./inspector');
const { Parameters } = require('./parameters');
const { Scopes } = require('./scopes');
const { System } = require('./system');
const { Printer } = require('./text');
const { Workspace } = require('./workspace');

function buildHandlers(amber) {
  const printer = new Printer(amber);
  const scopes = new Scopes(amber);
  const evaluator = new Evaluator(amber, new ErrorReporter(amber, printer));
  const workspace = new Workspace({ amber, printer, evaluator, scopes });
  const browser = new Browser({ amber, printer });
  const inspector = new Inspector({ amber, printer, workspace });
  const system = new System({ amber, browser });
  const completion = new Completion({ amber, scopes });
  const debuggerPart = new Debugger({ scopes });
  return new Map([
    ['evaluate', (parameters, place) => workspace.evaluate(parameters, place)],
    ['capture_context', (parameters, place) => workspace.captureContext(parameters, place)],
    ['release_session', (parameters) => workspace.releaseSession(parameters)],
    ['inspect', (parameters, place) => inspector.inspect(parameters, place)],
    ['browse_class', (parameters) => browser.browseClass(parameters)],
    ['get_method', (parameters) => browser.getMethod(parameters)],
    ['list_classes', (parameters) => browser.listClasses(parameters)],
    ['system_info', (parameters) => system.systemInfo(parameters)],
    ['code_completion', (parameters, place) => completion.complete(parameters, place)],
    ['debug', (parameters, place) => debuggerPart.debug(parameters, place)],
  ]);
}

class Requests {
  constructor(amber, transcript) {
    this.handlers = buildHandlers(amber);
    this.transcript = transcript;
  }

  /** The body of the answer: never raises. */
  answer(command, values) {
    try {
      const handler = this.handlers.get(command);
      if (!handler) throw new RequestFailure('unsupported_operation', `unknown command ${command}`, { command });
      const parameters = new Parameters(values);
      const place = {
        session: parameters.string('session_id', null),
        tool: parameters.string('tool_id', 'default'),
      };
      const result = this.transcript.during(place, () => handler(parameters, place));
      return { status: 'success', result };
    } catch (error) {
      if (error instanceof RequestFailure) return this.refusal(error.code, error.message, error.details);
      return this.refusal('internal_error', `${command} failed: ${(error && error.message) || error}`, {});
    }
  }

  refusal(code, error, details) {
    return { status: 'error', error, code, details };
  }
}

module.exports = { Requests };
