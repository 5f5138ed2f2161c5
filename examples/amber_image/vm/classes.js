'use strict';
// classes.js answers: define_class and remove_class. How do classes come into the image, and leave it?

const { definitionOf } = require('./definitions');
const { RequestFailure } = require('./failure');
const { guard } = require('./guard');
const { PSEUDO } = require('./names');
const { refuse } = require('./parameters');
const { cut, messageOf } = require('./text');

const CLASS_NAME = /^[A-Z][a-zA-Z0-9]*$/;
const SLOT_NAME = /^[a-zA-Z][a-zA-Z0-9]*$/;
const NO_PACKAGE = 'unclassified';
const MAX_SLOTS = 1000;
const MESSAGE_LIMIT = 1000;

function checkSlots(field, names, inherited) {
  const seen = new Set();
  for (const name of names) {
    if (!SLOT_NAME.test(name) || PSEUDO.has(name)) refuse(field, `names like count or maxSize, not '${name}'`);
    if (seen.has(name)) refuse(field, `names that differ: '${name}' is there twice`);
    if (inherited.includes(name)) refuse(field, `other names than those above: '${name}' is inherited`);
    seen.add(name);
  }
}

class ClassKeeper {
  constructor({ amber, browser, changes }) {
    Object.assign(this, { amber, browser, changes });
  }

  defineClass(parameters) {
    const name = parameters.name('class_name');
    const wish = {
      superclass: parameters.string('superclass', 'Object'),
      slots: parameters.names('instance_vars', MAX_SLOTS, []),
      classSlots: parameters.names('class_vars', MAX_SLOTS, []),
      package: parameters.string('package', null),
      comment: parameters.string('comment', null),
    };
    const base = parameters.string('base_definition', null);
    const present = this.present(name);
    const above = this.browser.find(wish.superclass);
    this.check(present, above, wish);
    const previous = present ? definitionOf(present) : null;
    guard(base, previous, `class ${name}`);
    this.changes.quietly(() => this.make(name, above, wish, present));
    return { class_name: name, definition: definitionOf(this.browser.find(name)), previous_definition: previous };
  }

  /** The class of that name, or null when the name is free. */
  present(name) {
    if (!CLASS_NAME.test(name)) refuse('class_name', `a name like Counter (letters and digits), not '${name}'`);
    if (!Object.prototype.hasOwnProperty.call(this.amber.globals, name)) return null;
    const found = this.amber.findClass(name);
    if (!found || found.trait || found._name() !== name) refuse('class_name', `free: ${name} is no class of that name`);
    return found;
  }

  check(present, above, wish) {
    if (above.trait || above.meta) refuse('superclass', `a class, not ${above._name()}`);
    if (present && above._includesBehavior_(present)) refuse('superclass', `above ${present._name()}`);
    checkSlots('instance_vars', wish.slots, above._allSlotNames());
    checkSlots('class_vars', wish.classSlots, above.a$cls._allSlotNames());
    if (wish.package === '') refuse('package', 'a name that is not empty');
  }

  /** Makes it as asked. Amber may find out on the way that a method does not fit; then all is put back. */
  make(name, above, wish, present) {
    const packageName = wish.package || (present ? present._category() : NO_PACKAGE);
    const before = present
      ? [present._superclass(), [...present._slots()], [...present.a$cls._slots()], present._category()]
      : null;
    try {
      this.build(name, above, wish.slots, wish.classSlots, packageName);
    } catch (error) {
      if (before) this.build(name, ...before);
      else if (this.amber.findClass(name)) this.amber.globals.Smalltalk._removeClass_(this.amber.findClass(name));
      const text = `${name} cannot be defined so: ${this.amber.className(error)}: ${messageOf(error)}`;
      throw new RequestFailure('compile_error', cut(text, MESSAGE_LIMIT), { position: null, line: null });
    }
    const made = this.amber.findClass(name);
    if (wish.comment !== null && wish.comment !== made._comment()) made._comment_(wish.comment);
  }

  build(name, above, slots, classSlots, packageName) {
    const builder = this.amber.globals.ClassBuilder._new();
    const made = builder._superclass_subclass_slots_package_(above, name, slots, packageName);
    const side = made.a$cls;
    if (side._slots().join() !== classSlots.join()) side._slots_(classSlots);
  }

  removeClass(parameters) {
    const name = parameters.name('class_name');
    const base = parameters.string('base_definition', null);
    const found = this.browser.find(name);
    if (found.meta) refuse('class_name', 'a class, not a class side');
    const previous = definitionOf(found);
    guard(base, previous, `class ${name}`);
    const users = found.trait ? found._traitUsers() : found._subclasses();
    const names = users.map((each) => each._name());
    if (names.length > 0) refuse('class_name', `a class that no other needs; ${name} is needed by ${names.join(', ')}`);
    this.changes.quietly(() => this.amber.globals.Smalltalk._removeClass_(found));
    return { removed: true, previous_definition: previous };
  }
}

module.exports = { ClassKeeper };
