// How is something done to the daemon? Only after a question, with its outcome shown, or the error and what helps.

import { advice, refusal } from "./advice.js";
import { el, say } from "./dom.js";

export class Actions {
  /** `rights` tells what the token may do now. */
  constructor(dialog, rights) {
    this._dialog = dialog;
    this._rights = rights;
    this._title = dialog.querySelector("h2");
    this._body = dialog.querySelector(".dialog-body");
    this._outcome = dialog.querySelector(".outcome");
    this._cancel = dialog.querySelector("[data-cancel]");
    this._go = dialog.querySelector("[data-go]");
    this._work = null;
    this._cancel.addEventListener("click", () => dialog.close());
    this._go.addEventListener("click", () => this._run());
    dialog.addEventListener("close", () => {
      this._work = null;
      this._turn += 1;
    });
    this._turn = 0;
  }

  /** A button for an action; greyed out, with the reason, where the rights do not suffice. */
  button(action, label, start, description = label) {
    const made = el("button", { type: "button", class: `small ${action}`, "aria-label": description, data: { action } }, label);
    const why = refusal(action, this._rights());
    if (why) {
      made.setAttribute("aria-disabled", "true");
      made.title = why;
    }
    made.addEventListener("click", () => {
      const reason = refusal(action, this._rights());
      if (reason) this._explain(label, reason);
      else start();
    });
    return made;
  }

  _explain(title, reason) {
    this._prepare(title, [el("p", {}, reason), el("p", {}, advice("permission_denied"))]);
    this._go.hidden = true;
    this._show();
  }

  /**
   * Ask, then do. `look` (optional) is done at once and gives what to show, or null when there is nothing to do;
   * `work` does it and gives the outcome as a sentence or elements.
   */
  async ask({ title, text, label, danger = false, look = null, work, extra = [] }) {
    this._prepare(title, [el("p", {}, text), ...extra]);
    this._go.className = danger ? "danger" : "primary";
    say(this._go, label);
    this._work = work;
    this._show();
    if (look === null) return;
    const turn = this._turn;
    this._go.disabled = true;
    this._tell("busy", "Looking …");
    try {
      const { shown, possible } = await look();
      if (turn !== this._turn) return;
      this._tell("", "");
      this._body.append(...shown);
      this._go.disabled = !possible;
    } catch (failure) {
      if (turn === this._turn) this._fail(failure);
    }
  }

  async _run() {
    const work = this._work;
    if (work === null || this._go.disabled) return;
    const turn = this._turn;
    this._go.disabled = true;
    this._tell("busy", "Working …");
    try {
      const done = await work();
      if (turn !== this._turn) return;
      this._tell("good", ...[done].flat());
      this._go.hidden = true;
      say(this._cancel, "Done");
      this._cancel.focus();
    } catch (failure) {
      if (turn === this._turn) this._fail(failure);
    }
  }

  _fail(failure) {
    const help = advice(failure.code);
    this._tell("bad", `It did not work: ${failure.message}.`, ...(help ? [el("span", { class: "help" }, help)] : []));
    this._go.hidden = true;
    say(this._cancel, "Close");
    this._cancel.focus();
  }

  _prepare(title, body) {
    this._turn += 1;
    this._work = null;
    say(this._title, title);
    this._body.replaceChildren(...body);
    this._tell("", "");
    this._go.hidden = false;
    this._go.disabled = false;
    say(this._cancel, "Cancel");
  }

  _tell(tone, ...words) {
    this._outcome.className = `outcome ${tone}`;
    this._outcome.replaceChildren(...words);
  }

  _show() {
    if (!this._dialog.open) this._dialog.showModal();
    this._cancel.focus();
  }
}
