// How are sizes, times and texts from outside shown? Pure: takes values, gives strings.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 1536 -> "1.5 KiB"; null -> "–". */
export function bytes(count) {
  if (count === null || count === undefined) return "–";
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 3725 -> "1 h 2 min"; always the two largest parts, never more. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds > 0 && seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  const shown = parts.slice(first, first + 2).map(([size, word], index) => {
    const count = index === 0 ? Math.floor(whole / size) : Math.floor((whole % parts[first][0]) / size);
    return count ? `${count} ${word}` : "";
  });
  return shown.filter(Boolean).join(" ");
}

/** How long ago a time (RFC 3339) was, in words; `now` in milliseconds. */
export function ago(time, now) {
  if (!time) return "never";
  const seconds = (now - Date.parse(time)) / 1000;
  if (Number.isNaN(seconds)) return "–";
  if (seconds < 2) return "now";
  return `${rough(seconds)} ago`;
}

/** 3725 -> "1 h": the largest part alone. */
export function rough(seconds) {
  for (const [size, word] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${word}`;
  }
  return `${Math.floor(seconds)} s`;
}

/** 1234567 -> "1,234,567". */
export function count(value) {
  return value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en-US");
}

/** A rate or a latency in few digits. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 10000) return `${(value / 1000).toFixed(0)}k`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)}k`;
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** The clock time of an event. */
export function clock(time) {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? "–" : at.toTimeString().slice(0, 8);
}

const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * A text from outside in one line: what cannot be seen, or turns the direction of text, is shown as its code point.
 * It is put into the page as text only; this is against names that look like others.
 */
export function visible(text, limit = 200) {
  if (text === null || text === undefined) return "";
  const shown = String(text).replace(INVISIBLE, (one) =>
    one === "\n" ? "⏎" : `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`);
  return cut(shown, limit);
}

/** The beginning of a text, never half of a character. */
export function cut(text, limit) {
  if (text.length <= limit) return text;
  const last = text.charCodeAt(limit - 1);
  const end = last >= 0xd800 && last <= 0xdbff ? limit - 1 : limit;
  return `${text.slice(0, end)}…`;
}

/** The end of a session's id is what differs. */
export function shortId(id) {
  const text = visible(id, 300);
  return text.length > 22 ? `${text.slice(0, 10)}…${text.slice(-8)}` : text;
}
