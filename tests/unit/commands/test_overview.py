"""What an operator sees of the whole daemon: sessions in pages, connections, code under way, the store, figures."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stui_sessiond.commands import overview
from stui_sessiond.commands.figures import KEPT_SAMPLES, Figures, Source, quantile
from stui_sessiond.counting import FAST_S, SLOW_S, Histogram
from stui_sessiond.storage.file import FileStorage
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.daemon import Json, Talker, running_daemon

SEVEN = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}


async def sessions(talker: Talker, count: int, **more: Any) -> list[str]:  # noqa: ANN401 -- any JSON
    """Start sessions, each of a client of its own; give their ids, the newest first."""
    wishes: list[Any] = [{"client_id": f"client-{n}", **more} for n in range(count)]
    made = [await talker.call("create_session", **wish) for wish in wishes]
    return [str(each["session_id"]) for each in reversed(made)]


async def walk(talker: Talker, **wish: Any) -> list[list[str]]:  # noqa: ANN401 -- any JSON
    """All pages of a list of sessions."""
    pages: list[list[str]] = []
    before = None
    while True:
        found = await talker.call("list_sessions", before=before, **wish)
        pages.append([row["session_id"] for row in found["sessions"]])
        before = found["next"]
        if before is None:
            return pages


# ---- sessions


async def test_pages_have_every_session_once_and_the_newest_first() -> None:
    """A page goes on where the one before ended, also when sessions come and go meanwhile."""
    async with running_daemon() as running, running.talker() as talker:
        made = await sessions(talker, 7)
        first = await talker.call("list_sessions", limit=3)
        assert [row["session_id"] for row in first["sessions"]] == made[:3]
        await talker.call("close_session", session_id=made[2], save_state=False)
        await sessions(talker, 1)
        rest = await walk(talker, limit=3)
        then = await talker.call("list_sessions", limit=3, before=first["next"])
        assert [row["session_id"] for row in then["sessions"]] == made[3:6]
        assert [len(page) for page in rest] == [3, 3, 1]


async def test_pages_are_filtered() -> None:
    """By status, image, owner, and a text in id, owner or name, in capitals or not."""
    clock = FakeClock()
    async with running_daemon(clock=clock) as running, running.talker() as talker:
        (old,) = await sessions(talker, 1, name="Morning Work", image_id="pharo")
        clock.pass_time(7200)
        (new,) = await sessions(talker, 1, client_id="Ada")
        (closed,) = await sessions(talker, 1)
        await talker.call("close_session", session_id=closed)

        async def found(**wish: str) -> list[str]:
            return [one for page in await walk(talker, **wish) for one in page]

        assert await found() == [new]
        assert await found(status="expired") == [old]
        assert await found(status="closed") == [closed]
        assert await found(status="all", image_id="pharo") == [old]
        assert await found(status="all", search="mORNING") == [old]
        assert await found(search="ada") == await found(client_id="Ada") == [new]
        assert await found(search=new[-6:].upper()) == [new]


async def test_page_looks_at_a_bounded_number_of_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that finds little gives short pages instead of holding the loop; in the end all were looked at."""
    monkeypatch.setattr(overview, "MAX_LOOKED_AT", 4)
    async with running_daemon() as running, running.talker() as talker:
        made = await sessions(talker, 10)
        pages = await walk(talker, search="client-0", limit=10)
        assert pages == [[], [], [made[-1]]]


async def test_sessions_of_others_are_not_shown_to_who_named_itself() -> None:
    """A client that named itself sees those in which it has a role; an observer sees all."""
    async with running_daemon() as running, running.talker() as nobody, running.talker() as ada:
        await ada.call("hello", role="client", client_id="ada")
        (mine,) = await sessions(ada, 1, client_id="ada")
        (foreign,) = await sessions(nobody, 1, client_id="bob")
        async with running.talker() as observer:
            await observer.call("hello", role="observer", client_id="eve")
            assert await walk(ada) == [[mine]]
            assert await walk(nobody) == await walk(observer) == [[foreign, mine]]


