'use strict';
// json.js answers: how does a value become one line of JSON that every reader accepts?
//
// JSON.stringify writes a lone surrogate as an escape, which is valid JSON but no valid text. Every
// such escape becomes U+FFFD here, in keys and values alike. The pattern eats escapes in pairs, so an
// escaped backslash followed by the letters "ud800" stays what it is.

const ESCAPE = /\\(?:u(d[89a-f][0-9a-f]{2})|[^])/g;

function toJson(value) {
  const text = JSON.stringify(value);
  if (!text.includes('\\ud')) return text;
  return text.replace(ESCAPE, (escape, surrogate) => (surrogate ? '\uFFFD' : escape));
}

module.exports = { toJson };
