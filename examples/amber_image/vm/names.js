'use strict';
// names.js answers: which names does a piece of code use without declaring them?

const PSEUDO = new Set(['self', 'super', 'nil', 'true', 'false', 'thisContext']);

class FreeNames {
  constructor() {
    this.used = new Set();
    this.assigned = new Set();
    this.literals = new Set();
  }
}

function walkAll(nodes, declared, names) {
  for (const node of nodes) walk(node, declared, names);
}

function walk(node, declared, names) {
  switch (node._class()._name()) {
    case 'MethodNode':
      walk(node._sequenceNode(), new Set([...declared, ...node._arguments()]), names);
      break;
    case 'BlockNode':
      walk(node._sequenceNode(), new Set([...declared, ...node._parameters()]), names);
      break;
    case 'SequenceNode':
    case 'BlockSequenceNode':
      walkAll(node._dagChildren(), new Set([...declared, ...node._temps()]), names);
      break;
    case 'AssignmentNode': {
      const name = node._left()._identifier();
      if (!declared.has(name)) names.assigned.add(name);
      walkAll([node._left(), node._right()], declared, names);
      break;
    }
    case 'ReturnNode':
      walk(node._expression(), declared, names);
      break;
    case 'VariableNode':
      if (!declared.has(node._identifier())) names.used.add(node._identifier());
      break;
    case 'ValueNode': {
      const value = node._value();
      if (typeof value === 'string') names.literals.add(value);
      break;
    }
    default:
      walkAll(node._dagChildren(), declared, names);
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

module.exports = { PSEUDO, freeNames, isCapitalised };
