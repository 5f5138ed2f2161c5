// How does the page talk to the daemon? One WebSocket, made again when it breaks; requests, answers, events.

import { decide } from "./reconnect.js";

const PROTOCOL = ["1.0.0"];
/** The daemon says something at least this often while it is asked every few seconds; else the network is gone. */
const SILENCE_MS = 20000;
const HELLO_MS = 15000;
/** Refusals of `hello` that are over after a while. */
const PASSING = new Set(["too_many_connections", "rate_limited", "shutting_down"]);
/** Requests that may wait for an answer; the page never has more than a few. */
const MAX_PENDING = 64;

/** An answer that is an error, or an answer that did not come. */
export class Failure extends Error {
  constructor(code, message, details = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

export class Link {
  /**
   * `onState` gets `{phase, text, retryAt}`: `connecting`, `online`, `waiting` (for the next attempt), `locked` (a
   * token is needed) or `stopped`. `onEvent` gets every event, `onOnline` what `hello` answered.
   */
  constructor(address, { onState, onEvent, onOnline }) {
    this._address = address;
    this._onState = onState;
    this._onEvent = onEvent;
    this._onOnline = onOnline;
    this._pending = new Map();
    this._serial = 0;
    this._attempt = 0;
    this._socket = null;
    this._timer = null;
    this._token = null;
    this._resume = null;
    this._online = false;
    this._heard = 0;
    this.phase = "connecting";
    setInterval(() => this._checkSilence(), 5000);
  }

  /** Connect; without a token the daemon is asked first whether it wants one. */
  open(token) {
    this._token = token;
    this._resume = null;
    this._attempt = 0;
    this._connect();
  }

  /** End the connection and forget the token. */
  logOut(text) {
    this._token = null;
    this._resume = null;
    this._drop();
    this._failPending("link_lost", "You logged out.");
    this._tell("locked", text);
  }

  /** Try again now, if the next attempt is being waited for. */
  hurry() {
    if (this.phase === "waiting") this._connect();
  }

  /** Ask the daemon; the promise gives the result or fails with a `Failure`. */
  ask(command, parameters = {}) {
    if (!this._online) return Promise.reject(new Failure("no_link", "There is no connection to the daemon."));
    if (this._pending.size >= MAX_PENDING) {
      return Promise.reject(new Failure("no_link", "The daemon has not answered earlier requests."));
    }
    return this._request(command, parameters);
  }

  _request(command, parameters) {
    this._serial += 1;
    const id = `ui-${Date.now().toString(36)}-${this._serial}`;
    const answered = new Promise((resolve, reject) => this._pending.set(id, { resolve, reject }));
    this._socket.send(JSON.stringify({ id, command, parameters }));
    return answered;
  }

  _tell(phase, text = "", retryAt = null) {
    this.phase = phase;
    this._onState({ phase, text, retryAt });
  }

  _drop() {
    clearTimeout(this._timer);
    const socket = this._socket;
    this._socket = null;
    this._online = false;
    socket?.close();
  }

  _connect() {
    this._drop();
    this._tell("connecting");
    const socket = new WebSocket(this._address, "stui.v1");
    this._socket = socket;
    this._heard = Date.now();
    socket.onopen = () => this._greet(socket);
    socket.onmessage = ({ data }) => this._receive(socket, data);
    socket.onclose = ({ code }) => this._closed(socket, code);
  }

  async _greet(socket) {
    try {
      if (this._token === null) {
        await this._request("ping", {});
        if (this._socket !== socket) return;
      }
      const greeting = await this._request("hello", {
        role: "client", protocol: PROTOCOL, token: this._token, resume_token: this._resume,
        client_info: { platform: "web page", version: PROTOCOL[0], capabilities: [] },
      });
      if (this._socket !== socket) return;
      this._online = true;
      this._attempt = 0;
      this._keepPending(new Set(greeting.in_flight));
      this._resume = greeting.resume_token;
      this._tell("online");
      this._onOnline(greeting);
    } catch (failure) {
      if (this._socket !== socket) return;
      if (failure.code === "authentication_required") {
        this._drop();
        this._tell("locked");
      } else if (failure.code === "authentication_failed") {
        this.logOut(`The daemon does not accept this token: ${failure.message}.`);
      } else if (failure.code === "too_many_attempts") {
        this.logOut("Too many wrong tokens came from this address. Wait a minute, then try again.");
      } else if (PASSING.has(failure.code)) {
        this._closed(socket, 4403);
        socket.close();
      } else if (failure.code !== "link_lost") {
        this.logOut(`The daemon does not let this page in: ${failure.message}.`);
      }
    }
  }

  _receive(socket, data) {
    if (this._socket !== socket) return;
    this._heard = Date.now();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.event !== undefined) {
      this._onEvent(message);
      return;
    }
    const waiting = this._pending.get(message.id);
    if (waiting === undefined) return;
    this._pending.delete(message.id);
    if (message.status === "success") waiting.resolve(message.result);
    else waiting.reject(new Failure(message.code, message.error, message.details));
  }

  _closed(socket, code) {
    if (this._socket !== socket) return;
    const greeted = this._online;
    this._socket = null;
    this._online = false;
    if (!greeted) this._failPending("link_lost", "The connection ended.");
    const { then, waitS, text } = decide(code, this._attempt, Math.random());
    if (then === "log_in") {
      this.logOut(text);
    } else if (then === "stop") {
      this._failPending("link_lost", text);
      this._tell("stopped", text);
    } else {
      this._attempt += 1;
      this._timer = setTimeout(() => this._connect(), waitS * 1000);
      this._tell("waiting", text, Date.now() + waitS * 1000);
    }
  }

  /** After a reconnect: answers that the daemon still owes come over this connection; the others never will. */
  _keepPending(owed) {
    const lost = [...this._pending].filter(([id]) => !owed.has(id));
    for (const [id, { reject }] of lost) {
      this._pending.delete(id);
      reject(new Failure("link_lost", "The connection broke before the daemon answered."));
    }
  }

  _failPending(code, text) {
    const waiting = [...this._pending.values()];
    this._pending.clear();
    for (const { reject } of waiting) reject(new Failure(code, text));
  }

  /** A network that went away says nothing: notice by the silence, while something is asked every few seconds. */
  _checkSilence() {
    if (document.hidden) this._heard = Math.max(this._heard, Date.now() - SILENCE_MS / 2);
    const limit = this._online ? SILENCE_MS : HELLO_MS;
    if (this._socket !== null && Date.now() - this._heard > limit) {
      const socket = this._socket;
      this._closed(socket, 1006);
      socket.close();
    }
  }
}
