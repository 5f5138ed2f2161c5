// What helps when the daemon says no? Pure: an error code of the protocol becomes a sentence for an operator.

const ADVICE = {
  permission_denied: "Log in with a token that has this right (`stui-sessiond token create --right ...`).",
  session_not_shared: "The session belongs to another client; a token that is for one client may only act in its sessions.",
  session_not_found: "It is gone: it was deleted, or its time in the archive began.",
  session_closed: "It was closed already.",
  session_expired: "Its time is over; cleaning up its image closes it.",
  session_damaged: "`stui-sessiond doctor` and `stui-sessiond store check` say what is left of it.",
  evaluation_not_found: "It ended meanwhile.",
  image_not_found: "The daemon forgot this image; reload the list.",
  storage_full: "Make room on the disk: the daemon goes on by itself.",
  storage_failed: "The disk failed. See the daemon's log, then run `stui-sessiond doctor`.",
  storage_busy: "The disk does not keep up. Try again in a moment.",
  unsupported_operation: "This daemon cannot do that.",
  unknown_command: "The daemon is older than this page. Reload it.",
  rate_limited: "Too many requests with this token. Wait a moment.",
  shutting_down: "The daemon is stopping. It can be tried again when it is back.",
  not_driving: "Another client drives the session.",
  link_lost: "Look whether it happened before you try again.",
  no_link: "Wait until the page is connected again.",
};

/** A sentence that says what to do about a failure, or nothing. */
export function advice(code) {
  return ADVICE[code] ?? "";
}

const NEEDS = {
  interrupt: ["eval", "Interrupting code"],
  detach: ["session", "Detaching a client"],
  close: ["session", "Closing a session"],
  cleanup: ["admin", "Cleaning up"],
  backup: ["admin", "Making a backup"],
};

/** Why an action is not for somebody with these rights; "" when it is. */
export function refusal(action, rights) {
  const [right, what] = NEEDS[action];
  if (rights.includes(right)) return "";
  return `${what} takes the right “${right}”, which this token does not have.`;
}
