// The protocol over WebSocket: hello, subscribe, then events. A `ping` now and then shows that somebody is there.

const PING_MS = 15000;
const ANSWER_MS = 8000;

export class Socket {
  constructor(ticket, since, told) {
    this.told = told;
    this.waiting = new Map();
    this.serial = 0;
    this.over = false;
    this.web = new WebSocket(ticket.daemon.replace(/^http/, "ws") + "/", "stui.v1");
    this.web.onmessage = ({ data }) => this.receive(JSON.parse(data));
    this.web.onclose = () => this.close("closed");
    this.web.onopen = () => this.greet(ticket, since).catch((error) => this.close(error));
    this.patience = setTimeout(() => this.close("no answer"), ANSWER_MS);
  }

  async greet(ticket, since) {
    const hello = { role: "client", protocol: ["1.0.0"], token: ticket.token, client_id: ticket.client };
    await this.expect("hello", hello);
    const wish = { session_id: ticket.session, with_state: true };
    const answer = await this.expect("subscribe", since ? { ...wish, since } : wish);
    clearTimeout(this.patience);
    this.pulse = setInterval(() => this.ask("ping", {}, ANSWER_MS).catch(() => this.close("no answer")), PING_MS);
    this.told.open(answer);
  }

  async expect(command, parameters) {
    const reply = await this.ask(command, parameters, ANSWER_MS);
    if (reply.status !== "success") throw reply;
    return reply.result;
  }

  ask(command, parameters, within) {
    return new Promise((yes, no) => {
      if (this.over || this.web.readyState !== WebSocket.OPEN) return no(new Error("not connected"));
      const id = `w-${(this.serial += 1)}`;
      const timer = setTimeout(() => this.waiting.delete(id) && no(new Error("no answer")), within);
      this.waiting.set(id, { yes, no, timer });
      this.web.send(JSON.stringify({ id, command, parameters }));
    });
  }

  receive(message) {
    if (message.event) {
      this.told.event(message);
      return;
    }
    const asked = this.waiting.get(message.id);
    if (!asked) return;
    this.waiting.delete(message.id);
    clearTimeout(asked.timer);
    asked.yes(message);
  }

  close(why) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.patience);
    clearInterval(this.pulse);
    for (const { no, timer } of this.waiting.values()) {
      clearTimeout(timer);
      no(new Error("closed"));
    }
    this.waiting.clear();
    this.web.onclose = this.web.onmessage = null;
    this.web.close();
    this.told.closed(typeof why === "string" ? { text: why } : why);
  }
}
