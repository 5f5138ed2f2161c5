'use strict';
// browser.js answers: browse_class, get_method and list_classes. What code is in the image?

const { definitionOf } = require('./definitions');
const { RequestFailure } = require('./failure');
const { refuse } = require('./parameters');
const { cut } = require('./text');

const COMMENT_LIMIT = 200;
const PRINT_LIMIT = 2000;

/** The first comment of a method's source, skipping strings that contain quotes. */
function methodComment(source) {
  const found = /^(?:[^"']|'[^']*')*"((?:[^"]|"")*)"/.exec(source);
  return found ? found[1].replace(/""/g, '"').trim() : '';
}

function matcher(pattern) {
  if (!pattern) return () => true;
  const escaped = pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const text = pattern.includes('*') ? `^${escaped.replace(/\\\*/g, '[^]*')}$` : escaped;
  const expression = new RegExp(text, 'i');
  return (name) => expression.test(name);
}

class Browser {
  constructor({ amber, printer }) {
    this.amber = amber;
    this.printer = printer;
    this.systemPackages = new Set(amber.globals.Smalltalk._packages().map((each) => each._name()));
  }

  isSystemPackage(name) {
    return this.systemPackages.has(name);
  }

  find(name) {
    const found = this.amber.findClass(name);
    if (!found) throw new RequestFailure('class_not_found', `no class is named ${name}`, { class_name: name });
    return found;
  }

  /** The part of a class that lists and the browser both show. */
  summary(behavior) {
    const master = behavior.instanceClass || behavior;
    const superclass = behavior._superclass();
    const home = master._package();
    const packageName = this.amber.isNil(home) ? null : home._name();
    return {
      name: behavior._name(),
      superclass: this.amber.isNil(superclass) ? null : superclass._name(),
      comment: String(master._comment()),
      package: packageName,
      is_system: this.isSystemPackage(packageName),
    };
  }

  methodList(behavior) {
    return Object.values({ ...behavior.methods })
      .map((method) => ({ name: method._selector(), category: method._protocol() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  classSide(behavior) {
    return behavior.trait || behavior.meta ? null : behavior.a$cls;
  }

  /** The class or its class side, whichever holds the method that is meant. */
  side(className, isClassMethod) {
    const behavior = this.find(className);
    return isClassMethod ? this.classSide(behavior) || refuse('is_class_method', 'false: there is no class side') : behavior;
  }

  sideName(className, isClassMethod) {
    return isClassMethod ? `${className} class` : className;
  }

  methodOf(className, selector, isClassMethod) {
    const behavior = this.find(className);
    const holder = isClassMethod ? this.classSide(behavior) : behavior;
    if (holder && Object.prototype.hasOwnProperty.call(holder.methods, selector)) return holder.methods[selector];
    const details = { class_name: className, method_name: selector };
    const text = `${this.sideName(className, isClassMethod)} has no method ${selector}`;
    throw new RequestFailure('method_not_found', text, details);
  }

  /** Amber has no class variables; the slots of the class side are what comes closest. */
  classVariables(behavior) {
    const side = this.classSide(behavior);
    const names = side ? [...side._slots()] : [];
    return Object.fromEntries(names.map((name) => [name, this.printer.short(behavior[name], PRINT_LIMIT)]));
  }

  browseClass(parameters) {
    const name = parameters.name('class_name');
    const withMethods = parameters.boolean('include_methods', true);
    const withInstanceVariables = parameters.boolean('include_instance_vars', true);
    const withClassVariables = parameters.boolean('include_class_vars', true);
    const behavior = this.find(name);
    const side = this.classSide(behavior);
    return {
      class_info: { ...this.summary(behavior), definition: definitionOf(behavior) },
      instance_methods: withMethods ? this.methodList(behavior) : [],
      class_methods: withMethods && side ? this.methodList(side) : [],
      instance_vars: withInstanceVariables ? [...behavior._slots()] : [],
      class_vars: withClassVariables ? this.classVariables(behavior) : {},
    };
  }

  getMethod(parameters) {
    const className = parameters.name('class_name');
    const selector = parameters.name('method_name');
    const isClassMethod = parameters.boolean('is_class_method', false);
    const method = this.methodOf(className, selector, isClassMethod);
    return {
      method: {
        name: selector,
        source: method._source(),
        category: method._protocol(),
        is_class_method: isClassMethod,
        arguments: [...method._arguments()],
        comment: methodComment(method._source()),
      },
    };
  }

  listClasses(parameters) {
    const matches = matcher(parameters.string('pattern', ''));
    const packageName = parameters.string('package', null);
    const includeSystem = parameters.boolean('include_system', true);
    const limit = parameters.count('limit', 1000);
    const found = this.amber.core.traitsOrClasses
      .filter((behavior) => matches(behavior._name()))
      .map((behavior) => this.summary(behavior))
      .filter((summary) => includeSystem || !summary.is_system)
      .filter((summary) => packageName === null || summary.package === packageName)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const classes = found.slice(0, limit).map((each) => ({ ...each, comment: cut(each.comment, COMMENT_LIMIT) }));
    return { classes, total_count: found.length };
  }
}

module.exports = { Browser };
