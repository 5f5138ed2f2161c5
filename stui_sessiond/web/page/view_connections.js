// Who is connected? Transport, role, names, since when, and what each is subscribed to.

import { count, shortId, visible } from "./format.js";
import { age, badge, el, reconcile, say, table } from "./dom.js";

const PAGE = 50;
const ROLES = { client: "good", image: "info", observer: "off" };

export class Connections {
  constructor(deeds, refreshSoon) {
    this.id = "clients";
    this.title = "Clients";
    this._deeds = deeds;
    this._offset = 0;
    this._table = table("Connections, the newest first", [["Client", "wide"], ["Role", "fit"], ["Transport", "fit"], ["Token", ""],
      ["Address", ""], ["Since", "fit"], ["Subscribed to", "wide"], ["Waiting", "num"], ["Actions", "act"]]);
    const turn = (step) => () => {
      this._offset = Math.max(0, this._offset + step);
      refreshSoon();
    };
    this._older = el("button", { type: "button", class: "quiet", on: { click: turn(PAGE) } }, "Older");
    this._newer = el("button", { type: "button", class: "quiet", on: { click: turn(-PAGE) } }, "Newer");
    this._where = el("span", { class: "where", "aria-live": "polite" });
    this.root = el("section", { "aria-labelledby": "clients-title" }, el("h1", { id: "clients-title" }, "Clients"),
      this._table.root, el("div", { class: "pages" }, this._newer, this._where, this._older));
  }

  async refresh(ask) {
    const { connections, total } = await ask("list_connections", { limit: PAGE, offset: this._offset });
    if (!connections.length && this._offset) this._offset = 0;
    const rows = connections;
    reconcile(this._table.body, rows, (each) => each.connection_id ?? `${each.address} ${each.since}`, (each) => this._row(each));
    say(this._where, total ? `${count(this._offset + 1)}–${count(this._offset + rows.length)} of ${count(total)}` : "Nobody is connected.");
    this._older.disabled = this._offset + rows.length >= total;
    this._newer.disabled = this._offset === 0;
  }

  _row(each) {
    const name = each.client_id ?? each.image_id;
    const heard = [...each.topics.map((topic) => visible(topic, 60)), ...each.sessions.slice(0, 4).map(shortId)];
    const rest = each.subscriptions - each.topics.length - Math.min(4, each.sessions.length);
    const can = each.client_id !== null && each.sessions.length > 0;
    return this._table.row([
      [el("b", {}, name === null ? "no name" : visible(name, 60)), el("small", {}, visible(each.connection_id ?? "before hello"))],
      each.role === null ? badge("none", "warn") : badge(each.role, ROLES[each.role]), visible(each.transport),
      visible(each.principal ?? "–", 40), visible(each.address ?? "–", 60), age(each.since),
      heard.length ? `${heard.join(", ")}${rest > 0 ? ` and ${count(rest)} more` : ""}` : "–",
      count(each.requests), can ? [this._deeds.detach(each)] : ""]);
  }
}
