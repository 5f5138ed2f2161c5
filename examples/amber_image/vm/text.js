'use strict';
// text.js answers: how does any object print, in bounded time, without ever raising?

const MARK = '...';

/** Text of at most limit characters; a cut text ends with '...' and never in half a character. */
function cut(text, limit) {
  if (text.length <= limit) return text;
  const kept = text.slice(0, limit - MARK.length);
  return (/[\uD800-\uDBFF]$/.test(kept) ? kept.slice(0, -1) : kept) + MARK;
}

function withArticle(name) {
  return `${/^[AEIOU]/i.test(name) ? 'an' : 'a'} ${name}`;
}

/** The text of a thrown thing, Smalltalk or JavaScript. */
function messageOf(error) {
  try {
    return String(error instanceof Error ? error._messageText() : error);
  } catch {
    return 'an error whose message cannot be printed';
  }
}

class Printer {
  constructor(amber) {
    this.amber = amber;
    this.standard = amber.globals.ProtoObject.methods.printString;
  }

  /** {text, truncated} of printString. */
  print(value, limit) {
    return this.guarded('printString', value, limit, (receiver) => {
      const method = this.amber.classOf(receiver).methods;
      const streams = method && method.printString === this.standard;
      return streams ? this.streamed(receiver, limit) : receiver._printString();
    });
  }

  /** {text, truncated} of displayString: strings without quotes. Amber itself has no displayString. */
  display(value, limit) {
    if (this.amber.isNil(value)) return this.print(value, limit);
    if (this.amber.understands(value, 'displayString')) {
      return this.guarded('displayString', value, limit, (receiver) => receiver._displayString());
    }
    if (typeof value !== 'string') return this.print(value, limit);
    return { text: cut(value, limit), truncated: value.length > limit };
  }

  short(value, limit) {
    return this.print(value, limit).text;
  }

  guarded(selector, value, limit, action) {
    if (this.amber.isNil(value)) return { text: 'nil', truncated: false };
    let text;
    try {
      text = String(action(this.amber.asReceiver(value)));
    } catch (error) {
      const name = withArticle(this.amber.className(value));
      text = `${name} (${selector} failed: ${cut(messageOf(error), 500)})`;
    }
    return { text: cut(text, limit), truncated: text.length > limit };
  }

  /**
   * printOn: into a stream that stops when it has more than was asked for. What is thrown to stop has
   * the form of a non-local return, which no on:do: in a printOn: can catch.
   */
  streamed(receiver, limit) {
    const stream = this.amber.globals.StringStream._on_('');
    const original = stream._nextPutAll_;
    const stop = [stream];
    let size = 0;
    stream._nextPutAll_ = function nextPutAll(text) {
      original.call(stream, text);
      size += String(text).length;
      if (size > limit) throw stop;
      return stream;
    };
    try {
      receiver._printOn_(stream);
    } catch (thrown) {
      if (thrown !== stop) throw thrown;
    }
    return stream._contents();
  }
}

module.exports = { Printer, cut, messageOf };
