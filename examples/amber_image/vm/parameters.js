'use strict';
// parameters.js answers: is this parameter there and of the right type?
//
// null counts as "not given", as for every optional field of the protocol.

const { RequestFailure } = require('./failure');

function refuse(name, wanted) {
  throw new RequestFailure('invalid_parameters', `'${name}' must be ${wanted}`, { field: name });
}

class Parameters {
  constructor(values) {
    if (values !== undefined && (values === null || typeof values !== 'object' || Array.isArray(values))) {
      refuse('parameters', 'an object');
    }
    this.values = values || {};
  }

  given(name) {
    return this.values[name] !== undefined && this.values[name] !== null;
  }

  typed(name, fallback, type, wanted) {
    if (!this.given(name)) {
      if (fallback === undefined) refuse(name, `given as ${wanted}`);
      return fallback;
    }
    if (typeof this.values[name] !== type) refuse(name, wanted);
    return this.values[name];
  }

  /** A string; without a fallback it must be given. */
  string(name, fallback) {
    return this.typed(name, fallback, 'string', 'a string');
  }

  name(name) {
    const value = this.string(name);
    if (value === '') refuse(name, 'a string that is not empty');
    return value;
  }

  boolean(name, fallback) {
    return this.typed(name, fallback, 'boolean', 'true or false');
  }

  count(name, fallback) {
    const value = this.typed(name, fallback, 'number', 'a whole number');
    if (value !== fallback && (!Number.isSafeInteger(value) || value < 0)) refuse(name, 'a whole number, 0 or more');
    return value;
  }

  object(name) {
    const value = this.typed(name, null, 'object', 'an object');
    if (Array.isArray(value)) refuse(name, 'an object');
    return value;
  }

  /** A whole number from 1 to the greatest. */
  limit(name, fallback, greatest) {
    const value = this.count(name, fallback);
    if (value < 1 || value > greatest) refuse(name, `a whole number, 1 to ${greatest}`);
    return value;
  }

  /** A list of at most so many strings; without a fallback it must be given, and have one at least. */
  names(name, most, fallback) {
    if (!this.given(name) && fallback !== undefined) return fallback;
    const least = fallback === undefined ? 1 : 0;
    const value = this.values[name];
    const fits = Array.isArray(value) && value.length >= least && value.length <= most;
    if (!fits || !value.every((each) => typeof each === 'string')) refuse(name, `a list of ${least} to ${most} strings`);
    return value;
  }

  /** One of the words, exactly; without a fallback it must be given. */
  exactWord(name, words, fallback) {
    const value = this.string(name, fallback);
    return words.includes(value) ? value : refuse(name, `one of ${words.join(', ')}`);
  }

  /** One of the words, whatever its case; the first is the default. */
  word(name, words) {
    const value = this.string(name, words[0]);
    const found = words.find((word) => word.toLowerCase() === value.toLowerCase());
    return found || refuse(name, `one of ${words.join(', ')}`);
  }
}

module.exports = { Parameters, refuse };
