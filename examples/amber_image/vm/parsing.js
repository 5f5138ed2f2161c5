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

class Finder extends Visitor {
  constructor(name, className) {
    super();
    Object.assign(this, { name, className, node: null });
  }

  found(className, name, node) {
    if (this.node === null && className === this.className && name === this.name) this.node = node;
  }

  use(name, node, known) {
    if (!known) this.found('UnknownVariableError', name, node);
  }

  assign(name, node) {
    this.found('InvalidAssignmentError', name, node);
  }

  declare(name, node, known) {
    if (known) this.found('ShadowingVariableError', name, node);
  }
}

/** Line and column of what a semantic error is about: the compiler itself tells no more than the name. */
function placeOf(tree, slots, className, name) {
  const finder = new Finder(name, className);
  walk(tree, new Set([...PSEUDO, ...slots]), finder);
  if (finder.node === null) return BEGINNING;
  const position = finder.node._position();
  return { line: position._x(), column: position._y() };
}

module.exports = { BEGINNING, Refusal, characterAt, parse, placeOf };
