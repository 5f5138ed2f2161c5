// How are the images? Health, condition, what they can really do, doubts about who they are, and cleaning up.

import { count, short, visible } from "./format.js";
import { age, badge, el, reconcile, say } from "./dom.js";

const TONES = { healthy: "good", warning: "warn", critical: "bad", unknown: "off" };
const LINKS = { connected: "good", reconnecting: "warn", disconnected: "off", failed: "bad", orphaned: "warn", unknown: "off" };
const SHOWN = 60;

export class Images {
  constructor(deeds, showSessions) {
    this.id = "images";
    this.title = "Images";
    this._deeds = deeds;
    this._showSessions = showSessions;
    this._opened = new Set();
    this._ask = null;
    this._list = el("div", { class: "cards" });
    this._note = el("p", { class: "hint" });
    this.root = el("section", { "aria-labelledby": "images-title" },
      el("h1", { id: "images-title" }, "Images"), this._list, this._note);
  }

  async refresh(ask) {
    this._ask = ask;
    const { images } = await ask("list_images");
    const order = (each) => (each.status === "connected" ? 0 : 1);
    const shown = images.sort((one, other) => order(one) - order(other)).slice(0, SHOWN);
    const details = new Map();
    await Promise.all(shown.filter(({ image_id }) => this._opened.has(image_id)).map(async ({ image_id }) => {
      details.set(image_id, await ask("get_image_connection_status", { image_id }).catch(() => null));
    }));
    const rows = shown.map(({ last_seen, ...each }) => ({ ...each, seen: each.status === "connected" ? null : last_seen ?? "",
      detail: details.get(each.image_id) ?? null }));
    reconcile(this._list, rows, (each) => each.image_id, (each) => this._card(each));
    say(this._note, images.length > SHOWN ? `${count(SHOWN)} of ${count(images.length)} are shown.`
      : images.length ? "" : "No image has connected yet, and no session belongs to one.");
  }

  _card(each) {
    const capabilities = Object.entries(each.certificate);
    const opened = this._opened.has(each.image_id);
    const about = [each.dialect, each.version].filter(Boolean).map((word) => visible(word, 60)).join(" ") || "unknown dialect";
    const card = el("article", { class: `card image ${TONES[each.health]}` },
      el("div", { class: "image-head" },
        el("h2", {}, visible(each.name ?? each.image_id, 80)),
        badge(each.status, LINKS[each.status]), badge(each.health, TONES[each.health])),
      el("p", { class: "id" }, `${visible(each.image_id, 120)} · ${about}${each.generation === null ? "" : ` · generation ${each.generation}`}`),
      el("dl", { class: "facts" },
        fact("Condition", each.condition.replaceAll("_", " ")), fact("Sessions", count(each.session_count)),
        fact("Last seen", each.seen === null ? "now" : each.seen === "" ? "never" : age(each.seen))),
      ...each.conflicts.slice(0, 3).map((one) => el("p", { class: "conflict" },
        el("b", {}, `Doubt (${visible(one.kind).replaceAll("_", " ")}): `), visible(one.text, 400))),
      el("h3", {}, "Certificate"),
      capabilities.length ? el("ul", { class: "certificate" }, ...capabilities.map(([name, word]) =>
        el("li", { class: word }, el("span", { "aria-hidden": "true" }, { works: "✓", failed: "✗" }[word] ?? "?"),
          ` ${visible(name, 60)} `, el("small", {}, visible(word)))))
        : el("p", { class: "hint" }, "It has not said what it can do."));
    if (each.detail !== null && opened) card.append(...more(each.detail));
    card.append(el("div", { class: "buttons" },
      el("button", { type: "button", class: "small quiet", "aria-expanded": String(opened), data: { action: "more" },
        on: { click: () => this._toggle(each.image_id) } }, opened ? "Less" : "More"),
      el("button", { type: "button", class: "small quiet", data: { action: "sessions" },
        on: { click: () => this._showSessions(each.image_id) } }, "Sessions"),
      this._deeds.cleanUp(each)));
    return card;
  }

  _toggle(image_id) {
    if (!this._opened.delete(image_id)) this._opened.add(image_id);
    if (this._ask !== null) this.refresh(this._ask).catch(() => undefined);
  }
}

function fact(term, value) {
  return el("div", {}, el("dt", {}, term), el("dd", {}, value));
}

function more(detail) {
  return [el("p", {}, visible(detail.condition_text, 400)),
    el("dl", { class: "facts" }, fact("Address", visible(detail.address) || "–"),
      fact("Sign of life", detail.latency_ms === null ? "–" : `${short(detail.latency_ms)} ms`),
      fact("Unanswered", count(detail.pending_requests)), fact("Evaluating", count(detail.evaluating.length))),
    el("h3", {}, "Connections, the newest first"),
    el("ul", { class: "rows" }, ...detail.connections.slice(0, 5).map((each) => el("li", {}, el("span", {},
      `${new Date(each.connected_at).toLocaleString()} – ${each.disconnected_at === null ? "now" : new Date(each.disconnected_at).toLocaleString()}`,
      el("small", {}, visible(each.reason ?? each.address ?? ""))))))];
}
