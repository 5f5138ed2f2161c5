// How does something get into the page? As elements and text, never as markup.

import { ago, duration } from "./format.js";

/** Make an element: properties, then children; strings become text. `on` takes listeners, `data` data attributes. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [kind, listener] of Object.entries(value)) made.addEventListener(kind, listener);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Put a text where it is not already, so that screen readers and selections are left alone. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A word with a colour; the word says it too. */
export function badge(word, tone) {
  return el("span", { class: `badge ${tone}` }, word);
}

/** How long ago something was, or, with `since`, for how long it has been; `tellAges` keeps it true. */
export function age(time, since = false) {
  return el("time", { class: since ? "since" : "ago", datetime: time }, since ? sinceText(time, Date.now()) : ago(time, Date.now()));
}

/** Let the ages in a part of the page go on; nothing else of it is touched. */
export function tellAges(root) {
  const now = Date.now();
  for (const each of root.querySelectorAll("time.ago")) say(each, ago(each.dateTime, now));
  for (const each of root.querySelectorAll("time.since")) say(each, sinceText(each.dateTime, now));
}

function sinceText(time, now) {
  return duration(Math.max(0, Math.round((now - Date.parse(time)) / 1000)));
}

/**
 * Make the children of `parent` match `items` in order. An element stays as long as its item is there, and is only
 * drawn anew when the item changed: focus and scrolling survive a refresh.
 */
export function reconcile(parent, items, key, draw) {
  const there = new Map();
  for (const child of parent.children) there.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const state = JSON.stringify(item);
    let child = there.get(name);
    there.delete(name);
    if (child === undefined || child.drawn !== state) {
      const fresh = draw(item);
      fresh.dataset.key = name;
      fresh.drawn = state;
      if (child !== undefined) {
        const focused = child.contains(document.activeElement) ? document.activeElement.dataset.action : undefined;
        if (child === place) place = fresh;
        child.replaceWith(fresh);
        if (focused !== undefined) fresh.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus();
      }
      child = fresh;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of there.values()) child.remove();
}

/** A table that turns into cards on a narrow screen. `columns` are `[title, class]`. */
export function table(caption, columns) {
  const body = el("tbody");
  const head = el("tr", {}, ...columns.map(([title, kind]) =>
    el("th", { scope: "col", class: kind }, kind === "act" ? el("span", { class: "unseen" }, title) : title)));
  const root = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, head), body));
  const row = (cells, properties = {}) => el("tr", properties,
    ...cells.map((cell, index) => el("td", { class: columns[index][1], data: { label: columns[index][0] } },
      ...(Array.isArray(cell) ? cell : [cell]))));
  return { root, body, row };
}
