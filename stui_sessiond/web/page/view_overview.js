// What does an operator see first? Whether anything is wrong, how busy the daemon is, and how fast.

import { Chart } from "./chart.js";
import { ago, bytes, count, duration, rough, short, visible } from "./format.js";
import { el, reconcile, say } from "./dom.js";

const SLOTS = 120;
/** A daemon that has just started has few points: they get more room. */
const FEWEST = 36;
const LATE_BACKUPS = 2.5;

export class Overview {
  constructor() {
    this.id = "overview";
    this.title = "Overview";
    this._tiles = new Map();
    const tiles = el("dl", { class: "tiles" });
    for (const [key, label] of [["sessions", "Active sessions"], ["connections", "Connections"], ["images", "Images"],
      ["running", "Evaluating now"], ["requests", "Requests / s"], ["memory", "Memory"], ["lag", "Loop lag"],
      ["uptime", "Up for"]]) {
      const value = el("dd", {}, "–");
      const note = el("dd", { class: "note" }, "\u00a0");
      tiles.append(el("div", { class: "tile" }, el("dt", {}, label), value, note));
      this._tiles.set(key, { value, note });
    }
    this._trouble = el("ul", { class: "trouble" });
    this._well = el("p", { class: "well" }, "Looking …");
    this._charts = [
      { chart: new Chart("Requests and events", [
        { label: "requests", of: (each) => each.requests / this._interval },
        { label: "events", of: (each) => each.events / this._interval }], " /s"), format: short },
      { chart: new Chart("Evaluations", [
        { label: "ended / s", of: (each) => each.evaluations / this._interval },
        { label: "under way", of: (each) => each.running }], ""), format: short },
      { chart: new Chart("Evaluation latency", [
        { label: "mean", of: (each) => each.evaluation_ms },
        { label: "95 % within", of: (each) => each.evaluation_p95_ms }], " ms"), format: short },
      { chart: new Chart("Journal sync latency", [
        { label: "mean", of: (each) => each.sync_ms },
        { label: "95 % within", of: (each) => each.sync_p95_ms }], " ms"), format: short },
    ];
    this._interval = 5;
    this._span = el("p", { class: "hint" }, "Collecting figures …");
    this.root = el("section", { "aria-labelledby": "overview-title" },
      el("h1", { id: "overview-title" }, "Overview"),
      el("div", { class: "card health" }, this._well, this._trouble), tiles,
      el("div", { class: "charts" }, ...this._charts.map(({ chart }) => chart.root)), this._span);
  }

  async refresh(ask) {
    const [statistics, figures, images, store] = await Promise.all([
      ask("get_session_statistics"), ask("get_figures", { limit: SLOTS }), ask("list_images"), ask("get_store_status")]);
    this._interval = figures.interval;
    const newest = figures.samples[figures.samples.length - 1];
    this._tile("sessions", count(statistics.total_sessions), `${count(statistics.active_clients)} owners`);
    const { total, clients, observers } = statistics.connections;
    this._tile("connections", count(total), `${count(clients)} clients, ${count(observers)} observers`);
    this._tile("images", count(statistics.images.connected), `${count(statistics.images.known)} known`);
    this._tile("uptime", rough(statistics.uptime_seconds), "without a restart");
    if (newest) {
      this._tile("running", count(newest.running), `${short(newest.evaluations / this._interval)} ended / s`);
      this._tile("requests", short(newest.requests / this._interval), `${short(newest.events / this._interval)} events / s`);
      this._tile("memory", bytes(newest.memory_bytes), "of the daemon");
      this._tile("lag", `${short(newest.lag_ms)} ms`, "over the last 5 s");
    }
    for (const { chart, format } of this._charts) chart.show(figures.samples, Math.max(FEWEST, figures.samples.length), format);
    const minutes = duration(figures.samples.length * this._interval);
    say(this._span, figures.samples.length ? `The last ${minutes}, one point for ${this._interval} s. The daemon keeps ten minutes.`
      : "The first figures come five seconds after the daemon's start.");
    const found = trouble(images.images, store, Date.now());
    say(this._well, found.length ? `${count(found.length)} thing${found.length === 1 ? "" : "s"} to look at`
      : "All is well: images, store and backups.");
    this._well.parentElement.classList.toggle("bad", found.length > 0);
    reconcile(this._trouble, found, (each) => each, (each) => el("li", {}, each));
  }

  _tile(key, value, note) {
    say(this._tiles.get(key).value, value);
    say(this._tiles.get(key).note, note);
  }
}

/** What is wrong, in sentences; `now` in milliseconds. */
export function trouble(images, store, now) {
  const found = [];
  if (store.status !== "ok") found.push(`The store is ${store.status}: ${store.detail ?? "see the daemon's log"}.`);
  else if (store.detail) found.push(`The store: ${visible(store.detail, 300)}.`);
  if (store.quarantined) found.push(`${count(store.quarantined)} damaged files are kept aside in quarantine.`);
  if (store.disk_bytes && store.disk_free_bytes < Math.min(store.disk_bytes * 0.05, 2 ** 30)) {
    found.push(`The disk is nearly full: ${bytes(store.disk_free_bytes)} left.`);
  }
  const newest = store.backups[0];
  if (store.backup_interval !== null && newest
    && now - Date.parse(newest.made_at) > LATE_BACKUPS * store.backup_interval * 1000) {
    found.push(`The newest backup is old: it was made ${ago(newest.made_at, now)}.`);
  }
  for (const image of images) {
    const name = visible(image.name ?? image.image_id, 60);
    if (image.health === "critical" || image.health === "warning") {
      found.push(`Image “${name}” needs a look: ${image.condition.replaceAll("_", " ")}.`);
    }
    if (image.status === "orphaned" && image.session_count) {
      found.push(`Image “${name}” is gone, and ${count(image.session_count)} sessions wait for it.`);
    }
    if (image.conflicts.length) found.push(`Image “${name}”: ${visible(image.conflicts[0].text, 300)}.`);
  }
  return found.slice(0, 12);
}
