// Puts the page together: the link, the parts, who is logged in, and what is asked when.

import { Actions } from "./action.js";
import { Deeds } from "./deed.js";
import { Link } from "./link.js";
import { Positions } from "./list.js";
import { Connections } from "./view_connections.js";
import { Evaluations } from "./view_evaluations.js";
import { Events } from "./view_events.js";
import { Images } from "./view_images.js";
import { Overview } from "./view_overview.js";
import { Sessions } from "./view_sessions.js";
import { Store } from "./view_store.js";
import { el, say, tellAges } from "./dom.js";

const TOKEN = "stui.token";
const EVERY_MS = 5000;
/** After an event that changes what is shown; many events make one question. */
const SOON_MS = 300;
/** Sessions whose streams are resumed after a break; a connection has at most 128 subscriptions. */
const RESUMED = 100;
const TOPICS = 120;

const $ = (id) => document.getElementById(id);

class App {
  constructor() {
    this._rights = [];
    this._server = null;
    this._positions = new Positions(RESUMED);
    this._topics = [];
    this._timer = null;
    this._busy = false;
    this._again = false;
    this._current = null;
    this._countdown = null;
    const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`;
    this._link = new Link(address, {
      onState: (state) => this._showState(state),
      onEvent: (event) => this._hear(event),
      onOnline: (greeting) => this._greet(greeting),
    });
    const ask = (command, parameters) => this._link.ask(command, parameters);
    this._ask = ask;
    const soon = () => this._refreshSoon(0);
    const deeds = new Deeds(ask, new Actions($("dialog"), () => this._rights), soon);
    this._sessions = new Sessions(deeds, soon);
    this._evaluations = new Evaluations(deeds);
    this._events = new Events();
    this._store = new Store(deeds);
    const images = new Images(deeds, (image_id) => {
      this._sessions.choose(image_id);
      this._go("sessions");
    });
    this._views = [new Overview(), this._sessions, images, new Connections(deeds, soon), this._evaluations,
      this._events, this._store];
    this._build();
  }

  start() {
    const token = sessionStorage.getItem(TOKEN);
    this._link.open(token);
    setInterval(() => this._refreshSoon(0), EVERY_MS);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this._link.hurry();
      this._refreshSoon(0);
    });
    addEventListener("online", () => this._link.hurry());
    addEventListener("hashchange", () => this._go(location.hash.slice(2), false));
  }

  _build() {
    for (const view of this._views) {
      view.root.hidden = true;
      $("views").append(view.root);
      $("nav").append(el("a", { href: `#/${view.id}`, data: { view: view.id } }, view.title));
    }
    $("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const token = $("token").value.trim();
      $("token").value = "";
      say($("login-error"), "");
      if (!token) return;
      sessionStorage.setItem(TOKEN, token);
      this._link.open(token);
    });
    $("logout").addEventListener("click", () => this._link.logOut(""));
    this._go(location.hash.slice(2) || "overview", false);
  }

  // ---- which part is shown

  _go(id, write = true) {
    const view = this._views.find((each) => each.id === id) ?? this._views[0];
    if (write && location.hash.slice(2) !== view.id) history.pushState(null, "", `#/${view.id}`);
    const moved = this._current !== null && this._current !== view;
    this._current = view;
    for (const each of this._views) each.root.hidden = each !== view;
    for (const link of $("nav").children) {
      if (link.dataset.view === view.id) {
        link.setAttribute("aria-current", "page");
        if (moved) link.scrollIntoView({ inline: "center", block: "nearest" });
      }
      else link.removeAttribute("aria-current");
    }
    this._events.visible = view === this._events;
    document.title = `${view.title} · stui_sessiond`;
    if (moved) scrollTo(0, 0);
    this._refreshSoon(0);
  }

  // ---- the connection

  async _greet(greeting) {
    this._rights = greeting.rights ?? [];
    const restarted = this._server !== null && this._server !== greeting.server_id;
    const again = this._server !== null;
    this._server = greeting.server_id;
    say($("version"), greeting.server_version);
    const may = this._rights.filter((right) => right !== "connect" && right !== "image");
    say($("rights"), may.length ? `may ${may.join(", ")}` : "may nothing here");
    this._store.greet();
    if (again) this._events.note(restarted ? "The daemon was started again." : "The connection broke and is back.");
    await this._subscribe();
    this._refreshSoon(0);
  }

  /** Hear of everything, or, without the right `admin`, of what belongs to images; go on where the stream broke. */
  async _subscribe() {
    const admin = this._rights.includes("admin");
    try {
      this._topics = admin ? ["all"] : (await this._ask("list_images")).images
        .filter(({ status }) => status === "connected").slice(0, TOPICS).map(({ image_id }) => `image:${image_id}`);
      this._events.scope(admin ? "" : "This token hears of sessions that belong to connected images; to hear of all takes the right “admin”.");
      if (!this._topics.length) return;
      const wish = { topics: this._topics, deltas: true };
      const positions = admin ? this._positions.toJSON() : {};
      const answer = await this._ask("subscribe", Object.keys(positions).length ? { ...wish, positions } : wish)
        .catch(() => {
          this._positions.forget();
          this._events.note("Events of the time without connection may be missing.");
          return this._ask("subscribe", wish);
        });
      if (!answer.recovered) this._events.note(`Events are missing: ${answer.gap?.reason ?? "they are not kept"}.`);
    } catch (failure) {
      this._events.scope(`Events cannot be heard now: ${failure.message}.`);
    }
  }

  _showState({ phase, text, retryAt }) {
    clearInterval(this._countdown);
    const banner = $("banner");
    banner.className = `banner ${phase}`;
    const locked = phase === "locked";
    if (locked) sessionStorage.removeItem(TOKEN);
    document.body.classList.toggle("offline", phase !== "online");
    if (phase === "connecting") say(banner, "Connecting …");
    else if (phase === "online") say(banner, "Live");
    else if (phase === "stopped") say(banner, text);
    else if (locked) say(banner, "Not logged in");
    else {
      say(banner, `${text} What is shown may be old. Trying again …`);
      banner.title = retryAt === null ? "" : `Next attempt at ${new Date(retryAt).toLocaleTimeString()}`;
    }
    if (phase === "online" || phase === "locked") {
      $("login").hidden = !locked;
      $("views").hidden = locked;
      $("nav").hidden = locked;
      $("account").hidden = locked;
    }
    if (locked) {
      say($("login-error"), text);
      $("dialog").close();
      $("token").focus();
      this._server = null;
      this._rights = [];
    }
  }

  _hear(event) {
    this._positions.note(event);
    this._events.hear(event);
    const evaluating = this._evaluations.hear(event);
    if (event.event === "image.connected" && event.session_id === null && !this._rights.includes("admin")) this._subscribe();
    const view = this._current.id;
    if (view === "evaluations" ? evaluating : view === "sessions" || view === "images" || view === "clients") this._refreshSoon(SOON_MS);
  }

  // ---- asking

  /** Ask for what is shown: soon, once, and not while an answer is waited for. */
  _refreshSoon(delayMs) {
    if (this._timer !== null) return;
    this._timer = setTimeout(() => {
      this._timer = null;
      this._refresh();
    }, delayMs);
  }

  async _refresh() {
    if (this._link.phase !== "online" || document.hidden) return;
    if (this._busy) {
      this._again = true;
      return;
    }
    this._busy = true;
    const view = this._current;
    try {
      await view.refresh(this._ask);
      tellAges(view.root);
      view.root.dataset.ready = "true";
    } catch (failure) {
      if (failure.code === undefined) console.error(failure);
      else if (failure.code !== "no_link" && failure.code !== "link_lost") this._events.note(`${view.title}: ${failure.message}`);
    } finally {
      this._busy = false;
      if (this._again) {
        this._again = false;
        this._refreshSoon(SOON_MS);
      }
    }
  }
}

new App().start();
