'use strict';
// compiling.js answers: compile_method and remove_method. How does a client's method get into a class?

const { RequestFailure } = require('./failure');
const { guard, withLineFeeds } = require('./guard');
const { BEGINNING, Refusal, characterAt, parse, placeOf } = require('./parsing');
const { cut, messageOf } = require('./text');

const UNCLASSIFIED = 'as yet unclassified';
const MESSAGE_LIMIT = 1000;

/** The refusal of a source that does not compile. */
function compileError(source, message, place) {
  const details = { position: characterAt(source, place), line: place.line };
  return new RequestFailure('compile_error', cut(message, MESSAGE_LIMIT), details);
}

class MethodCompiler {
  constructor({ amber, browser, changes }) {
    Object.assign(this, { amber, browser, changes });
  }

  compileMethod(parameters) {
    const { className, isClassMethod, base } = this.target(parameters);
    const source = parameters.string('source');
    const wanted = parameters.string('category', null);
    const holder = this.browser.side(className, isClassMethod);
    const tree = this.parse(source);
    const selector = tree._selector();
    const present = this.present(holder, selector);
    const category = wanted || (present ? present._protocol() : UNCLASSIFIED);
    const method = this.compile(source, tree, holder, category);
    const previous = present ? present._source() : null;
    guard(base, previous, `${this.browser.sideName(className, isClassMethod)}>>${selector}`);
    this.changes.quietly(() => holder._addCompiledMethod_(method));
    return {
      class_name: className, selector, is_class_method: isClassMethod, category, previous_source: previous,
    };
  }

  removeMethod(parameters) {
    const { className, isClassMethod, base } = this.target(parameters);
    const selector = parameters.name('method_name');
    const holder = this.browser.side(className, isClassMethod);
    const where = `${this.browser.sideName(className, isClassMethod)}>>${selector}`;
    const method = this.browser.methodOf(className, selector, isClassMethod);
    guard(base, method._source(), where);
    if (method._origin() !== holder) {
      const details = { class_name: className, method_name: selector };
      const text = `${where} comes from the trait ${method._origin()._name()}: remove it there`;
      throw new RequestFailure('method_not_found', text, details);
    }
    this.changes.quietly(() => holder._removeCompiledMethod_(method));
    return { removed: true, previous_source: method._source() };
  }

  target(parameters) {
    return {
      className: parameters.name('class_name'),
      isClassMethod: parameters.boolean('is_class_method', false),
      base: parameters.string('base_source', null),
    };
  }

  present(holder, selector) {
    return Object.prototype.hasOwnProperty.call(holder.methods, selector) ? holder.methods[selector] : null;
  }

  parse(source) {
    try {
      return parse(this.amber, withLineFeeds(source));
    } catch (error) {
      if (error instanceof Refusal) throw compileError(source, error.message, error.extra);
      throw error;
    }
  }

  /** The method, made and not yet in its class. Whatever the compiler throws is about the source. */
  compile(source, tree, holder, category) {
    const compiler = this.amber.globals.Compiler._new();
    try {
      return compiler._compile_forClass_protocol_(withLineFeeds(source), holder, category);
    } catch (error) {
      const name = typeof error.variableName === 'string' ? error.variableName : null;
      const kind = this.amber.className(error);
      const place = name === null ? BEGINNING : placeOf(tree, holder._allSlotNames(), kind, name);
      throw compileError(source, `${kind}: ${messageOf(error)}`, place);
    }
  }
}

module.exports = { MethodCompiler };
