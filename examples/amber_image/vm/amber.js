'use strict';
// amber.js answers: how is Amber loaded, and how does JavaScript reach into it?
//
// Amber comes as AMD modules. RequireJS takes a callback for a module factory unless it is a plain
// function, so the callback must not be async.

const path = require('node:path');
const requirejs = require('requirejs');

const MODULES = ['amber/boot', 'amber/lang', 'amber/core/Platform-Node'];

function loadModules() {
  const directory = path.dirname(require.resolve('@ambers/lang/package.json'));
  const load = requirejs.config({
    context: 'stui',
    nodeRequire: require,
    paths: { amber: path.join(directory, 'base'), 'amber/core': path.join(directory, 'src') },
    map: { '*': { amber_core: 'amber/core' } },
  });
  return new Promise((resolve, reject) => {
    load(MODULES, (boot, amber) => resolve({ boot, amber }), reject);
  });
}

class Amber {
  constructor(boot, amber) {
    this.globals = amber.globals;
    this.core = amber.api;
    this.nil = amber.nil;
    this.asReceiver = boot.asReceiver;
  }

  version() {
    return this.globals.Smalltalk._version();
  }

  isNil(value) {
    return value === undefined || value === null || value === this.nil;
  }

  classOf(value) {
    return this.asReceiver(value)._class();
  }

  className(value) {
    try {
      return String(this.classOf(value)._name());
    } catch {
      return 'JSObject';
    }
  }

  /** The class or trait of that name, 'Foo class' for a class side, or null. */
  findClass(name) {
    const [, base, meta] = /^([^]*?)( class)?$/.exec(name);
    if (!Object.prototype.hasOwnProperty.call(this.globals, base)) return null;
    const found = this.globals[base];
    if (!this.core.traitsOrClasses.includes(found)) return null;
    if (!meta) return found;
    return found.trait ? null : found.a$cls;
  }

  understands(value, selector) {
    const method = this.classOf(value).methods;
    return method !== undefined && selector in method;
  }

  /**
   * A class that no list, package or global name leads to. Amber puts every new class into its tables;
   * taken out again it works as before.
   */
  hiddenClass(visibleName) {
    const { globals, core } = this;
    const made = core.addClass(`Hidden${visibleName}${core.traitsOrClasses.length}`, globals.Object);
    if (!this.hiddenPackage) this.hiddenPackage = globals.Package._new_('Hidden');
    made._basicPackage_(this.hiddenPackage);
    core.removeClass(made);
    made.name = visibleName;
    return made;
  }
}

async function startAmber() {
  const { boot, amber } = await loadModules();
  await amber.initialize();
  return new Amber(boot, amber);
}

module.exports = { startAmber };
