'use strict';
// system.js answers: system_info. What kind of image is this, and how is it?

const TYPES = ['Basic', 'Memory', 'Packages', 'Environment', 'All'];

class System {
  constructor({ amber, browser }) {
    this.amber = amber;
    this.browser = browser;
  }

  systemInfo(parameters) {
    const type = parameters.word('info_type', TYPES);
    const parts = {
      Basic: () => this.basic(),
      Memory: () => this.memory(),
      Packages: () => this.packages(),
      Environment: () => this.environment(),
    };
    const wanted = type === 'All' ? Object.values(parts) : [parts[type]];
    return { info: Object.assign({}, ...wanted.map((part) => part())) };
  }

  basic() {
    return {
      dialect: 'Amber',
      version: this.amber.version(),
      vm: `Node ${process.version}`,
      class_count: this.amber.core.traitsOrClasses.length,
      uptime: process.uptime(),
    };
  }

  memory() {
    const usage = process.memoryUsage();
    return { rss: usage.rss, heap_used: usage.heapUsed, heap_total: usage.heapTotal };
  }

  packages() {
    const packages = this.amber.globals.Smalltalk._packages().map((each) => ({
      name: each._name(),
      class_count: each._classes()._size(),
      is_system: this.browser.isSystemPackage(each._name()),
    }));
    return { packages: packages.sort((a, b) => (a.name < b.name ? -1 : 1)) };
  }

  environment() {
    return { platform: process.platform, arch: process.arch, node_version: process.version, pid: process.pid };
  }
}

module.exports = { System };
