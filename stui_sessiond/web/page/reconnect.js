// Connect again, when, and what to tell meanwhile? Pure: a close code and the number of attempts decide.

const FIRST_S = 0.5;
const LONGEST_S = 30;

/** Close codes after which the token is asked for again, with the reason. */
const LOGGED_OUT = {
  4001: "The token is not valid here.",
  4005: "The token was revoked or has expired. Log in with another one.",
};

/** Close codes after which nobody tries again by himself: something has to be mended first. */
const STOPPED = {
  4000: "The daemon did not understand this page. Reload it: the daemon may have been upgraded.",
  4003: "Another connection took the place of this one.",
  4004: "Another page went on with this connection.",
  4006: "The daemon's lists do not let this address in. Ask whoever runs it.",
  4008: "This port speaks TLS: open the page with https.",
};

/** Close codes that say how long to wait. */
const PATIENCE_S = { 4403: 10, 4404: 60 };

const REASONS = {
  4400: "The daemon is stopping or starting again.",
  4401: "This page did not keep up with the events.",
  4402: "The daemon waited too long for the token.",
  4403: "The daemon, or this token, has as many connections as it may have.",
  4404: "Too many wrong tokens came from this address.",
};

/**
 * What to do after a connection ended.
 * @param {number} code close code of the WebSocket
 * @param {number} attempt attempts that failed since it last worked, from 0
 * @param {number} random from 0 to 1: so that many pages do not come back at once
 */
export function decide(code, attempt, random) {
  if (LOGGED_OUT[code]) return { then: "log_in", waitS: 0, text: LOGGED_OUT[code] };
  if (STOPPED[code]) return { then: "stop", waitS: 0, text: STOPPED[code] };
  if (code >= 4000 && code < 4400) {
    return { then: "stop", waitS: 0, text: `The daemon ended the connection for good (${code}).` };
  }
  const grown = Math.min(LONGEST_S, FIRST_S * 2 ** Math.min(attempt, 10));
  const waitS = Math.max(PATIENCE_S[code] ?? 0, grown * (0.5 + random / 2));
  return { then: "retry", waitS, text: REASONS[code] ?? "The daemon cannot be reached." };
}
