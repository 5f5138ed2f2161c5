'use strict';
// workspace.js answers: evaluate, capture_context and release_session.

const { RequestFailure } = require('./failure');
const { asJsonValue } = require('./json_value');
const { cut } = require('./text');

const RESULT_LIMIT = 100000;
const BINDING_LIMIT = 2000;
const HISTORY_CODE_LIMIT = 10000;
const HISTORY_RESULT_LIMIT = 2000;
const MODES = ['Execute', 'Display'];
const ON_ERROR = ['report', 'suspend'];

class Workspace {
  constructor({ amber, printer, evaluator, scopes, handles }) {
    Object.assign(this, { amber, printer, evaluator, scopes, handles });
    this.running = null;
  }

  evaluate(parameters, place) {
    const code = parameters.string('code');
    const mode = parameters.word('evaluation_mode', MODES);
    const asText = parameters.boolean('return_string', true);
    const context = parameters.object('context');
    const keep = parameters.boolean('keep', false);
    if (parameters.exactWord('on_error', ON_ERROR, 'report') !== 'report') {
      const text = 'Amber has no processes that could be suspended';
      throw new RequestFailure('unsupported_operation', text, { capability: 'suspend' });
    }
    const name = parameters.string('receiver_handle', null);
    const receiver = name === null ? undefined : this.handles.find(place.session, name);
    const scope = this.scopes.obtain(place.session, place.tool);
    this.running = { scope, started: performance.now(), entry: this.historyEntry(code, mode) };
    const outcome = this.run(scope, code, context, receiver);
    const reply = outcome.error ? this.failure(outcome) : this.success(outcome, mode, asText);
    if (keep && !outcome.error) reply.handle = this.handles.keep(place.session, outcome.value);
    const result = outcome.error ? null : this.printer.short(outcome.value, HISTORY_RESULT_LIMIT);
    const error = outcome.error ? cut(`${outcome.error.class}: ${outcome.error.message}`, HISTORY_RESULT_LIMIT) : null;
    this.remember({ result, error, duration: outcome.duration });
    return reply;
  }

  historyEntry(code, mode) {
    return { code: cut(code, HISTORY_CODE_LIMIT), mode, time: new Date().toISOString() };
  }

  /** Puts what ran into the history of its tool. */
  remember({ result, error, duration }) {
    const { scope, entry } = this.running;
    this.running = null;
    scope.remember({ ...entry, result, error, duration });
  }

  /** Notes what was under way and will not come to its end. */
  noteInterrupted() {
    if (this.running === null) return;
    const duration = performance.now() - this.running.started;
    this.remember({ result: null, error: 'Interrupted: interrupted by request', duration });
  }

  run(scope, code, context, kept) {
    if (kept !== undefined) return this.evaluator.evaluate(scope, code, kept);
    if (!context || typeof context.receiver !== 'string') return this.evaluator.evaluate(scope, code);
    const receiver = this.evaluator.evaluate(scope, context.receiver);
    if (receiver.error) return receiver;
    const value = receiver.value === undefined ? null : receiver.value;
    return this.evaluator.evaluate(scope, code, value);
  }

  failure({ error, duration }) {
    return { result: null, result_type: error.class, execution_time: duration, has_error: true, error };
  }

  success({ value, duration }, mode, asText) {
    const json = asText ? null : asJsonValue(this.amber, value);
    const printed = json ? { text: json.json, truncated: false } : this.printer.print(value, RESULT_LIMIT);
    const shown = mode === 'Display' ? this.printer.display(value, RESULT_LIMIT) : null;
    return {
      result: printed.text,
      ...(shown ? { display: shown.text } : {}),
      result_type: this.amber.className(value),
      execution_time: duration,
      has_error: false,
      ...(printed.truncated || (shown && shown.truncated) ? { truncated: true } : {}),
    };
  }

  captureContext(parameters, place) {
    const scope = this.scopes.find(place.session, place.tool);
    const bindings = (scope ? scope.bindings() : []).map(([name, value]) => [
      name,
      { value: this.printer.short(value, BINDING_LIMIT), class_name: this.amber.className(value) },
    ]);
    return {
      workspace: { bindings: Object.fromEntries(bindings), history: scope ? [...scope.history] : [] },
      inspector: {},
      object_registry: {},
    };
  }

  releaseSession(parameters) {
    const session = parameters.string('session_id');
    const kept = this.handles.releaseSession(session);
    return { released: this.scopes.release(session) || kept };
  }

  /** Evaluates an expression for another tool; an error becomes the refusal of the request. */
  valueOf(expression, place) {
    const outcome = this.evaluator.evaluate(this.scopes.obtain(place.session, place.tool), expression);
    if (!outcome.error) return outcome.value;
    const text = `${outcome.error.class}: ${outcome.error.message}`;
    throw new RequestFailure('evaluation_error', text, { error: outcome.error });
  }
}

module.exports = { Workspace };
