'use strict';
// parsing.js answers: what does a source say, and where does it go wrong?

const { PSEUDO, Visitor, walk } = require('./names');

const LINE_ENDS = /\r\n|\r|\n/g;
const BEGINNING = { line: 1, column: 1 };

/** A source that cannot become code. */
class Refusal extends Error {
  constructor(className, message, extra = {}) {
    super(message);
    this.className = className;
    this.extra = extra;
  }
}

/** The tree of a method's source. A refusal tells line and column, from 1, without the lines put before. */
function parse(amber, source, linesBefore = 0) {
  try {
    return amber.globals.Compiler._new()._basicParse_(source);
  } catch (error) {
    if (!error.location) throw error;
    const { line, column } = error.location.start;
    const found = typeof error.found === 'string' ? `unexpected ${JSON.stringify(error.found)}` : 'unexpected end';
    const position = { line: Math.max(1, line - linesBefore), column };
    const where = `line ${position.line} column ${position.column}`;
    throw new Refusal('ParseError', `Parse error on ${where}: ${found}`, position);
  }
}

/** Which character of the source, from 1, a line and column are. Characters are code points. */
function characterAt(source, { line, column }) {
  let start = 0;
  for (const end of [...source.matchAll(LINE_ENDS)].slice(0, line - 1)) start = end.index + end[0].length;
  return Array.from(source.slice(0, start + column - 1)).length + 1;
}

/** Line and column of the character at an offset of a node's source. */
function within(node, offset) {
  const lines = node._source().slice(0, offset).split('\n');
  const position = node._position();
  const last = lines[lines.length - 1].length;
  if (lines.length === 1) return { line: position._x(), column: position._y() + last };
  return { line: position._x() + lines.length - 1, column: last + 1 };
}

class Finder extends Visitor {
  constructor(name, className) {
    super();
    Object.assign(this, { name, className, place: null });
  }

  wants(className, name) {
    return this.place === null && className === this.className && name === this.name;
  }

  use(name, node, known) {
    if (!known && this.wants('UnknownVariableError', name)) this.place = within(node, 0);
  }

  assign(name, node) {
    if (this.wants('InvalidAssignmentError', name)) this.place = within(node, 0);
  }

  /** Declarations have no nodes of their own: the name is looked for in the text of what declares it. */
  declare(name, node, known) {
    if (!known || !this.wants('ShadowingVariableError', name)) return;
    const source = node._source();
    const start = node._class()._name() === 'SequenceNode' ? source.indexOf('|') : 0;
    const offset = source.slice(start).search(new RegExp(`\\b${name}\\b`));
    this.place = within(node, start + Math.max(0, offset));
  }
}

/** Line and column of what a semantic error is about: the compiler itself tells no more than the name. */
function placeOf(tree, slots, className, name) {
  const finder = new Finder(name, className);
  walk(tree, new Set([...PSEUDO, ...slots]), finder);
  return finder.place || BEGINNING;
}

module.exports = { BEGINNING, Refusal, characterAt, parse, placeOf };
