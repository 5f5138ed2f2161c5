'use strict';
// search.js answers: list_packages, get_hierarchy and find_methods. Where in the code is something?

const DEFAULT_ROWS = 1000;
const DEFAULT_METHODS = 200;
const MAX_ROWS = 10000;
const QUESTIONS = ['senders', 'implementors', 'references', 'source'];

const MATCHES = {
  senders: (text) => (method) => method._messageSends().includes(text),
  implementors: (text) => (method) => method._selector() === text,
  references: (text) => (method) => method._referencedClasses().includes(text),
  source: (text) => (method) => method._source().includes(text),
};

function byName(a, b) {
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}

function byPlace(a, b) {
  if (a.class_name !== b.class_name) return a.class_name < b.class_name ? -1 : 1;
  if (a.selector !== b.selector) return a.selector < b.selector ? -1 : 1;
  return Number(a.is_class_method) - Number(b.is_class_method);
}

class Search {
  constructor({ amber, browser }) {
    Object.assign(this, { amber, browser });
  }

  listPackages(parameters) {
    const pattern = parameters.string('pattern', '').toLowerCase();
    const limit = parameters.limit('limit', DEFAULT_ROWS, MAX_ROWS);
    const packages = this.amber.globals.Smalltalk._packages()
      .map((each) => ({ name: each._name(), class_count: each._classes()._size() }))
      .filter(({ name }) => name.toLowerCase().includes(pattern))
      .sort(byName);
    return { packages: packages.slice(0, limit), total_count: packages.length };
  }

  getHierarchy(parameters) {
    const limit = parameters.limit('limit', DEFAULT_ROWS, MAX_ROWS);
    const behavior = this.browser.find(parameters.name('class_name'));
    const superclasses = behavior.trait ? [] : behavior._allSuperclasses().map((each) => each._name());
    const subclasses = this.below(behavior);
    return { superclasses, subclasses: subclasses.slice(0, limit), total_count: subclasses.length };
  }

  /** All that is below: each after the one it is directly below. Class sides only where one was asked for. */
  below(behavior) {
    if (behavior.trait) return [];
    const superclass = behavior._name();
    const found = behavior._subclasses().filter((each) => Boolean(each.meta) === Boolean(behavior.meta));
    const children = found.map((each) => ({ name: each._name(), superclass, each }));
    return children.sort(byName).flatMap(({ name, each }) => [{ name, superclass }, ...this.below(each)]);
  }

  findMethods(parameters) {
    const matches = MATCHES[parameters.exactWord('what', QUESTIONS)](parameters.name('text'));
    const packageName = parameters.string('package', null);
    const limit = parameters.limit('limit', DEFAULT_METHODS, MAX_ROWS);
    const methods = this.allMethods()
      .filter(({ method }) => matches(method))
      .map((found) => this.row(found))
      .filter((row) => packageName === null || row.package === packageName)
      .sort(byPlace);
    return { methods: methods.slice(0, limit), total_count: methods.length };
  }

  /** Each method once, where it is written. */
  allMethods() {
    const of = (behavior, name, isClassMethod) =>
      Object.values({ ...behavior.localMethods }).map((method) => ({ method, name, isClassMethod }));
    return this.amber.core.traitsOrClasses.flatMap((each) => {
      const side = this.browser.classSide(each);
      return [...of(each, each.name, false), ...(side ? of(side, each.name, true) : [])];
    });
  }

  row({ method, name, isClassMethod }) {
    const home = method._package();
    return {
      class_name: name,
      selector: method._selector(),
      is_class_method: isClassMethod,
      category: method._protocol(),
      package: this.amber.isNil(home) ? null : home._name(),
    };
  }
}

module.exports = { Search };
