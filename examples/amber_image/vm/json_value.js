'use strict';
// json_value.js answers: can this Smalltalk value travel as the JSON value it is?

const MAX_DEPTH = 20;
const MAX_JSON_LENGTH = 1000000;
const DICTIONARIES = ['Dictionary', 'HashedCollection'];

class NotRepresentable extends Error {}

function convert(amber, value, depth, above) {
  if (amber.isNil(value)) return null;
  if (typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value;
    throw new NotRepresentable();
  }
  if (typeof value !== 'object' || depth >= MAX_DEPTH || above.includes(value)) throw new NotRepresentable();
  const inner = (element) => convert(amber, element, depth + 1, [...above, value]);
  if (Array.isArray(value)) return Array.from(value, inner);
  if (!DICTIONARIES.includes(amber.className(value))) throw new NotRepresentable();
  const pairs = [];
  value._keysAndValuesDo_((key, element) => {
    if (typeof key !== 'string') throw new NotRepresentable();
    pairs.push([key, inner(element)]);
  });
  return Object.fromEntries(pairs);
}

/** {json} or null when the value is of another kind, has a cycle, or is too deep or too long. */
function asJsonValue(amber, value) {
  try {
    const json = convert(amber, value, 0, []);
    return JSON.stringify(json).length <= MAX_JSON_LENGTH ? { json } : null;
  } catch (error) {
    if (error instanceof NotRepresentable || error instanceof RangeError) return null;
    throw error;
  }
}

module.exports = { asJsonValue };
