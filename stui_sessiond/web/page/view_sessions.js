// Which sessions are there, by image; and what is with one of them? A page at a time, whatever the daemon holds.

import { bytes, count, duration, shortId, visible } from "./format.js";
import { Pager } from "./list.js";
import { age, badge, el, reconcile, say, table } from "./dom.js";

const PAGE = 50;
const CHIPS = 24;
const TONES = { active: "good", expired: "warn", closed: "off" };

export class Sessions {
  constructor(deeds, refreshSoon) {
    this.id = "sessions";
    this.title = "Sessions";
    this._deeds = deeds;
    this._refreshSoon = refreshSoon;
    this._image = null;
    this._pager = new Pager();
    this._next = null;
    this._open = null;
    this._ask = null;
    this._chips = el("div", { class: "chips", role: "group", "aria-label": "Sessions by image" });
    this._search = el("input", { type: "search", "aria-label": "Search id, owner or name", placeholder: "Search id, owner, name", maxlength: "200" });
    this._status = el("select", { "aria-label": "Status" },
      ...["active", "expired", "closed", "all"].map((each) => el("option", { value: each }, each)));
    let timer = null;
    const again = () => {
      this._pager.reset();
      clearTimeout(timer);
      timer = setTimeout(refreshSoon, 200);
    };
    this._search.addEventListener("input", again);
    this._status.addEventListener("change", again);
    this._table = table("Sessions, the newest first", [["Session", "wide"], ["Owner", ""], ["Image", ""], ["Status", "fit"],
      ["Attached", "num"], ["Running", "num"], ["Size", "num"], ["Last used", "fit"], ["Actions", "act"]]);
    this._older = el("button", { type: "button", class: "quiet", on: { click: () => this._turn(() => this._pager.forward(this._next)) } }, "Older");
    this._newer = el("button", { type: "button", class: "quiet", on: { click: () => this._turn(() => this._pager.back()) } }, "Newer");
    this._where = el("span", { class: "where", "aria-live": "polite" });
    this._detail = el("section", { class: "card detail", hidden: true, "aria-label": "One session" });
    this.root = el("section", { "aria-labelledby": "sessions-title" },
      el("h1", { id: "sessions-title" }, "Sessions"), this._chips,
      el("div", { class: "controls" }, this._search, this._status), this._detail, this._table.root,
      el("div", { class: "pages" }, this._newer, this._where, this._older));
  }

  /** Show the sessions of one image. */
  choose(image_id) {
    this._image = image_id;
    this._pager.reset();
  }

  _turn(step) {
    step();
    this._refreshSoon();
  }

  async refresh(ask) {
    this._ask = ask;
    const wish = { status: this._status.value, image_id: this._image, search: this._search.value.trim() || null, limit: PAGE, before: this._pager.cursor };
    const [found, images, statistics] = await Promise.all([
      ask("list_sessions", wish), ask("list_images"), ask("get_session_statistics")]);
    this._next = found.next;
    this._drawChips(images.images, statistics.total_sessions);
    const rows = found.sessions;
    reconcile(this._table.body, rows, (each) => each.session_id, (each) => this._row(each));
    say(this._where, rows.length ? `Page ${this._pager.number}, ${count(rows.length)} shown`
      : found.next === null ? "There are none." : "None here; there may be older ones.");
    this._older.disabled = found.next === null;
    this._newer.disabled = this._pager.number === 1;
    if (this._open !== null) await this._showDetail(this._open).catch(() => this._closeDetail());
  }

  _drawChips(images, total) {
    const chips = images.filter((each) => each.session_count || each.status === "connected")
      .sort((one, other) => other.session_count - one.session_count).slice(0, CHIPS)
      .map(({ image_id, session_count, status }) => ({ image_id, session_count, status, chosen: image_id === this._image }));
    reconcile(this._chips, [{ image_id: null, session_count: total, chosen: this._image === null }, ...chips],
      (each) => JSON.stringify(each.image_id), (each) => el("button", {
        type: "button", class: "chip", "aria-pressed": String(each.chosen), data: { action: "chip" },
        on: { click: () => this._turn(() => this.choose(each.image_id)) },
      }, el("span", { class: `dot ${each.status ?? "all"}` }), each.image_id === null ? "All" : visible(each.image_id, 40),
      el("b", {}, count(each.session_count))));
  }

