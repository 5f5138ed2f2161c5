// The parts of the operator's page that only decide.

import assert from "node:assert/strict";
import { test } from "node:test";

import { advice, refusal } from "../../stui_sessiond/web/page/advice.js";
import { ceiling, path } from "../../stui_sessiond/web/page/chart.js";
import * as format from "../../stui_sessiond/web/page/format.js";
import { matches, Pager, Positions, Ring } from "../../stui_sessiond/web/page/list.js";
import { decide } from "../../stui_sessiond/web/page/reconnect.js";
import { trouble } from "../../stui_sessiond/web/page/view_overview.js";

test("sizes and durations are short", () => {
  assert.deepEqual([0, 1023, 1536, 1048576, 5e12].map(format.bytes), ["0 B", "1023 B", "1.5 KiB", "1.0 MiB", "4.5 TiB"]);
  assert.equal(format.bytes(null), "–");
  assert.deepEqual([0, 0.004, 1.25, 59.6, 60, 3725, 90061, 86400 * 3].map(format.duration),
    ["0.0 s", "4 ms", "1.3 s", "1 min", "1 min", "1 h 2 min", "1 d 1 h", "3 d"]);
  assert.equal(format.duration(NaN), "–");
});

test("ages are told from a clock, also one that is behind", () => {
  const now = Date.parse("2026-11-30T12:00:00Z");
  assert.equal(format.ago("2026-11-30T11:58:30Z", now), "1 min ago");
  assert.equal(format.ago("2026-11-28T11:00:00Z", now), "2 d ago");
  assert.equal(format.ago("2026-11-30T12:00:09Z", now), "now");
  assert.equal(format.ago(null, now), "never");
  assert.equal(format.ago("nonsense", now), "–");
});

test("what cannot be seen in a name is shown", () => {
  assert.equal(format.visible("a\u202eb\u0000c\u200bd\ne"), "a\\u202eb\\u0000c\\u200bd⏎e");
  assert.equal(format.visible("<b>&amp;"), "<b>&amp;");
  assert.equal(format.visible(null), "");
  assert.equal(format.visible("x".repeat(300)).length, 201);
  assert.equal(format.cut("ab😀c", 3), "ab…");
  assert.equal(format.shortId("session_12_1796082312_XfzLBAprDhGXdcVxdUOemzU0"), "session_12…dUOemzU0");
});

test("the scale of a chart is round and holds all values", () => {
  assert.deepEqual([[], [0], [1], [3], [4.2, null], [51], [0.013]].map(ceiling), [1, 1, 1, 5, 5, 100, 0.02]);
  for (let value = 0.0007; value < 1e9; value *= 1.37) assert.ok(ceiling([value]) >= value * 0.999999, String(value));
});

test("a line ends at the right edge, and a gap stays a gap", () => {
  assert.equal(path([], 10, 1), "");
  const drawn = path([0, null, 10, 10], 4, 10, 300, 100);
  assert.equal(drawn, "M0.0 100.0l0.1 0M0.0 100.0M200.0 6.0l0.1 0M200.0 6.0L300.0 6.0");
  assert.ok(!/NaN|Infinity/.test(path([1, 2, 3], 1, 3)));
});

test("the log is bounded and tells what it let go of", () => {
  const ring = new Ring(10);
  for (let n = 0; n < 1000; n += 1) ring.push({ n });
  const { found, matching } = ring.newest(3, ({ n }) => n % 2 === 0);
  assert.deepEqual(found.map(({ n }) => n), [998, 996, 994]);
  assert.equal(matching, 5);
  assert.equal(ring.dropped, 990);
  assert.ok(ring.length <= 10);
  ring.clear();
  assert.deepEqual(ring.newest(3), { found: [], matching: 0 });
});

test("events are found by kind and words", () => {
  const event = { event: "evaluation.finished", session_id: "session_1", data: { display: "Seven", text: "(.*" } };
  assert.ok(matches(event, "", ""));
  assert.ok(matches(event, "evaluation", "seven SESSION_1"));
  assert.ok(matches(event, "", "(.*"));
  assert.ok(!matches(event, "session", ""));
  assert.ok(!matches(event, "eval", ""));
  assert.ok(!matches(event, "evaluation", "eight"));
});

test("a pager finds its way back", () => {
  const pager = new Pager();
  pager.forward(90);
  pager.forward(90);
  pager.forward(null);
  pager.forward(40);
  assert.deepEqual([pager.cursor, pager.number], [40, 3]);
  pager.back();
  pager.back();
  pager.back();
  assert.deepEqual([pager.cursor, pager.number], [null, 1]);
});

test("positions are those of the sessions heard of last", () => {
  const positions = new Positions(2);
  for (const [id, seq] of [["a", 1], ["b", 1], ["a", 2], ["c", 7]]) {
    positions.note({ event: "x", session_id: id, epoch: "e", seq });
  }
  positions.note({ event: "image.connected", session_id: null, epoch: "d", seq: 1 });
  assert.deepEqual(positions.toJSON(), { a: { epoch: "e", seq: 2 }, c: { epoch: "e", seq: 7 } });
  positions.note({ event: "session.closed", session_id: "a", epoch: "e", seq: 3 });
  assert.deepEqual(Object.keys(positions.toJSON()), ["c"]);
});

test("after a close the page does what the code says", () => {
  assert.equal(decide(4001, 0, 0).then, "log_in");
  assert.equal(decide(4005, 0, 0).then, "log_in");
  for (const code of [4000, 4003, 4004, 4006, 4008, 4321]) assert.equal(decide(code, 0, 0).then, "stop", String(code));
  for (const code of [1000, 1001, 1006, 1011, 4400, 4401, 4402, 4403, 4404, 4799]) {
    assert.equal(decide(code, 0, 0).then, "retry", String(code));
    assert.ok(decide(code, 0, 0).text);
  }
});

test("waiting grows, is spread, and is bounded", () => {
  const waits = [0, 1, 2, 3, 10, 1000].map((attempt) => decide(1006, attempt, 1).waitS);
  assert.deepEqual(waits, [0.5, 1, 2, 4, 30, 30]);
  assert.equal(decide(1006, 3, 0).waitS, 2);
  assert.equal(decide(4404, 0, 0.5).waitS, 60);
});

test("rights decide what is greyed out, and say why", () => {
  assert.equal(refusal("backup", ["admin"]), "");
  assert.match(refusal("interrupt", ["observe", "session"]), /right “eval”/);
  assert.notEqual(advice("permission_denied"), "");
  assert.equal(advice("something_new"), "");
});

test("what is wrong is told, and nothing else", () => {
  const now = Date.parse("2026-11-30T12:00:00Z");
  const store = { status: "ok", detail: null, quarantined: 0, disk_bytes: 1e12, disk_free_bytes: 5e11, backup_interval: 3600,
    backups: [{ made_at: "2026-11-30T11:30:00Z" }] };
  const image = { image_id: "pharo", name: null, health: "healthy", status: "connected", session_count: 2, condition: "idle", conflicts: [] };
  assert.deepEqual(trouble([image], store, now), []);
  const sick = [{ ...image, health: "critical", condition: "process_gone" }, { ...image, conflicts: [{ text: "two at once" }] }];
  const found = trouble(sick, { ...store, status: "full", detail: "no room", disk_free_bytes: 1e6, backups: [{ made_at: "2026-11-29T12:00:00Z" }] }, now);
  assert.equal(found.length, 5);
  assert.match(found[0], /full: no room/);
  assert.equal(trouble(Array(100).fill(sick[0]), store, now).length, 12);
});
