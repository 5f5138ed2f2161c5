// A player's phone. It shows what the state of the player's view says, and asks the daemon for transitions: whether a
// move is allowed is decided there, and what it says against a move is shown.
import { NUMBERS, OTHER, SAID, make, nameOf, put, strip } from "./show.js";

const REFUSALS = {
  answer: "That is not true. The daemon knows your number, and the rules want the truth.",
  guard_failed: "The rules do not allow that.",
  transition_not_yours: "That is for the other player.",
  transition_not_from_here: "That is not possible now.",
  state_invalid: "That is not a possible number.",
};

export class Phone {
  constructor(seat) {
    this.seat = seat;
    this.other = OTHER[seat];
    this.state = null;
    this.live = false;
  }

  play(apply) {
    this.apply = apply;
  }

  connected(live) {
    this.live = live;
    document.getElementById("main").toggleAttribute("inert", !live);
  }

  heard() {}

  async make(transition, change) {
    put("refusal", []);
    document.getElementById("refusal").hidden = true;
    document.body.dataset.busy = "yes";
    const error = await this.apply(transition, change);
    delete document.body.dataset.busy;
    if (error === null || error.code === "busy") return;
    const text = (transition.startsWith("answer") && error.code === "guard_failed" && REFUSALS.answer)
      || REFUSALS[error.code] || error.error;
    put("refusal", [["b", {}, "Not allowed. "], text, " ", ["code", {}, error.code]]);
    document.getElementById("refusal").hidden = false;
  }

  show(state) {
    this.state = state;
    document.getElementById("round").textContent = state.current_round ? `Round ${state.current_round}` : "";
    const typing = state.status === "not_started" && !state[`${this.seat}_name`] && document.getElementById("name");
    if (!typing) put("main", this[state.status](state)); // a name that is half written stays when the other sits down
    if (!state.current_round) put("score", []);
    const me = `${nameOf(state, this.seat)} ${state.wins[this.seat]}`;
    if (state.current_round) put("score", [["b", {}, me], " : ", `${state.wins[this.other]} ${nameOf(state, this.other)}`]);
    document.body.dataset.status = state.status;
    document.body.dataset.turn = state.current_player_id === this.seat ? "mine" : "theirs";
  }

  // ---- what is shown, by status

  not_started(state) {
    const mine = state[`${this.seat}_name`];
    const theirs = state[`${this.other}_name`];
    if (!mine) {
      const field = make(["input", { id: "name", maxlength: "16", autocomplete: "off", placeholder: "Your name", "aria-label": "Your name" }]);
      const sit = (event) => {
        event.preventDefault();
        if (field.value.trim()) this.make(`sit_${this.seat}`, () => ({ [`${this.seat}_name`]: field.value.trim() }));
      };
      const form = make(["form", { class: "card" }, ["h2", {}, "Take a seat"], field, ["button", { class: "primary" }, "Sit down"]]);
      form.addEventListener("submit", sit);
      return [form];
    }
    if (!theirs) return [card(`Hello, ${mine}`, "Waiting for the other player …")];
    return [card(`${mine} and ${theirs}`, "Each hides a number from 1 to 20. Then you ask in turn: higher, lower, found."),
      button("Start the game", () => this.make("start", () => ({ current_round: 1 })))];
  }

  hiding(state) {
    if (state.ready[this.seat]) {
      return [this.hidden(state), card("Well hidden", `Waiting for ${nameOf(state, this.other)} …`)];
    }
    const hide = (number) => this.make(`hide_${this.seat}`, (now) => ({
      secrets: { [this.seat]: number }, ready: { [this.seat]: true }, ...(now.ready[this.other] ? { status: "asking" } : {}),
    }));
    return [card("Hide a number", `${nameOf(state, this.other)} will look for it.`), grid((number) => [number, hide, "in"])];
  }

  asking(state) {
    const last = this.last(state);
    if (state.current_player_id !== this.seat) {
      return [last, this.hidden(state), card(`${nameOf(state, this.other)} asks`, "Get ready to answer.")];
    }
    const { low, high } = state.range[this.seat];
    const ask = (number) => this.make("ask", () => ({ question: number, said: "" }));
    return [last, card("Your turn", `Which number does ${nameOf(state, this.other)} hide?`),
      grid((number) => [number, ask, number < low || number > high ? "out" : "in"])];
  }

  answering(state) {
    if (state.current_player_id === this.seat) {
      return [card(`Is it ${state.question}?`, `${nameOf(state, this.other)} has to say the truth.`),
        strip(state.range[this.seat], state.question)];
    }
    const say = (said) => () => this.make(`answer_${this.other}`, (now) => this.answer(now, said));
    return [this.hidden(state),
      ["section", { class: "card question" }, ["p", {}, `${nameOf(state, this.other)} asks`], ["strong", {}, `${state.question}?`]],
      ["div", { class: "answers" }, ...["lower", "found", "higher"].map((said) =>
        ["button", { class: said === "found" ? "" : "primary", "data-said": said, click: say(said) }, SAID[said]])]];
  }

  finished(state) {
    const won = state.winner === this.seat;
    const again = () => this.make("again", (now) => ({
      ready: { p1: false, p2: false }, question: 0, said: "", winner: "", tries: { p1: 0, p2: 0 },
      range: { p1: { low: 1, high: 20 }, p2: { low: 1, high: 20 } },
      current_round: now.current_round + 1, current_player_id: OTHER[now.winner],
    }));
    const tries = state.tries[state.winner];
    return [card(won ? "You found it!" : `${nameOf(state, this.other)} found yours`,
      `It was ${state.question}, with ${tries} ${tries === 1 ? "question" : "questions"}.`, won ? "won" : "lost"),
    button("Another round", again)];
  }

  // ---- parts

  hidden(state) {
    return ["p", { class: "secret" }, "You hide ", ["b", { id: "secret" }, String(state.secrets[this.seat] ?? "?")]];
  }

  last(state) {
    if (state.said === "") return null;
    const asker = OTHER[state.current_player_id];
    const who = asker === this.seat ? "You" : nameOf(state, asker);
    return ["p", { class: "last" }, `${who} asked ${state.question}: `, ["b", {}, SAID[state.said]]];
  }

  answer(state, said) {
    const asker = this.other;
    const asked = state.question;
    const range = { higher: { low: asked + 1 }, lower: { high: asked - 1 }, found: { low: asked, high: asked } }[said];
    const change = { said, tries: { [asker]: state.tries[asker] + 1 }, range: { [asker]: range } };
    if (said === "found") return { ...change, status: "finished", winner: asker, wins: { [asker]: state.wins[asker] + 1 } };
    return { ...change, status: "asking", current_player_id: this.seat };
  }
}

function card(title, text, kind = "") {
  return ["section", { class: `card ${kind}` }, ["h2", {}, title], ["p", {}, text]];
}

function button(text, click) {
  return ["button", { class: "primary wide", click }, text];
}

function grid(of) {
  return ["div", { class: "grid" }, ...NUMBERS.map((each) => {
    const [number, act, kind] = of(each);
    return ["button", { class: `number ${kind}`, "data-number": String(number), disabled: kind === "out", click: () => act(number) }, String(number)];
  })];
}