async def test_sessions_are_in_order_after_a_restart() -> None:
    """A daemon that reads its sessions again lists them as before."""
    clock = FakeClock()
    async with running_daemon(clock=clock) as running, running.talker() as talker:
        made: list[str] = []
        for _ in range(5):
            made[:0] = await sessions(talker, 1)
            clock.pass_time(1)
        storage = running.daemon.storage
        async with running_daemon(storage, clock) as again, again.talker() as other:
            assert await walk(other) == [made]


# ---- connections


async def test_connections_tell_who_is_there_and_what_they_hear() -> None:
    """Role, names, since when and subscriptions; not what was subscribed to only by a topic."""
    async with running_daemon() as running, running.talker() as nobody, running.image("pharo"), running.talker() as ada:
        greeting = await ada.call("hello", role="client", client_id="ada")
        (session,) = await sessions(ada, 1, client_id="ada", image_id="pharo")
        await ada.call("subscribe", session_id=session)
        await nobody.call("subscribe", topics=["all"])
        await ada.call("update_session_state", session_id=session, state_data={"a": 1})
        found = await nobody.call("list_connections")
        rows: dict[object, Json] = {row["client_id"] or row["image_id"]: row for row in found["connections"]}
        assert found["total"] == 3
        assert rows["ada"]["connection_id"] == greeting["connection_id"]
        assert (rows["ada"]["role"], rows["ada"]["transport"]) == ("client", "unix")
        assert (rows["ada"]["subscriptions"], rows["ada"]["sessions"]) == (1, [session])
        assert (rows["pharo"]["role"], rows["pharo"]["client_id"]) == ("image", None)
        assert (rows[None]["role"], rows[None]["sessions"], rows[None]["topics"]) == (None, [], ["all"])
        assert (await ada.call("list_connections"))["total"] == 1
        page = await nobody.call("list_connections", limit=1, offset=2)
        assert (len(page["connections"]), page["total"]) == (1, 3)


async def test_hello_tells_the_rights() -> None:
    """A page greys out what the connection may not do."""
    async with running_daemon() as running, running.talker() as client, running.talker() as observer:
        told = await client.call("hello", role="client")
        assert told["rights"] == ["admin", "connect", "eval", "observe", "session"]
        assert (await observer.call("hello", role="observer"))["rights"] == ["connect", "observe"]


# ---- evaluations


async def test_running_evaluations_are_there_until_they_end() -> None:
    """Code that an image is at is listed, for those who may hear of it, and counted when it ended."""
    async with running_daemon() as running, running.talker() as ada, running.image("pharo") as image:
        await ada.call("hello", role="client", client_id="ada")
        (session,) = await sessions(ada, 1, client_id="ada", image_id="pharo")
        asking = ada.ask("evaluate", session_id=session, code="3 + 4", idempotency_key="sum")
        request = await image.hear()
        async with running.talker() as bob, running.talker() as nobody:
            await bob.call("hello", role="client", client_id="bob")
            found = await nobody.call("list_running_evaluations")
            assert found["total"] == 1
            row = found["evaluations"][0]
            assert (row["evaluation"], row["status"], row["code"], row["client_id"]) == (
                "sum",
                "running",
                "3 + 4",
                "ada",
            )
            assert (await bob.call("list_running_evaluations"))["total"] == 0
            assert (await nobody.call("list_running_evaluations", image_id="other"))["total"] == 0
            assert (await nobody.call("list_sessions"))["sessions"][0]["running"] == 1
            image.say({"id": request["id"], "status": "success", "result": SEVEN})
            await ada.reply_to(asking)
            assert (await nobody.call("list_running_evaluations"))["evaluations"] == []
            running.daemon._figures.sample()
            (sample,) = (await nobody.call("get_figures"))["samples"]
            assert (sample["evaluations"], sample["running"]) == (1, 0)
            assert sample["evaluation_ms"] > 0
        assert sample["evaluation_p95_ms"] > 0


# ---- the store


