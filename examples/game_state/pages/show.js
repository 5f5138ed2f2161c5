// Small parts that both pages show. Text from others becomes text nodes, never markup.

export const NUMBERS = Array.from({ length: 20 }, (_, index) => index + 1);
export const OTHER = { p1: "p2", p2: "p1" };

// ["tag", {attributes}, ...children] becomes an element.
export function make(part) {
  if (part instanceof Node || typeof part === "string") return part;
  const [tag, attributes, ...children] = part;
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "click") element.addEventListener("click", value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== false).map(make));
  return element;
}

export function put(id, parts) {
  document.getElementById(id).replaceChildren(...parts.filter(Boolean).map(make));
}

export function nameOf(state, seat) {
  return state[`${seat}_name`] || (seat === "p1" ? "Player 1" : "Player 2");
}

// What somebody can know of the other's number: those that are out are grey.
export function strip({ low, high }, asked = null) {
  return ["div", { class: "strip", "aria-label": `between ${low} and ${high}` }, ...NUMBERS.map((number) =>
    ["i", { class: number === asked ? "asked" : number < low || number > high ? "out" : "in" }, String(number)])];
}

export const SAID = { higher: "Higher", lower: "Lower", found: "That's it!" };

const WAY = { ws: "WebSocket", sse: "SSE" };

export function statusText(status, transport) {
  const seconds = Math.max(1, Math.round((status.wait ?? 0) / 1000));
  return {
    live: `Live · ${WAY[transport] ?? transport}`,
    connecting: "Connecting …",
    waiting: `Reconnecting in ${seconds} s`,
    offline: "Device is offline",
    refused: `Not let in (${status.code})`,
  }[status.state];
}
