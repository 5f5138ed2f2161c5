// What happens now? The events that this page is sent: filtered, paused, and never more than it can hold.

import { clock, count, shortId, visible } from "./format.js";
import { Ring, matches } from "./list.js";
import { el, reconcile, say } from "./dom.js";

const KEPT = 1000;
const SHOWN = 200;
const KINDS = ["session", "context", "evaluation", "debugger", "client", "driver", "image", "transcript", "progress", "gap"];

export class Events {
  constructor() {
    this.id = "events";
    this.title = "Events";
    this._ring = new Ring(KEPT);
    this._serial = 0;
    this._paused = false;
    this._held = 0;
    this._frozen = null;
    this._waiting = false;
    this.visible = false;
    this._kind = el("select", { "aria-label": "Kind of event" }, el("option", { value: "" }, "all kinds"),
      ...KINDS.map((each) => el("option", { value: each }, each)));
    this._text = el("input", { type: "search", "aria-label": "Words in the event", placeholder: "Filter by words", maxlength: "200" });
    this._pause = el("button", { type: "button", class: "quiet", "aria-pressed": "false", on: { click: () => this._toggle() } }, "Pause");
    const clear = el("button", { type: "button", class: "quiet", on: { click: () => this._clear() } }, "Clear");
    for (const input of [this._kind, this._text]) input.addEventListener("input", () => this.draw());
    this._count = el("p", { class: "hint" });
    this._scope = el("p", { class: "hint" });
    this._list = el("ol", { class: "events", "aria-label": "Events, the newest first" });
    this.root = el("section", { "aria-labelledby": "events-title" }, el("h1", { id: "events-title" }, "Events"),
      el("div", { class: "controls" }, this._text, this._kind, this._pause, clear), this._scope, this._count,
      el("div", { class: "event-box", tabindex: "0", role: "region", "aria-label": "Event stream" }, this._list));
  }

  /** Say what of the daemon is heard here. */
  scope(text) {
    say(this._scope, text);
  }

  hear(event) {
    this._serial += 1;
    const shown = { n: this._serial, event: event.event, session_id: event.session_id ?? null, timestamp: event.timestamp,
      seq: event.seq, text: visible(JSON.stringify(event.data ?? {}), 400) };
    shown.hay = `${shown.event} ${shown.session_id ?? ""} ${shown.text}`.toLowerCase();
    this._ring.push(shown);
    if (this._paused) this._held += 1;
    if (!this._waiting && this.visible) {
      this._waiting = true;
      setTimeout(() => {
        this._waiting = false;
        this.draw();
      }, 250);
    }
  }

  /** Put a line of the page's own between events, such as that some may be missing. */
  note(text) {
    this.hear({ event: "gap", session_id: null, timestamp: new Date().toISOString(), data: { reason: text } });
  }

  _toggle() {
    this._paused = !this._paused;
    this._held = 0;
    this._frozen = this._paused ? this._serial : null;
    this._pause.setAttribute("aria-pressed", String(this._paused));
    say(this._pause, this._paused ? "Go on" : "Pause");
    this.draw();
  }

  _clear() {
    this._ring.clear();
    this._held = 0;
    this.draw();
  }

  draw() {
    const [kind, text] = [this._kind.value, this._text.value];
    const { found, matching } = this._ring.newest(SHOWN,
      (each) => (this._frozen === null || each.n <= this._frozen) && matches(each, kind, text));
    reconcile(this._list, found, (each) => each.n, (each) => el("li", { class: each.event.split(".")[0] },
      el("time", { datetime: each.timestamp }, clock(each.timestamp)), el("b", {}, visible(each.event, 60)),
      el("span", { class: "of" }, each.session_id === null ? "daemon" : shortId(each.session_id)),
      el("code", {}, each.text)));
    const older = this._ring.dropped ? `, ${count(this._ring.dropped)} older ones let go` : "";
    const held = this._paused ? ` Paused: ${count(this._held)} more came meanwhile.` : "";
    say(this._count, `${count(found.length)} of ${count(matching)} shown${older}.${held}`);
  }

  async refresh() {
    this.draw();
  }
}