  _row(each) {
    const title = el("button", { type: "button", class: "link", data: { action: "open" }, on: { click: () => this._show(each.session_id) } },
      each.name === null ? shortId(each.session_id) : visible(each.name, 60));
    const under = each.name === null ? null : el("small", {}, shortId(each.session_id));
    const buttons = each.status === "closed" ? [] : [this._deeds.close(each)];
    return this._table.row([[title, under], visible(each.client_id, 60), each.image_id === null ? "–" : visible(each.image_id, 60),
      badge(each.status, TONES[each.status]), count(each.attached_clients), count(each.running), bytes(each.size_bytes),
      age(each.last_activity), buttons]);
  }

  async _show(session_id) {
    this._open = session_id;
    try {
      await this._showDetail(session_id);
    } catch (failure) {
      this._detail.replaceChildren(el("p", { class: "outcome bad" }, failure.message), this._closer());
    }
    this._detail.hidden = false;
    this._detail.scrollIntoView({ block: "start" });
    this._detail.querySelector("button")?.focus();
  }

  _closer() {
    return el("button", { type: "button", class: "quiet small", data: { action: "hide" }, on: { click: () => this._closeDetail() } }, "Hide");
  }

  _closeDetail() {
    this._open = null;
    this._detail.hidden = true;
    this._detail.drawn = null;
  }

  async _showDetail(session_id) {
    const [info, presence, evaluated] = await Promise.all([
      this._ask("get_session_info", { session_id }), this._ask("get_presence", { session_id }),
      this._ask("list_evaluations", { session_id, limit: 10 })]);
    const running = evaluated.evaluations.filter(({ status }) => status === "running" || status === "queued");
    const state = JSON.stringify([info.version, info.image_id, info.is_active, presence, evaluated]);
    if (this._detail.drawn === state) return;
    const focused = this._detail.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    this._detail.drawn = state;
    const facts = [["Owner", visible(info.client_id)], ["Image", info.image_id === null ? "none" : visible(info.image_id)],
      ["Version", count(info.version)], ["Size", bytes(info.size_bytes)], ["Created", new Date(info.created_at).toLocaleString()],
      ["Expires in", info.is_expired ? "over" : duration(info.time_until_expiry)], ["Drives", visible(presence.driver) || "nobody"]];
    this._detail.replaceChildren(
      el("div", { class: "detail-head" }, el("h2", {}, visible(info.name) || "Session"), this._closer(),
        this._deeds.close({ session_id, client_id: info.client_id, attached_clients: info.attached_clients, running: running.length })),
      el("p", { class: "id" }, visible(session_id, 300)),
      el("dl", { class: "facts" }, ...facts.map(([term, fact]) => el("div", {}, el("dt", {}, term), el("dd", {}, fact)))),
      el("h3", {}, `Attached (${presence.attached.length})`),
      presence.attached.length ? el("ul", { class: "rows" }, ...presence.attached.slice(0, PAGE).map((each) => el("li", {},
        el("span", {}, visible(each.client_id, 80), el("small", {}, `${each.role}, ${visible(each.connection_id)}`)),
        this._deeds.detach({ ...each, sessions: [session_id] }))))
        : el("p", { class: "hint" }, "No client that named itself listens now."),
      el("h3", {}, "Evaluations, the newest first"),
      evaluated.evaluations.length ? el("ul", { class: "rows" }, ...evaluated.evaluations.map((each) => el("li", {},
        el("span", {}, el("code", {}, visible(each.code ?? each.command, 120)),
          el("small", {}, outcome(each))),
        running.includes(each) ? this._deeds.interrupt({ session_id, ...each }) : "")))
        : el("p", { class: "hint" }, "Nothing was evaluated."));
    if (focused) this._detail.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus();
  }
}

function outcome(each) {
  const shown = each.display === null ? "" : `: ${visible(each.display, 160)}`;
  const took = each.duration === null ? "" : `, ${duration(each.duration)}`;
  return `${each.status}${each.has_error ? " with an error" : ""}${took}${shown}`;
}
