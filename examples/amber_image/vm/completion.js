'use strict';
// completion.js answers: code_completion. What could the name before the cursor become?
//
// Works on the text alone, so it also helps in code that does not parse yet. The cursor counts
// characters (code points), not UTF-16 units.

const { PSEUDO, isCapitalised } = require('./names');

const DEFAULT_LIMIT = 50;
const EXPRESSION_END = /(?:[A-Za-z][A-Za-z0-9]*|[0-9]|['")\]};])$/;

/** The class a literal right before the cursor has, for completing what it understands. */
function literalClass(before) {
  if (/'$/.test(before)) return 'String';
  if (/(?:^|[^A-Za-z0-9])[0-9][0-9.]*$/.test(before)) return 'Number';
  if (/[)]$/.test(before)) return /#\([^()]*\)$/.test(before) ? 'Array' : null;
  if (/\]$/.test(before)) return 'BlockClosure';
  if (/\}$/.test(before)) return /#\{[^{}]*\}$/.test(before) ? 'HashedCollection' : 'Array';
  return null;
}

function declaredNames(code) {
  const lists = [...code.matchAll(/\|([A-Za-z0-9\s]*)\|/g)].map((match) => match[1].trim().split(/\s+/));
  const parameters = [...code.matchAll(/:\s*([A-Za-z][A-Za-z0-9]*)(?=[\s|:])/g)].map((match) => match[1]);
  return [...new Set([...lists.flat(), ...parameters])].filter((name) => name !== '');
}

class Completion {
  constructor({ amber, scopes }) {
    this.amber = amber;
    this.scopes = scopes;
  }

  complete(parameters, place) {
    const characters = Array.from(parameters.string('code'));
    const position = parameters.count('cursor_position', characters.length);
    const limit = parameters.count('limit', DEFAULT_LIMIT);
    const text = characters.slice(0, position).join('');
    return { suggestions: this.suggest(text, characters.join(''), place).slice(0, limit) };
  }

  suggest(text, code, place) {
    const inPackage = /(?:package|category):\s*'([A-Za-z][A-Za-z0-9-]*)$/.exec(text);
    if (inPackage) return this.ranked(inPackage[1], this.packages());
    const prefix = (/[A-Za-z][A-Za-z0-9]*$/.exec(text) || [''])[0];
    if (prefix === '') return [];
    const before = text.slice(0, -prefix.length);
    if (before.endsWith('#')) return this.ranked(prefix, [...this.classes(), ...this.anySelectors()]);
    const scope = this.scopes.find(place.session, place.tool);
    if (EXPRESSION_END.test(before.trimEnd())) return this.ranked(prefix, this.selectorsAfter(before.trimEnd(), scope));
    const classes = isCapitalised(prefix) ? this.classes() : [];
    return this.ranked(prefix, [...this.variables(code, scope, prefix), ...classes]);
  }

  /** Those that begin with the prefix, best first: same case before other case, near before far. */
  ranked(prefix, candidates) {
    const folded = prefix.toLowerCase();
    const best = new Map();
    for (const { text, kind, detail, weight } of candidates) {
      if (!text.toLowerCase().startsWith(folded) || text === '') continue;
      const fit = text.startsWith(prefix) ? 1 : 0.5;
      const score = Math.round(fit * weight * (0.7 + (0.3 * prefix.length) / text.length) * 1000) / 1000;
      const known = best.get(text);
      if (!known || known.score < score) best.set(text, { text, kind, detail, score });
    }
    return [...best.values()].sort((a, b) => b.score - a.score || (a.text < b.text ? -1 : 1));
  }

  variables(code, scope, prefix) {
    const bound = scope ? scope.bindings() : [];
    return [
      ...bound.map(([text, value]) => this.variable(text, this.amber.className(value), 1)),
      ...declaredNames(code)
        .filter((text) => text !== prefix)
        .map((text) => this.variable(text, 'declared in this code', 0.98)),
      ...[...PSEUDO].map((text) => this.variable(text, 'pseudo variable', 0.95)),
    ];
  }

  variable(text, detail, weight) {
    return { text, kind: 'variable', detail, weight };
  }

  classes() {
    return this.amber.core.traitsOrClasses.map((behavior) => {
      const superclass = behavior._superclass();
      const above = this.amber.isNil(superclass) ? '' : ` < ${superclass._name()}`;
      return { text: behavior._name(), kind: 'class', detail: `${behavior._name()}${above}`, weight: 0.9 };
    });
  }

  packages() {
    return this.amber.globals.Smalltalk._packages().map((each) => {
      const name = each._name();
      return { text: name, kind: 'package', detail: 'package', weight: 1 };
    });
  }

  selectorsAfter(before, scope) {
    const behavior = this.receiverClass(before, scope);
    return behavior ? [...this.selectorsOf(behavior), ...this.anySelectors()] : this.anySelectors();
  }

  /** The class of a receiver that stands alone right before the cursor, when it is known. */
  receiverClass(before, scope) {
    const literal = literalClass(before);
    if (literal) return this.amber.findClass(literal);
    const [, ahead, name] = /(^|[^A-Za-z0-9])([A-Za-z][A-Za-z0-9]*)$/.exec(before) || [];
    if (name === undefined) return null;
    if (EXPRESSION_END.test(before.slice(0, -name.length).trimEnd()) && ahead !== '') return null;
    if (scope && scope.names.has(name)) return this.amber.classOf(scope.receiver[name]);
    const behavior = this.amber.findClass(name);
    return behavior && !behavior.trait ? behavior.a$cls : null;
  }

  selectorsOf(behavior) {
    const found = [];
    let weight = 1;
    for (let each = behavior; !this.amber.isNil(each); each = each._superclass()) {
      const detail = each._name();
      for (const text of Object.keys(each.methods)) found.push({ text, kind: 'method', detail, weight });
      weight = Math.max(0.8, weight - 0.05);
    }
    return found;
  }

  anySelectors() {
    const implementors = new Map();
    for (const behavior of this.amber.core.traitsOrClasses) {
      const sides = behavior.trait ? [behavior] : [behavior, behavior.a$cls];
      for (const side of sides) {
        for (const selector of Object.keys(side.methods)) {
          implementors.set(selector, (implementors.get(selector) || 0) + 1);
        }
      }
    }
    return [...implementors].map(([text, count]) => {
      const detail = count === 1 ? '1 implementor' : `${count} implementors`;
      return { text, kind: 'selector', detail, weight: 0.7 };
    });
  }
}

module.exports = { Completion };