async def test_store_status_tells_of_disk_journal_and_backups(tmp_path: Path) -> None:
    """What is on the disk, and each backup with its age and why it was made."""
    storage = FileStorage(tmp_path / "data", backup_interval_s=3600.0)
    async with running_daemon(storage) as running, running.talker() as talker:
        await sessions(talker, 2)
        before = await talker.call("get_store_status")
        assert (before["kind"], before["status"], before["backups"], before["backup_count"]) == ("file", "ok", [], 0)
        assert 0 < before["journal_bytes"] < 100_000
        assert 0 < before["disk_free_bytes"] <= before["disk_bytes"]
        made = await talker.call("create_backup", reason="by-hand")
        await talker.call("create_backup", reason="again")
        after = await talker.call("get_store_status")
        assert [row["reason"] for row in after["backups"]] == ["again", "by-hand"]
        assert after["backups"][1] == {
            "name": made["name"],
            "made_at": made["made_at"],
            "reason": "by-hand",
            "sessions": 2,
            "problems": 0,
        }
        running.daemon._figures.sample()
        assert (await talker.call("get_figures"))["samples"][0]["syncs"] >= 2


async def test_store_status_in_memory_has_no_disk() -> None:
    """There is nothing to run full, and there are no copies."""
    async with running_daemon() as running, running.talker() as talker:
        told = await talker.call("get_store_status")
        assert (told["kind"], told["disk_free_bytes"], told["backup_interval"]) == ("memory", None, None)


# ---- figures


def test_figures_are_about_an_interval_and_bounded() -> None:
    """Counts that only grow become counts of the interval; only the newest samples are kept."""
    counts = {"requests": 10, "events": 0}
    syncs, now = Histogram(FAST_S), [0.0]
    source = Source(
        requests=lambda: counts["requests"],
        events=lambda: counts["events"],
        evaluations=Histogram(SLOW_S),
        syncs=lambda: syncs,
        connections=lambda: 3,
        sessions=lambda: 2,
        running=lambda: 1,
    )
    figures = Figures(source, FakeClock(), lambda: now[0], interval_s=5.0)
    figures.start()
    for number in range(KEPT_SAMPLES + 5):
        counts["requests"] += number
        now[0] += 5.25
        syncs.note(0.002)
        syncs.note(0.004)
        figures.sample()
    kept = figures.newest(1000)
    assert len(kept) == KEPT_SAMPLES
    last = kept[-1]
    assert (last.requests, last.events, last.lag_ms) == (KEPT_SAMPLES + 4, 0, 250.0)
    assert (last.syncs, last.sync_ms, last.sync_p95_ms) == (2, 3.0, 4.75)
    assert (last.evaluations, last.evaluation_ms, last.evaluation_p95_ms) == (0, None, None)
    assert figures.newest(1) == [last]


def test_quantile_is_within_the_bucket_of_its_value() -> None:
    """An estimate that is never beyond the bounds between which the value is; above all bounds it is the last one."""
    assert quantile((1.0, 2.0, 4.0), (10, 0, 10, 0), 0.75) == 3.0
    assert quantile((1.0, 2.0, 4.0), (10, 0, 10, 0), 0.5) == 1.0
    assert quantile((1.0, 2.0, 4.0), (0, 0, 0, 3), 0.95) == 4.0


async def test_figures_count_requests_and_events() -> None:
    """Every request counts, refused ones too; an event counts once however many hear it."""
    async with running_daemon() as running, running.talker() as one, running.talker() as two:
        (session,) = await sessions(one, 1)
        for talker in (one, two):
            await talker.call("subscribe", session_id=session)
        running.daemon._figures.sample()
        await one.call("update_session_state", session_id=session, state_data={"a": 1})
        assert (await one.call("update_session_state", session_id="no"))["code"] == "invalid_parameters"
        await asyncio.sleep(0)
        running.daemon._figures.sample()
        told = await one.call("get_figures", limit=1)
        assert told["server_id"] == running.daemon.server_id
        assert (told["samples"][0]["requests"], told["samples"][0]["events"]) == (2, 1)
