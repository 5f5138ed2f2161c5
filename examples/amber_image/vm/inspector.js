'use strict';
// inspector.js answers: inspect. What is in this object?

const { RequestFailure } = require('./failure');
const { refuse } = require('./parameters');

const MAX_DEPTH = 5;
const MAX_PATH = 64;
const DEFAULT_ELEMENTS = 100;
const MAX_ELEMENTS = 1000;
const MAX_NODES = 2000;
const ROOT_LIMIT = 100000;
const PART_LIMIT = 2000;

function textHash(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

class Inspector {
  constructor({ amber, printer, workspace, parts, handles }) {
    Object.assign(this, { amber, printer, workspace, parts, handles });
    this.identities = new WeakMap();
    this.lastIdentity = 0;
  }

  inspect(parameters, place) {
    const depth = Math.min(MAX_DEPTH, parameters.count('depth', 1));
    const start = parameters.count('start', 0);
    const count = parameters.limit('count', DEFAULT_ELEMENTS, MAX_ELEMENTS);
    const includePrivate = parameters.boolean('include_private', false);
    const keep = parameters.boolean('keep', false);
    const path = parameters.names('path', MAX_PATH, []);
    const value = this.follow(this.origin(parameters, place), path);
    const page = this.parts.elements(value, start, count);
    const budget = { nodes: MAX_NODES };
    const shown = [...(start > 0 ? [] : this.parts.variables(value)), ...(page ? page.pairs : [])];
    return {
      object_info: { ...this.describe(value, ROOT_LIMIT), hash: this.hash(value), size: this.size(value, page) },
      instance_vars: depth > 0 ? this.describeAll(shown, depth, [value], budget) : {},
      methods: this.selectors(value, includePrivate),
      ...(page ? { elements_total: page.total, more: start + page.pairs.length < page.total } : {}),
      ...(keep ? { handle: this.handles.keep(place.session, value) } : {}),
      ...(budget.nodes <= 0 ? { truncated: true } : {}),
    };
  }

  /** The object that the expression or the handle gives. */
  origin(parameters, place) {
    const handle = parameters.string('handle', null);
    if (handle === null) return this.workspace.valueOf(parameters.string('target'), place);
    if (parameters.given('target')) refuse('handle', 'given without target');
    return this.handles.find(place.session, handle);
  }

  follow(origin, path) {
    let value = origin;
    path.forEach((name, i) => {
      const part = this.parts.part(value, name);
      if (part === null) {
        const text = `${this.amber.className(value)} has no part named ${name}`;
        throw new RequestFailure('object_not_found', text, { path: path.slice(0, i) });
      }
      ({ value } = part);
    });
    return value;
  }

  describe(value, limit) {
    return {
      class_name: this.amber.className(value),
      string_representation: this.printer.short(value, limit),
    };
  }

  /**
   * The parts by name; null prototype, since a slot may be called __proto__. A level is described before those
   * below it, so that what is left out for want of room is always the deepest.
   */
  describeAll(pairs, depth, above, budget) {
    const found = Object.create(null);
    const deeper = [];
    for (const [name, part] of pairs) {
      if (budget.nodes <= 0) break;
      budget.nodes -= 1;
      found[name] = this.describe(part, PART_LIMIT);
      if (part !== null && typeof part === 'object' && above.includes(part)) found[name].cycle = true;
      else if (depth > 1) deeper.push([found[name], part]);
    }
    for (const [entry, part] of deeper) {
      entry.instance_vars = this.describeAll(this.inner(part), depth - 1, [...above, part], budget);
    }
    return found;
  }

  inner(value) {
    const page = this.parts.elements(value, 0, DEFAULT_ELEMENTS);
    return [...this.parts.variables(value), ...(page ? page.pairs : [])];
  }

  /** The same number for the same object as long as the image lives. */
  hash(value) {
    if (value === null || typeof value !== 'object') return textHash(this.printer.short(value, ROOT_LIMIT));
    if (!this.identities.has(value)) this.identities.set(value, (this.lastIdentity += 1));
    return this.identities.get(value);
  }

  size(value, page) {
    if (page) return page.total;
    if (this.amber.isNil(value)) return null;
    try {
      if (!this.parts.isCollection(value)) return null;
      const size = this.amber.asReceiver(value)._size();
      return Number.isFinite(size) ? size : null;
    } catch {
      return null;
    }
  }

  selectors(value, includePrivate) {
    const methods = Object.values({ ...this.amber.classOf(value).methods });
    const shown = methods.filter((method) => includePrivate || !/^private/.test(method._protocol()));
    return shown.map((method) => method._selector()).sort();
  }
}

module.exports = { Inspector };
