'use strict';
// requests.js answers: which part of the image works on which command?

const { Browser } = require('./browser');
const { ClassKeeper } = require('./classes');
const { MethodCompiler } = require('./compiling');
const { Completion } = require('./completion');
const { Debugger } = require('./debugger');
const { ErrorReporter } = require('./errors');
const { Evaluator } = require('./evaluator');
const { RequestFailure } = require('./failure');
const { Handles } = require('./handles');
const { Inspector } = require('./inspector');
const { Parameters } = require('./parameters');
const { Parts } = require('./parts');
const { Scopes } = require('./scopes');
const { Search } = require('./search');
const { System } = require('./system');
const { Printer } = require('./text');
const { Workspace } = require('./workspace');

function buildHandlers({ amber, changes, printer, scopes, handles, workspace }) {
  const browser = new Browser({ amber, printer });
  const parts = new Parts({ amber, printer });
  const inspector = new Inspector({ amber, printer, workspace, parts, handles });
  const search = new Search({ amber, browser });
  const methods = new MethodCompiler({ amber, browser, changes });
  const classes = new ClassKeeper({ amber, browser, changes });
  const system = new System({ amber, browser });
  const completion = new Completion({ amber, scopes });
  const debuggerPart = new Debugger({ scopes });
  return new Map([
    ['evaluate', (parameters, place) => workspace.evaluate(parameters, place)],
    ['capture_context', (parameters, place) => workspace.captureContext(parameters, place)],
    ['release_session', (parameters) => workspace.releaseSession(parameters)],
    ['inspect', (parameters, place) => inspector.inspect(parameters, place)],
    ['release_handles', (parameters) => handles.releaseHandles(parameters)],
    ['list_packages', (parameters) => search.listPackages(parameters)],
    ['get_hierarchy', (parameters) => search.getHierarchy(parameters)],
    ['find_methods', (parameters) => search.findMethods(parameters)],
    ['compile_method', (parameters) => methods.compileMethod(parameters)],
    ['remove_method', (parameters) => methods.removeMethod(parameters)],
    ['define_class', (parameters) => classes.defineClass(parameters)],
    ['remove_class', (parameters) => classes.removeClass(parameters)],
    ['browse_class', (parameters) => browser.browseClass(parameters)],
    ['get_method', (parameters) => browser.getMethod(parameters)],
    ['list_classes', (parameters) => browser.listClasses(parameters)],
    ['system_info', (parameters) => system.systemInfo(parameters)],
    ['code_completion', (parameters, place) => completion.complete(parameters, place)],
    ['debug', (parameters, place) => debuggerPart.debug(parameters, place)],
  ]);
}

class Requests {
  constructor({ amber, contexts, transcript, changes }) {
    Object.assign(this, { contexts, transcript, changes });
    const printer = new Printer(amber);
    const scopes = new Scopes(amber);
    const handles = new Handles();
    this.evaluator = new Evaluator(amber, new ErrorReporter(amber, printer));
    this.workspace = new Workspace({ amber, printer, evaluator: this.evaluator, scopes, handles });
    this.handlers = buildHandlers({ amber, changes, printer, scopes, handles, workspace: this.workspace });
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
      this.changes.tell();
      return { status: 'success', result };
    } catch (error) {
      this.changes.tell();
      if (error instanceof RequestFailure) return this.refusal(error.code, error.message, error.details);
      return this.refusal('internal_error', `${command} failed: ${(error && error.message) || error}`, {});
    }
  }

  /** Puts things in order after a request was unwound from outside. */
  recover() {
    this.contexts.beginAnew();
    this.evaluator.cleanUp();
    this.workspace.noteInterrupted();
    this.transcript.flush();
    this.changes.tell();
  }

  refusal(code, error, details) {
    return { status: 'error', error, code, details };
  }
}

module.exports = { Requests };
