'use strict';
// evaluator.js answers: what is the value of this code in that scope?
//
// Code is compiled as a method of the scope's hidden class. Names it assigns without declaring them
// become variables of the scope. Only the variables the code uses are slots while it is compiled:
// Amber forbids a temporary or block argument to have the name of a slot.

const { DO_IT } = require('./errors');
const { freeNames, isCapitalised } = require('./names');
const { Refusal, parse } = require('./parsing');
const { messageOf } = require('./text');

const PROTOCOL = 'evaluating';

class Evaluator {
  constructor(amber, reporter) {
    this.amber = amber;
    this.reporter = reporter;
    this.installed = null;
  }

  /** {value, duration} or {error, duration}; self is the scope's own object unless a receiver is given. */
  evaluate(scope, code, receiver) {
    const { core } = this.amber;
    const started = performance.now();
    let outcome = {};
    const guarded = () => {
      try {
        outcome = { value: this.run(scope, code, receiver) };
      } catch (thrown) {
        outcome = this.failed(scope, thrown, core.getThisContext());
      }
    };
    core.withContext(guarded, (context) => {
      context.isBase = true;
      context.fill(null, 'evaluate');
    });
    return { ...outcome, duration: performance.now() - started };
  }

  failed(scope, thrown, context) {
    const record =
      thrown instanceof Refusal
        ? this.reporter.beforeRunning(thrown.className, thrown.message, thrown.extra)
        : this.reporter.describe(thrown, context);
    scope.lastError = record;
    return { error: record.error };
  }

  run(scope, code, receiver) {
    const source = code.replace(/\r\n?/g, '\n');
    // As a method body: that gives positions in the code as the client sees it.
    const names = freeNames(parse(this.amber, `${DO_IT}\n${source}`, 1));
    if (receiver !== undefined) return this.runOn(this.amber.asReceiver(receiver), source, names);
    for (const name of names.assigned) if (isCapitalised(name)) this.unknown(name);
    const known = new Set([...scope.names, ...names.assigned]);
    this.check(names, known);
    const used = [...known].filter((name) => names.used.has(name));
    return this.execute(source, scope.receiver, scope.behavior, used, () => {
      for (const name of names.assigned) scope.names.add(name);
    });
  }

  runOn(receiver, source, names) {
    const behavior = receiver._class();
    const slots = behavior._allSlotNames();
    for (const name of names.assigned) if (!slots.includes(name)) this.unknown(name);
    this.check(names, new Set(slots));
    return this.execute(source, receiver, behavior, null, () => {});
  }

  /** Every name must be a variable, a class or a JavaScript global, or be made by the code itself. */
  check(names, known) {
    const { globals } = this.amber;
    const allowed = globals.Smalltalk._globalJsVariables();
    for (const name of names.used) {
      const reachable = isCapitalised(name)
        ? name in globals || names.literals.has(name)
        : name in globalThis || allowed.includes(name);
      if (!known.has(name) && !reachable) this.unknown(name);
    }
  }

  unknown(name) {
    throw new Refusal('UnknownVariableError', `Unknown variable: ${name} is not defined`, { name });
  }

  execute(source, receiver, behavior, slots, compiled) {
    if (slots) behavior.slots = slots;
    const method = this.compile(`${DO_IT} ^ [ ${source} ] value`, behavior);
    compiled();
    behavior._basicAddCompiledMethod_(method);
    this.installed = { behavior, method };
    try {
      return receiver[`_${DO_IT}`]();
    } finally {
      this.cleanUp();
    }
  }

  /** Takes the code out of its class again, also after it was unwound from outside. */
  cleanUp() {
    if (this.installed === null) return;
    const { behavior, method } = this.installed;
    this.installed = null;
    behavior._basicRemoveCompiledMethod_(method);
  }

  compile(source, behavior) {
    const { globals } = this.amber;
    try {
      return globals.Compiler._new()._compile_forClass_protocol_(source, behavior, PROTOCOL);
    } catch (error) {
      const refused = [globals.CompilerError, globals.ParseError].some((each) => error._isKindOf_(each));
      throw refused ? new Refusal(error._class()._name(), messageOf(error)) : error;
    }
  }
}

module.exports = { Evaluator };
