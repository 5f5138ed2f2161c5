'use strict';
// parts.js answers: which parts does an object have, and under which names?
//
// Named variables come first, then elements. The elements of a collection are gathered up to a bound: one that
// makes its elements as it goes may have no end.

const MAX_GATHERED = 1000000;
const KEY_LIMIT = 200;

class Parts {
  constructor({ amber, printer }) {
    Object.assign(this, { amber, printer });
  }

  isCollection(value) {
    return this.amber.classOf(value)._includesBehavior_(this.amber.globals.Collection);
  }

  isProxy(value) {
    return this.amber.className(value) === 'JSObjectProxy';
  }

  hasParts(value) {
    return !this.amber.isNil(value) && typeof value === 'object';
  }

  /** The named variables: pairs of name and value. */
  variables(value) {
    if (!this.hasParts(value) || this.isProxy(value)) return [];
    return this.amber.classOf(value)._allInstanceVariableNames().map((name) => [name, value[name]]);
  }

  /** The elements from start on, at most count: {pairs, total}, or null for an object that has none. */
  elements(value, start, count) {
    if (!this.hasParts(value)) return null;
    if (Array.isArray(value)) return this.slice(value, start, count);
    if (this.isProxy(value)) return this.properties(value, start, count);
    if (!this.isCollection(value)) return null;
    try {
      return this.gather(value, start, count);
    } catch {
      return null;
    }
  }

  slice(array, start, count) {
    const pairs = array.slice(start, start + count).map((each, i) => [String(start + i + 1), each]);
    return { pairs, total: array.length };
  }

  /** What a plain JavaScript object holds. */
  properties(value, start, count) {
    const object = value.jsObject === undefined ? value : value.jsObject;
    const names = Object.keys(object);
    return { pairs: names.slice(start, start + count).map((name) => [name, object[name]]), total: names.length };
  }

  gather(value, start, count) {
    const pairs = [];
    const stop = [pairs];
    let total = 0;
    const take = (name, each) => {
      if (total >= start && pairs.length < count) pairs.push([name(), each]);
      total += 1;
      if (total >= MAX_GATHERED) throw stop;
    };
    const { AssociativeCollection } = this.amber.globals;
    try {
      if (this.amber.classOf(value)._includesBehavior_(AssociativeCollection)) {
        value._keysAndValuesDo_((key, each) => take(() => this.printer.short(key, KEY_LIMIT), each));
      } else {
        value._do_((each) => take(() => String(total + 1), each));
      }
    } catch (thrown) {
      if (thrown !== stop) throw thrown;
    }
    return { pairs, total };
  }

  /** {value} of the part with that name, or null. */
  part(value, name) {
    const found = this.variables(value).find(([each]) => each === name) || this.element(value, name);
    return found ? { value: found[1] } : null;
  }

  element(value, name) {
    const all = this.elements(value, 0, MAX_GATHERED);
    return all ? all.pairs.find(([each]) => each === name) : null;
  }
}

module.exports = { Parts };
