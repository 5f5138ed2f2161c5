'use strict';
// definitions.js answers: by which text is a class defined?
//
// The text is Amber's own `definition`, and after it that of the class side where that has slots: evaluated,
// it makes the same class. Written here because a change is found by comparing the texts of all classes.

function symbol(name) {
  return `#${name}`;
}

function slotList(behavior) {
  return `slots: {${[...behavior.slots].map(symbol).join('. ')}}`;
}

function uses(behavior) {
  const composition = behavior.traitComposition;
  return composition && composition.length > 0 ? `\n\tuses: ${behavior._traitCompositionDefinition()}` : '';
}

function inPackage(behavior) {
  return `\n\tpackage: '${String(behavior._category()).replace(/'/g, "''")}'`;
}

function sideDefinition(side) {
  const traits = uses(side);
  return `${side.instanceClass.name} class${traits ? `${traits}\n\t` : ' '}${slotList(side)}`;
}

/** The definition of a class, a trait, or a class side. */
function definitionOf(behavior) {
  if (behavior.trait) return `Trait named: ${symbol(behavior.name)}${uses(behavior)}${inPackage(behavior)}`;
  if (behavior.meta) return sideDefinition(behavior);
  const above = behavior.superclass ? behavior.superclass.name : 'nil';
  const made = `${above} subclass: ${symbol(behavior.name)}${uses(behavior)}`;
  const own = `${made}\n\t${slotList(behavior)}${inPackage(behavior)}`;
  const side = behavior.a$cls;
  const plain = side.slots.length === 0 && uses(side) === '';
  return plain ? own : `${own}.\n${sideDefinition(side)}`;
}

module.exports = { definitionOf };
