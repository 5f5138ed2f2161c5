'use strict';
// guard.js answers: is the text that a client changed still the one that the image has?

const { RequestFailure } = require('./failure');

function withLineFeeds(text) {
  return text.replace(/\r\n?/g, '\n');
}

/**
 * Goes on only if the base is the text that is there, or none was given. An empty base says that there was
 * nothing; `present` is null when there is nothing.
 */
function guard(base, present, what) {
  if (base === null) return;
  const same = present === null ? base === '' : base !== '' && withLineFeeds(base) === withLineFeeds(present);
  if (same) return;
  const text = present === null ? `${what} is not there (any more)` : `${what} is another one than the base`;
  throw new RequestFailure('code_conflict', text, { present });
}

module.exports = { guard, withLineFeeds };
