// The board: what everybody may see, large. Its view has no secrets, so there is nothing to be careful about here.
import { OTHER, SAID, nameOf, put, strip } from "./show.js";

export function showBoard(state) {
  document.getElementById("round").textContent = state.current_round ? `Round ${state.current_round}` : "";
  document.body.dataset.status = state.status;
  put("main", [side(state, "p1"), ["section", { class: "middle" }, ...middle(state)], side(state, "p2")]);
  put("score", []);
}

function side(state, seat) {
  const turn = ["asking", "answering"].includes(state.status) && state.current_player_id === seat;
  const asked = state.status === "answering" && turn ? state.question : null;
  const found = state.status === "finished" && state.winner === OTHER[seat];
  const hidden = found ? "was found" : state.ready[seat] ? "has hidden a number" : state.status === "hiding" ? "is hiding a number …" : "";
  const other = OTHER[seat];
  return ["section", { class: `side ${turn ? "turn" : ""} ${state.winner === seat ? "won" : ""}`, "data-player": seat },
    ["h2", {}, nameOf(state, seat)],
    ["p", { class: "wins" }, String(state.wins[seat]), ["small", {}, state.wins[seat] === 1 ? " win" : " wins"]],
    ["p", { class: "mystery" }, found ? String(state.question) : state.ready[seat] ? "?" : "–"],
    ["p", { class: "hint" }, hidden || "not seated yet".slice(0, state[`${seat}_name`] ? 0 : undefined)],
    ["p", { class: "label" }, `What ${nameOf(state, seat)} knows of ${nameOf(state, other)}'s number`],
    strip(state.range[seat], asked),
    ["p", { class: "label" }, `${state.tries[seat]} ${state.tries[seat] === 1 ? "question" : "questions"} asked`]];
}

function middle(state) {
  const player = nameOf(state, state.current_player_id);
  const answerer = nameOf(state, OTHER[state.current_player_id]);
  switch (state.status) {
    case "not_started":
      return [["h2", {}, "Who plays?"], ["p", {}, "Open the links on two phones and take a seat."]];
    case "hiding":
      return [["h2", {}, "Hide a number"], ["p", {}, "from 1 to 20, each on his own phone"]];
    case "asking":
      return [...(state.said === "" ? [] : [["p", { class: "big" }, `${state.question}`], ["p", { class: "said" }, SAID[state.said]]]),
        ["h2", {}, `${player} asks`]];
    case "answering":
      return [["p", {}, `${player} asks`], ["p", { class: "big" }, `${state.question}?`], ["p", {}, `${answerer} answers, and cannot lie`]];
    default:
      return [["p", { class: "big" }, String(state.question)], ["h2", {}, `${nameOf(state, state.winner)} wins the round`]];
  }
}
