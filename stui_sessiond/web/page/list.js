// How do long lists stay short? Pure: a bounded log of events, a filter, and a way through pages.

/** Keeps the newest `limit` items; tells how many were let go. */
export class Ring {
  constructor(limit) {
    this.limit = limit;
    this.dropped = 0;
    this._items = [];
  }

  get length() {
    return this._items.length;
  }

  push(item) {
    this._items.push(item);
    if (this._items.length >= this.limit * 2) this._trim();
  }

  _trim() {
    const over = this._items.length - this.limit;
    if (over > 0) {
      this._items.splice(0, over);
      this.dropped += over;
    }
  }

  clear() {
    this._items = [];
    this.dropped = 0;
  }

  /** The newest first, at most `count` that `wanted` says yes to, and how many there are of these. */
  newest(count, wanted = () => true) {
    this._trim();
    const found = [];
    let matching = 0;
    for (let index = this._items.length - 1; index >= 0; index -= 1) {
      if (wanted(this._items[index])) {
        matching += 1;
        if (found.length < count) found.push(this._items[index]);
      }
    }
    return { found, matching };
  }
}

/** Whether an event is of a kind ("" is any; "session" is all `session.*`) and has every word of a text somewhere. */
export function matches(event, kind, text) {
  if (kind && event.event !== kind && !event.event.startsWith(`${kind}.`)) return false;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return true;
  const hay = event.hay ?? `${event.event} ${event.session_id ?? ""} ${JSON.stringify(event.data ?? {})}`.toLowerCase();
  return words.every((word) => hay.includes(word));
}

/** Remembers the way through pages that only know their next one. */
export class Pager {
  constructor() {
    this._way = [null];
  }

  get cursor() {
    return this._way[this._way.length - 1];
  }

  get number() {
    return this._way.length;
  }

  reset() {
    this._way = [null];
  }

  forward(next) {
    if (next !== null && next !== undefined && next !== this.cursor) this._way.push(next);
  }

  back() {
    if (this._way.length > 1) this._way.pop();
  }
}

/** Which positions to resume from: those of the `limit` sessions that were heard of last. */
export class Positions {
  constructor(limit) {
    this.limit = limit;
    this._known = new Map();
  }

  note(event) {
    if (!event.session_id || event.epoch === undefined) return;
    this._known.delete(event.session_id);
    if (event.event === "session.closed" || event.event === "session.expired") return;
    this._known.set(event.session_id, { epoch: event.epoch, seq: event.seq });
    if (this._known.size > this.limit) this._known.delete(this._known.keys().next().value);
  }

  forget() {
    this._known.clear();
  }

  toJSON() {
    return Object.fromEntries(this._known);
  }
}
