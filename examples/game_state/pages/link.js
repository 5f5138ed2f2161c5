// One shared state over WebSocket, or over server-sent events and POST /rpc. It connects again by itself, goes on from
// the last event it has, and says the truth about its connection. Each change has a key, so that one that is sent again
// because its answer was lost happens once.
import { EventStream, rpc } from "./http.js";
import { Socket } from "./socket.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8000;
const ANSWER_MS = 10000; // how long an answer may take before the connection counts as broken
const TRIES = 3;
const FINAL = new Set(["authentication_failed", "authentication_required", "session_not_shared", "session_not_found",
  "session_closed", "session_expired", "client_not_allowed", "permission_denied"]);

export class Link {
  constructor(ticket, told) {
    this.ticket = ticket;
    this.told = told;
    this.state = null;
    this.version = 0;
    this.position = null;
    this.log = []; // [epoch, seq] of all events that were taken, for the tests
    this.gaps = 0;
    this.connections = 0;
    this.attempt = 0;
    this.queued = false;
    this.last = Promise.resolve();
    this.pending = null; // the change that has no answer yet
    this.timer = null;
    this.channel = null;
  }

  start() {
    window.addEventListener("online", () => this.hurry());
    window.addEventListener("offline", () => this.channel?.close("offline"));
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    this.connect();
  }

  hurry() {
    if (this.timer !== null) {
      clearTimeout(this.timer);
      this.connect();
    }
  }

  connect() {
    this.timer = null;
    this.say({ state: "connecting" });
    const Channel = this.ticket.transport === "sse" ? EventStream : Socket;
    const channel = new Channel(this.ticket, this.position, {
      open: (answer) => this.opened(channel, answer),
      event: (event) => channel === this.channel && this.heard(event),
      closed: (why) => this.closed(channel, why),
    });
    this.channel = channel;
  }

  // The answer to `subscribe`: where the stream is, and the state there. What was missed follows as events.
  opened(channel, answer) {
    if (channel !== this.channel) return;
    this.attempt = 0;
    this.connections += 1;
    if (this.position === null || !answer.recovered) {
      if (this.position !== null) this.gaps += 1;
      this.position = answer.position;
      this.take(answer.state.session_state, answer.state.version);
    }
    this.say({ state: "live" });
    if (this.pending) this.send(this.pending);
  }

  heard(event) {
    if (event.event === "gap") {
      this.channel.close("gap");
      this.position = null;
      return;
    }
    const same = this.position !== null && event.epoch === this.position.epoch;
    if (same && event.seq <= this.position.seq) return; // known already
    if (!same || event.seq !== this.position.seq + 1) {
      this.position = null; // something is missing: begin with the whole state
      this.channel.close("hole");
      return;
    }
    this.position = { epoch: event.epoch, seq: event.seq };
    this.log.push([event.epoch, event.seq]);
    this.told.event(event);
    if (event.event === "session.updated" && event.data.version > this.version) {
      if (event.data.session_state) this.take(event.data.session_state, event.data.version);
      else this.version = event.data.version; // of events that are replayed together the newest has the state
    }
  }

  take(state, version) {
    this.state = state;
    this.version = version;
    this.told.state(state, version);
  }

  closed(channel, why) {
    if (channel !== this.channel) return;
    this.channel = null;
    if (FINAL.has(why.code)) {
      this.say({ state: "refused", code: why.code });
      return;
    }
    const wait = Math.min(FIRST_WAIT_MS * 2 ** this.attempt, LONGEST_WAIT_MS) * (0.5 + Math.random() / 2);
    this.attempt += 1;
    this.say({ state: navigator.onLine ? "waiting" : "offline", wait });
    this.timer = setTimeout(() => this.connect(), wait);
  }

  say(status) {
    this.told.status(status);
  }

  // Make a transition, after the one that is under way; `change` makes the change from the state. Resolves with the error
  // of the daemon, or null.
  apply(transition, change) {
    if (this.queued) return Promise.resolve({ code: "busy", error: "one thing at a time" });
    this.queued = true;
    this.last = this.last.then(() => this.begin(transition, change));
    return this.last;
  }

  begin(transition, change) {
    this.queued = false;
    return new Promise((settle) => {
      this.pending = { transition, change, settle, tries: 0, parameters: this.request(transition, change) };
      if (this.channel) this.send(this.pending);
    });
  }

  request(transition, change) {
    return {
      session_id: this.ticket.session, transition, change: change(this.state),
      expected_version: this.version, idempotency_key: key(),
    };
  }

  async send(pending) {
    const channel = this.channel;
    let reply;
    try {
      const asked = this.ticket.transport === "sse"
        ? rpc(this.ticket, "apply_transition", pending.parameters, ANSWER_MS)
        : channel.ask("apply_transition", pending.parameters, ANSWER_MS);
      reply = await asked;
    } catch {
      channel?.close("no answer"); // it is sent again, under its key, when there is a connection
      return;
    }
    if (this.pending !== pending) return;
    if (reply.status === "error" && reply.retryable) {
      setTimeout(() => this.pending === pending && this.channel && this.send(pending), FIRST_WAIT_MS);
      return;
    }
    if (reply.code === "session_conflict" && pending.tries < TRIES) { // somebody was faster: look, and ask again
      pending.tries += 1;
      setTimeout(() => {
        pending.parameters = this.request(pending.transition, pending.change);
        if (this.pending === pending && this.channel) this.send(pending);
      }, FIRST_WAIT_MS);
      return;
    }
    this.pending = null;
    if (reply.status === "success" && reply.result.version > this.version) {
      this.take(reply.result.session_state, reply.result.version);
    }
    pending.settle(reply.status === "success" ? null : reply);
  }
}

// `crypto.randomUUID` is for secure origins only, and a phone in the kitchen may come over plain HTTP.
function key() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
