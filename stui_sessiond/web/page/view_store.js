// Is what is stored safe? Size, journal, disk, and the backups with their age.

import { bytes, count, duration, visible } from "./format.js";
import { age, badge, el, reconcile, say, table } from "./dom.js";

export class Store {
  constructor(deeds) {
    this.id = "store";
    this.title = "Store";
    this._facts = el("dl", { class: "facts big" });
    this._trouble = el("p", { class: "conflict", hidden: true });
    this._disk = el("meter", { min: "0", max: "1", low: "0.85", high: "0.95", optimum: "0", value: "0", "aria-label": "Used share of the disk" });
    this._diskText = el("p", { class: "hint" });
    this._table = table("Backups, the newest first", [["Backup", "wide"], ["Made", "fit"], ["Why", ""], ["Sessions", "num"], ["State", ""]]);
    this._note = el("p", { class: "hint" });
    this._button = el("div", { class: "buttons" });
    this._deeds = deeds;
    this.root = el("section", { "aria-labelledby": "store-title" }, el("h1", { id: "store-title" }, "Store"),
      el("div", { class: "card" }, this._trouble, this._facts, this._disk, this._diskText),
      el("div", { class: "headline" }, el("h2", {}, "Backups"), this._button), this._table.root, this._note);
  }

  /** The rights are known now: the button is greyed out or not. */
  greet() {
    this._button.replaceChildren(this._deeds.backUp());
  }

  async refresh(ask) {
    const found = await ask("get_store_status");
    const facts = [["State", found.status], ["Kind", found.kind], ["Sessions", count(found.sessions)], ["Content", bytes(found.size_bytes)],
      ["Journal", bytes(found.journal_bytes)], ["Kept aside", count(found.quarantined)]];
    reconcile(this._facts, facts, ([term]) => term, ([term, value]) => el("div", {}, el("dt", {}, term),
      el("dd", {}, term === "State" ? badge(value, value === "ok" ? "good" : "bad") : value)));
    this._trouble.hidden = found.detail === null;
    say(this._trouble, found.detail === null ? "" : visible(found.detail, 500));
    this._disk.hidden = found.disk_bytes === null;
    if (found.disk_bytes !== null) this._disk.value = 1 - found.disk_free_bytes / found.disk_bytes;
    say(this._diskText, found.disk_bytes === null ? "Everything is in memory: it is gone when the daemon ends."
      : `${bytes(found.disk_free_bytes)} of ${bytes(found.disk_bytes)} are free on the disk.`);
    reconcile(this._table.body, found.backups, (each) => each.name,
      (each) => this._table.row([el("code", {}, visible(each.name)), age(each.made_at), visible(each.reason), count(each.sessions),
        each.problems ? badge(`${count(each.problems)} problems`, "warn") : badge("whole", "good")]));
    const own = found.backup_interval === null ? "The daemon makes none by itself."
      : `The daemon makes one every ${duration(found.backup_interval)} by itself.`;
    say(this._note, `${found.backup_count ? `${count(found.backup_count)} backups` : "There is no backup yet"}. ${own}`);
  }
}
