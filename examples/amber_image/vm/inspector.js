'use strict';
// inspector.js answers: inspect. What is in this object?

const MAX_DEPTH = 5;
const MAX_ELEMENTS = 100;
const MAX_NODES = 2000;
const ROOT_LIMIT = 100000;
const PART_LIMIT = 2000;
const KEY_LIMIT = 200;

function textHash(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

class Inspector {
  constructor({ amber, printer, workspace }) {
    Object.assign(this, { amber, printer, workspace });
    this.identities = new WeakMap();
    this.lastIdentity = 0;
  }

  inspect(parameters, place) {
    const target = parameters.string('target');
    const depth = Math.min(MAX_DEPTH, Math.max(1, parameters.count('depth', 1)));
    const includePrivate = parameters.boolean('include_private', false);
    const value = this.workspace.valueOf(target, place);
    const budget = { nodes: MAX_NODES };
    const root = this.describe(value, ROOT_LIMIT);
    const parts = this.parts(value, depth, [value], budget);
    return {
      object_info: { ...root, hash: this.hash(value), size: this.size(value) },
      instance_vars: parts,
      methods: this.selectors(value, includePrivate),
      ...(budget.nodes <= 0 ? { truncated: true } : {}),
    };
  }

  describe(value, limit) {
    return {
      class_name: this.amber.className(value),
      string_representation: this.printer.short(value, limit),
    };
  }

  /** The parts by name; null prototype, since a slot may be called __proto__. */
  parts(value, depth, above, budget) {
    const found = Object.create(null);
    for (const [name, part] of [...this.slots(value), ...this.elements(value)]) {
      if (budget.nodes <= 0) break;
      budget.nodes -= 1;
      const entry = this.describe(part, PART_LIMIT);
      if (part !== null && typeof part === 'object' && above.includes(part)) entry.cycle = true;
      else if (depth > 1) entry.instance_vars = this.parts(part, depth - 1, [...above, part], budget);
      found[name] = entry;
    }
    return found;
  }

  slots(value) {
    if (this.amber.isNil(value) || typeof value !== 'object') return [];
    const behavior = this.amber.classOf(value);
    if (behavior._name() === 'JSObjectProxy') return this.properties(value);
    return behavior._allInstanceVariableNames().map((name) => [name, value[name]]);
  }

  /** What a plain JavaScript object holds. */
  properties(value) {
    const object = value.jsObject === undefined ? value : value.jsObject;
    return Object.keys(object).slice(0, MAX_ELEMENTS).map((name) => [name, object[name]]);
  }

  elements(value) {
    const { globals } = this.amber;
    if (this.amber.isNil(value) || typeof value !== 'object') return [];
    if (Array.isArray(value)) return value.slice(0, MAX_ELEMENTS).map((each, i) => [String(i + 1), each]);
    const behavior = this.amber.classOf(value);
    if (!behavior._includesBehavior_(globals.Collection)) return [];
    try {
      return behavior._includesBehavior_(globals.AssociativeCollection)
        ? this.associations(value)
        : this.members(value);
    } catch {
      return [];
    }
  }

  associations(value) {
    const found = [];
    value._keysAndValuesDo_((key, each) => {
      if (found.length < MAX_ELEMENTS) found.push([this.printer.short(key, KEY_LIMIT), each]);
    });
    return found;
  }

  members(value) {
    const found = [];
    value._do_((each) => {
      if (found.length < MAX_ELEMENTS) found.push([String(found.length + 1), each]);
    });
    return found;
  }

  /** The same number for the same object as long as the image lives. */
  hash(value) {
    if (value === null || typeof value !== 'object') return textHash(this.printer.short(value, ROOT_LIMIT));
    if (!this.identities.has(value)) this.identities.set(value, (this.lastIdentity += 1));
    return this.identities.get(value);
  }

  size(value) {
    const { globals } = this.amber;
    if (this.amber.isNil(value)) return null;
    try {
      if (!this.amber.classOf(value)._includesBehavior_(globals.Collection)) return null;
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
