// What can be done from the page? Each deed is a question, a request of the protocol, and a sentence about its outcome.

import { count, shortId, visible } from "./format.js";
import { el } from "./dom.js";

/** `ask` is that of the link, `actions` the dialog, `changed` is called when something was done. */
export class Deeds {
  constructor(ask, actions, changed) {
    this._ask = ask;
    this._actions = actions;
    this._changed = changed;
  }

  _after(outcome) {
    this._changed();
    return outcome;
  }

  interrupt({ session_id, evaluation, code, image_id }) {
    return this._actions.button("interrupt", "Interrupt", () => this._actions.ask({
      title: "Interrupt this evaluation?",
      text: `The image ${image_id ? `“${visible(image_id)}” ` : ""}is asked to end this code. What it changed stays changed.`,
      extra: [el("pre", { class: "code" }, visible(code ?? "(no code)", 600))],
      label: "Interrupt",
      danger: true,
      work: async () => {
        const { evaluations } = await this._ask("interrupt_evaluation", { session_id, evaluation });
        return this._after(evaluations.map(interruption).join(" ") || "It had ended already.");
      },
    }), `Interrupt the evaluation ${visible(evaluation, 40)}`);
  }

  detach({ client_id, connection_id, sessions }) {
    const name = visible(client_id);
    return this._actions.button("detach", "Detach", () => this._actions.ask({
      title: `Detach “${name}”?`,
      text: `This client gets no more events of ${sessions.length === 1 ? "the session" : "these sessions"} over this `
        + "connection. It is told so, keeps its role, and may subscribe again.",
      extra: [el("ul", {}, ...sessions.map((each) => el("li", {}, shortId(each))))],
      label: "Detach",
      danger: true,
      work: async () => {
        let detached = 0;
        for (const session_id of sessions) {
          detached += (await this._ask("detach_client", { session_id, client_id, connection_id })).detached;
        }
        return this._after(detached ? `${count(detached)} subscription${detached === 1 ? "" : "s"} ended.`
          : "It was not attached any more.");
      },
    }), `Detach ${name}`);
  }

  close({ session_id, client_id, attached_clients, running }) {
    const used = attached_clients || running
      ? ` It is in use: ${count(attached_clients)} attached, ${count(running)} evaluations under way.` : "";
    return this._actions.button("close", "Close", () => this._actions.ask({
      title: "Close this session?",
      text: `Session ${shortId(session_id)} of “${visible(client_id)}” ends; its variables in the image are released.${used} `
        + "What is stored is kept: restore_session with reopen brings it back until its retention is over.",
      label: "Close session",
      danger: true,
      work: async () => {
        await this._ask("close_session", { session_id });
        return this._after("The session is closed. It can be reopened until its retention is over.");
      },
    }), `Close the session ${shortId(session_id)}`);
  }

  cleanUp({ image_id }) {
    const wish = { image_id, cleanup_orphaned: true, cleanup_expired: true };
    const name = visible(image_id);
    return this._actions.button("cleanup", "Clean up", () => this._actions.ask({
      title: `Clean up the sessions of “${name}”?`,
      text: "Sessions that expired, or whose image has been gone for too long, are closed, unless somebody uses them. "
        + "They are kept and can be reopened.",
      label: "Close them",
      danger: true,
      look: async () => {
        const found = await this._ask("cleanup_image_sessions", { ...wish, dry_run: true });
        const would = found.cleanup_details.filter(({ action }) => action === "would_close");
        const shown = [el("p", { class: "found" }, found.sessions_cleaned
          ? `${count(found.sessions_cleaned)} would be closed, ${count(found.sessions_remaining)} active ones are left.`
          : "There is nothing to clean up.")];
        if (would.length) shown.push(el("ul", {}, ...would.slice(0, 20).map((each) =>
          el("li", {}, `${shortId(each.session_id)} of “${visible(each.client_id, 60)}”: ${visible(each.reason)}`))));
        if (found.sessions_cleaned > 20) shown.push(el("p", {}, `… and ${count(found.sessions_cleaned - 20)} more.`));
        return { shown, possible: found.sessions_cleaned > 0 };
      },
      work: async () => {
        const done = await this._ask("cleanup_image_sessions", wish);
        const failed = done.cleanup_details.filter(({ action }) => action === "failed");
        const trouble = failed.length ? ` ${count(failed.length)} could not be closed: ${visible(failed[0].reason)}.` : "";
        return this._after(`${count(done.sessions_cleaned)} closed, ${count(done.sessions_remaining)} active ones are left.${trouble}`);
      },
    }), `Clean up the sessions of ${name}`);
  }

  backUp() {
    return this._actions.button("backup", "Back up now", () => this._actions.ask({
      title: "Make a backup now?",
      text: "The daemon copies everything stored and verifies the copy. A backup that was asked for is never removed "
        + "by itself. With many sessions this takes a while; the daemon goes on meanwhile.",
      label: "Back up",
      work: async () => {
        const made = await this._ask("create_backup", { reason: "page" });
        const trouble = made.problems.length ? ` ${count(made.problems.length)} sessions could not be copied as they should be.` : "";
        return this._after(`Backup ${visible(made.name)} is made and verified: ${count(made.sessions)} sessions.${trouble}`);
      },
    }));
  }
}

function interruption({ outcome, state_lost, reason }) {
  const words = {
    interrupted: "The image ends it.",
    cancelled: "It had not reached the image, and never will.",
    ended: "It had ended already.",
    not_interrupted: "It was not interrupted.",
  };
  const why = reason ? ` ${visible(reason, 300)}.` : "";
  return `${words[outcome] ?? visible(outcome)}${state_lost ? " The image lost its objects by that." : ""}${why}`;
}
