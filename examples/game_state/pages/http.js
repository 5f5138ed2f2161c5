// The protocol over HTTP: events by GET /events, requests by POST /rpc. The browser's own EventSource cannot send a
// token, and a token has no place in an address; so the stream is read here.

const OPEN_MS = 8000;
const SILENCE = 2.5; // heartbeats that may be missing before the connection counts as broken

export function rpc(ticket, command, parameters, within) {
  return fetch(`${ticket.daemon}/rpc`, {
    method: "POST",
    headers: { ...names(ticket), "Content-Type": "application/json" },
    body: JSON.stringify({ id: "1", command, parameters }),
    signal: AbortSignal.timeout(within),
  }).then((response) => response.json());
}

function names(ticket) {
  return { Authorization: `Bearer ${ticket.token}`, "Stui-Client-Id": ticket.client };
}

export class EventStream {
  constructor(ticket, since, told) {
    this.told = told;
    this.over = false;
    this.stop = new AbortController();
    this.beat(OPEN_MS);
    this.read(ticket, since).then(() => this.close("ended"), (error) => this.close(error));
  }

  async read(ticket, since) {
    const query = new URLSearchParams({ session_id: ticket.session, with_state: "true" });
    const headers = names(ticket);
    if (since) headers["Last-Event-ID"] = `${since.epoch}:${since.seq}`;
    const response = await fetch(`${ticket.daemon}/events?${query}`, { headers, cache: "no-store", signal: this.stop.signal });
    if (!response.ok) throw await response.json();
    const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await text.read();
      if (done) return;
      this.beat(this.silence ?? OPEN_MS);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) this.receive(block);
    }
  }

  receive(block) {
    const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
    if (this.over || data.length === 0) return;
    const message = JSON.parse(data.join("\n"));
    if (message.event === "connection.opened") {
      this.silence = message.data.heartbeat_interval * 1000 * SILENCE;
      this.told.open(message.data.subscription);
    } else this.told.event(message);
  }

  beat(within) {
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.close("silence"), within);
  }

  close(why) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.patience);
    this.stop.abort();
    this.told.closed(typeof why === "string" ? { text: why } : { code: why.code, text: String(why) });
  }
}
