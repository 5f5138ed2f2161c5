'use strict';
// contexts.js answers: which context of Smalltalk stands at present, also after code was unwound from outside?
//
// Amber's kernel keeps its current context to itself and puts it back when a method returns. What is unwound
// from outside returns nowhere, and the kernel would go on from a context that is long gone. So the
// two functions that compiled code calls are replaced by ones of the same meaning that can begin anew.

class Contexts {
  constructor(amber) {
    const MethodContext = amber.globals.MethodContext.fn;
    this.current = null;
    amber.core.withContext = (worker, setup) => {
      const outer = this.current;
      const context = (this.current = new MethodContext(outer, setup));
      if (outer !== null) {
        const result = worker(context);
        this.current = outer;
        return result;
      }
      try {
        return worker(context);
      } finally {
        this.current = null;
      }
    };
    amber.core.getThisContext = () => {
      if (this.current !== null) this.current.setup(this.current);
      return this.current;
    };
  }

  /** Nothing is executed: whatever comes next is the outermost. */
  beginAnew() {
    this.current = null;
  }
}

module.exports = { Contexts };
