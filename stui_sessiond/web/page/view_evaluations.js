// What runs, and what ran? Under way: from the daemon. Recently: what this page heard since it was opened.

import { count, duration, shortId, visible } from "./format.js";
import { Ring } from "./list.js";
import { age, badge, el, reconcile, say, table } from "./dom.js";

const RECENT = 100;
const SHOWN = 40;

export class Evaluations {
  constructor(deeds) {
    this.id = "evaluations";
    this.title = "Evaluations";
    this._deeds = deeds;
    this._recent = new Ring(RECENT);
    this._codes = new Map();
    this._running = table("Evaluations under way, the oldest first", [["Code", "wide"], ["Status", "fit"], ["Client", ""],
      ["Session", "fit"], ["Image", ""], ["For", "fit"], ["Actions", "act"]]);
    this._ended = table("Evaluations that ended", [["Code", "wide"], ["Outcome", "fit"], ["Client", ""], ["Session", "fit"],
      ["Took", "num"], ["Result", "wide"], ["Ended", "fit"]]);
    this._runningNote = el("p", { class: "hint" });
    this._recentNote = el("p", { class: "hint" });
    this.root = el("section", { "aria-labelledby": "evaluations-title" },
      el("h1", { id: "evaluations-title" }, "Evaluations"),
      el("h2", {}, "Under way"), this._running.root, this._runningNote,
      el("h2", {}, "Recent"), this._ended.root, this._recentNote);
  }

  /** Take an event; tell whether what is under way changed. */
  hear(event) {
    const data = event.data ?? {};
    if (event.event === "evaluation.accepted") {
      this._codes.set(`${event.session_id} ${data.evaluation}`, data.code);
      if (this._codes.size > 1000) this._codes.delete(this._codes.keys().next().value);
    } else if (event.event === "evaluation.finished" || event.event === "evaluation.lost") {
      const key = `${event.session_id} ${data.evaluation}`;
      this._recent.push({ key: `${key} ${event.seq}`, session_id: event.session_id, at: event.timestamp, code: this._codes.get(key) ?? null,
        status: event.event === "evaluation.lost" ? "lost" : data.status, has_error: data.has_error ?? false,
        client_id: data.client_id ?? null, duration: data.duration ?? null, display: data.display ?? data.reason ?? null });
      this._codes.delete(key);
    }
    return event.event.startsWith("evaluation.");
  }

  async refresh(ask) {
    const { evaluations, total } = await ask("list_running_evaluations", { limit: 100 });
    reconcile(this._running.body, evaluations, (each) => `${each.session_id} ${each.evaluation}`, (each) => this._running.row([
        el("code", {}, visible(each.code ?? each.command, 160)), badge(each.status, each.status === "running" ? "good" : "warn"),
        visible(each.client_id ?? "–", 60), shortId(each.session_id), visible(each.image_id ?? "–", 60), age(each.accepted_at, true),
        [this._deeds.interrupt(each)]]));
    say(this._runningNote, total ? `${count(total)} under way${total > evaluations.length ? `, ${count(evaluations.length)} shown` : ""}.`
      : "No code runs now. What an image worked on when the daemon was started again is in its session's list.");
    const { found, matching } = this._recent.newest(SHOWN);
    reconcile(this._ended.body, found, (each) => each.key, (each) => this._ended.row([
      el("code", {}, visible(each.code ?? "–", 160)),
      badge(each.has_error ? "error" : each.status, each.has_error || each.status !== "done" ? "bad" : "good"),
      visible(each.client_id ?? "–", 60), shortId(each.session_id), each.duration === null ? "–" : duration(each.duration),
      visible(each.display ?? "", 160), age(each.at)]));
    say(this._recentNote, matching ? "As this page heard of them. A session's own list, which outlives the daemon, is under Sessions."
      : "None ended since this page was opened. Those before are in each session's own list, under Sessions.");
  }
}
