'use strict';
// errors.js answers: what does the client hear about an error, and where did it happen?
//
// Smalltalk errors carry the context they were signalled in. A native JavaScript error carries none,
// but Amber leaves its current context standing until the outermost one is left, so the evaluator
// hands that one over.

const { cut, messageOf } = require('./text');

const MAX_FRAMES = 50;
const MAX_LOCALS = 100;
const RECEIVER_LIMIT = 200;
const VALUE_LIMIT = 1000;
const MESSAGE_LIMIT = 10000;
const DO_IT = 'xxxDoIt';
const DNU_RELAY = 'selector:arguments:notUnderstoodBy:';
const MACHINERY = new Set([
  'doesNotUnderstand:', 'error:', 'halt', 'signal', 'signal:', 'signalOn:', 'subclassResponsibility',
  'shouldNotImplement', 'deprecatedAPI',
]);

class ErrorReporter {
  constructor(amber, printer) {
    this.amber = amber;
    this.printer = printer;
  }

  /** A problem found before the code ran. */
  beforeRunning(className, message, extra = {}) {
    const error = { class: className, message, signaler: 'Compiler>>parse:', stack: [], ...extra };
    return { error, locals: {} };
  }

  /** {error, locals}: the record of what was thrown, standing in the given context. */
  describe(thrown, standing) {
    const error = this.amber.globals.Smalltalk._asSmalltalkException_(thrown);
    const own = error.context;
    const frames = this.frames(this.amber.isNil(own) ? standing : own, error);
    const receivers = new Map();
    const stack = frames.map((frame, position) => this.frame(frame, position + 1, receivers));
    const top = frames.find((frame) => !MACHINERY.has(frame.selector));
    return {
      error: {
        class: this.classNameOf(error),
        message: cut(messageOf(error), MESSAGE_LIMIT),
        signaler: stack.length > 0 ? `${stack[0].class}>>${stack[0].selector}` : 'UndefinedObject>>doIt',
        stack,
      },
      locals: top ? this.locals(top) : {},
    };
  }

  /** Native errors all have the Smalltalk class Error; their JavaScript name says more. */
  classNameOf(error) {
    const name = this.amber.className(error);
    const native = name === 'Error' && error.constructor !== Error && typeof error.name === 'string';
    return native ? error.name : name;
  }

  /**
   * The frames that count, innermost first: without the raising of the error, down to the code that was
   * evaluated. That code runs as the outermost block of the method it was wrapped in.
   */
  frames(context, error) {
    const found = [];
    let current = context;
    let raising = true;
    while (!this.amber.isNil(current) && found.length < MAX_FRAMES) {
      current._hydrated();
      if (current.isBase) break;
      const frame = this.readFrame(current);
      raising = raising && (frame.receiver === error || frame.receiver === error._class());
      if (!raising && frame.selector !== DNU_RELAY) found.push(frame);
      if (frame.outermost) break;
      current = current.homeContext;
    }
    return found;
  }

  readFrame(context) {
    const home = context._methodContext();
    const selector = this.amber.isNil(home) ? null : home._selector();
    const receiver = this.amber.isNil(home) ? null : home.receiver;
    const { locals } = context;
    const shown = selector === DO_IT ? 'doIt' : selector || 'unknown';
    if (context === home) return { receiver, selector: shown, locals, outermost: false };
    const outermost = context.outerContext === home && selector === DO_IT;
    return { receiver, selector: outermost ? shown : `[] in ${shown}`, locals, outermost };
  }

  frame({ receiver, selector }, index, receivers) {
    if (!receivers.has(receiver)) receivers.set(receiver, this.printer.short(receiver, RECEIVER_LIMIT));
    const name = this.amber.className(receiver);
    return { index, class: name, selector, receiver: receivers.get(receiver), line: null };
  }

  locals(frame) {
    const printed = { self: this.printer.short(frame.receiver, VALUE_LIMIT) };
    for (const name of Object.keys(frame.locals || {}).slice(0, MAX_LOCALS)) {
      printed[name] = this.printer.short(frame.locals[name], VALUE_LIMIT);
    }
    return printed;
  }
}

module.exports = { DO_IT, ErrorReporter };
