'use strict';
// names.js answers: which names does a piece of code declare, use and assign?

const PSEUDO = new Set(['self', 'super', 'nil', 'true', 'false', 'thisContext']);

/** What a walk tells; `known` says whether the name is declared around there. */
class Visitor {
  declare(_name, _node, _known) {}

  use(_name, _node, _known) {}

  assign(_name, _node, _known) {}

  literal(_value) {}
}

function declareAll(declared, names, node, visitor) {
  const inner = new Set(declared);
  for (const name of names) {
    visitor.declare(name, node, inner.has(name));
    inner.add(name);
  }
  return inner;
}

function walkAll(nodes, declared, visitor) {
  for (const node of nodes) walk(node, declared, visitor);
}

/** Visits the names of a tree, in the order of the text. */
function walk(node, declared, visitor) {
  switch (node._class()._name()) {
    case 'MethodNode':
      walk(node._sequenceNode(), declareAll(declared, node._arguments(), node, visitor), visitor);
      break;
    case 'BlockNode':
      walk(node._sequenceNode(), declareAll(declared, node._parameters(), node, visitor), visitor);
      break;
    case 'SequenceNode':
    case 'BlockSequenceNode':
      walkAll(node._dagChildren(), declareAll(declared, node._temps(), node, visitor), visitor);
      break;
    case 'AssignmentNode': {
      const name = node._left()._identifier();
      visitor.assign(name, node, declared.has(name));
      walkAll([node._left(), node._right()], declared, visitor);
      break;
    }
    case 'ReturnNode':
      walk(node._expression(), declared, visitor);
      break;
    case 'VariableNode':
      visitor.use(node._identifier(), node, declared.has(node._identifier()));
      break;
    case 'ValueNode':
      visitor.literal(node._value());
      break;
    default:
      walkAll(node._dagChildren(), declared, visitor);
  }
}

class FreeNames extends Visitor {
  constructor() {
    super();
    this.used = new Set();
    this.assigned = new Set();
    this.literals = new Set();
  }

  use(name, _node, known) {
    if (!known) this.used.add(name);
  }

  assign(name, _node, known) {
    if (!known) this.assigned.add(name);
  }

  literal(value) {
    if (typeof value === 'string') this.literals.add(value);
  }
}

/** The names a parsed method uses or assigns without declaring them, and the strings it mentions. */
function freeNames(methodNode) {
  const names = new FreeNames();
  walk(methodNode, PSEUDO, names);
  return names;
}

function isCapitalised(name) {
  return /^[A-Z]/.test(name);
}

module.exports = { PSEUDO, Visitor, freeNames, isCapitalised, walk };
