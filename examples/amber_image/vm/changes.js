'use strict';
// changes.js answers: code_changed. Which code did evaluated code change?
//
// Amber's announcements tell that something changed, several times and in passing states where a class is made
// anew; what changed is found by comparing all code with what was known. Only what differs in the end is told.

const { definitionOf } = require('./definitions');
const { DO_IT } = require('./errors');

const UNCLASSIFIED = 'as yet unclassified';

/** The methods of its own; reads the fields, since messages to thousands of methods take their time. */
function methodsOf(behavior) {
  const known = new Map();
  for (const [selector, { source, protocol }] of Object.entries({ ...behavior.localMethods })) {
    if (selector !== DO_IT) known.set(selector, { source: source || '', category: typeof protocol === 'string' ? protocol : UNCLASSIFIED });
  }
  return known;
}

function sidesOf(behavior) {
  return behavior.trait ? [methodsOf(behavior)] : [methodsOf(behavior), methodsOf(behavior.a$cls)];
}

function classEvent(kind, name, source, previous) {
  return {
    kind, class_name: name, selector: null, is_class_method: false, category: null, source, previous_source: previous,
  };
}

function compareMethods(name, isClassSide, before, now, found) {
  const event = (kind, selector, present, previous) => {
    found.push({
      kind,
      class_name: name,
      selector,
      is_class_method: isClassSide,
      category: (present || previous).category,
      source: present ? present.source : null,
      previous_source: previous ? previous.source : null,
    });
  };
  for (const [selector, present] of now) {
    const previous = before.get(selector);
    const same = previous && previous.source === present.source && previous.category === present.category;
    if (!same) event('method', selector, present, previous);
  }
  for (const [selector, previous] of before) {
    if (!now.has(selector)) event('method_removed', selector, null, previous);
  }
}

/** What is different, in an order in which it can be done again. */
function compare(before, now) {
  const found = [];
  const nothing = { definition: null, sides: [] };
  for (const [name, present] of now) {
    const previous = before.get(name) || nothing;
    if (present.definition !== previous.definition) {
      found.push(classEvent('class', name, present.definition, previous.definition));
    }
  }
  for (const [name, present] of now) {
    const { sides } = before.get(name) || nothing;
    present.sides.forEach((methods, i) => compareMethods(name, i === 1, sides[i] || new Map(), methods, found));
  }
  for (const [name, previous] of before) {
    if (!now.has(name)) found.push(classEvent('class_removed', name, null, previous.definition));
  }
  return found;
}

class Changes {
  /** `emit(place, change)` tells one change; `present()` gives the session and tool whose code runs. */
  constructor(amber, { emit, present }) {
    Object.assign(this, { amber, emit, present });
    this.known = this.look();
    this.place = null;
    this.timer = null;
    const { SystemAnnouncer, ClassAnnouncement, MethodAnnouncement } = amber.globals;
    for (const kind of [ClassAnnouncement, MethodAnnouncement]) {
      SystemAnnouncer._current()._on_do_(kind, () => this.noticed());
    }
  }

  look() {
    const classes = this.amber.core.traitsOrClasses;
    return new Map(
      classes.map((behavior) => [
        behavior.name,
        { definition: definitionOf(behavior), sides: sidesOf(behavior) },
      ]),
    );
  }

  /** Something changed. What runs in the background has no end at which to look, so a timer looks as well. */
  noticed() {
    const place = this.present();
    if (this.place !== null && place !== this.place) this.tell();
    this.place = place;
    if (this.timer === null) this.timer = setTimeout(() => this.tell(), 0);
  }

  /** Tells what changed since the last time. */
  tell() {
    if (this.place === null) return;
    const { place, known } = this;
    this.forget();
    for (const change of compare(known, this.known)) this.emit(place, change);
  }

  /** Runs an action whose changes are not told: whoever asked for them knows. */
  quietly(action) {
    this.tell();
    try {
      return action();
    } finally {
      this.forget();
    }
  }

  forget() {
    clearTimeout(this.timer);
    this.timer = null;
    this.place = null;
    this.known = this.look();
  }
}

module.exports = { Changes };
