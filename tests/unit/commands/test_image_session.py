"""Images and their sessions as clients see them: whose, how they are, cleaned up, moved; and the daemon by itself."""

import signal
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from stui_sessiond.images import condition, pulse
from stui_sessiond.sessions.cleanup import Case, Wish, decide
from stui_sessiond.storage.memory import MemoryStorage
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.daemon import Json, Running, Talker, image_hello, running_daemon
from tests.unit.bed.wait import until

SEVEN = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}


async def a_session(client: Talker, client_id: str = "ada", image_id: str = "pharo", **more: Any) -> str:  # noqa: ANN401 -- any JSON
    """Start a session of an image."""
    made = await client.call("create_session", client_id=client_id, image_id=image_id, **more)
    return str(made["session_id"])


async def gone(running: Running, image_id: str = "pharo") -> None:
    """Wait until the daemon has noticed that an image went."""
    await until(lambda: image_id not in running.daemon.images.connected)


def answer(image: Talker, request: Json, result: Json) -> None:
    """Let an image answer."""
    image.say({"id": request["id"], "status": "success", "result": result})


# ---- looking


async def test_sessions_of_images_are_those_one_may_hear_of() -> None:
    """Who named itself sees those it has a role in; who did not, and an observer, sees all."""
    async with running_daemon() as running, running.talker() as nobody, running.talker() as ada:
        await ada.call("hello", role="client", client_id="ada")
        mine, foreign = await a_session(ada), await a_session(nobody, "bob")
        await nobody.call("create_session", client_id="bob")
        async with running.talker() as observer:
            await observer.call("hello", role="observer", client_id="eve")
            for caller, seen in ((ada, [mine]), (nobody, [mine, foreign]), (observer, [mine, foreign])):
                listed = await caller.call("list_image_sessions")
                assert [row["session_id"] for row in listed["sessions"]] == seen
        await nobody.call("share_session", session_id=foreign, client_id="ada", role="viewer")
        assert (await ada.call("list_image_sessions", image_id="pharo"))["session_count"] == 2
        assert (await ada.call("list_image_sessions", image_id="other"))["sessions"] == []


async def test_orphaned_sessions_are_those_whose_image_is_gone_for_too_long() -> None:
    """Not before the grace period is over, and not any more when the image is back."""
    async with running_daemon() as running, running.talker() as client:
        session = await a_session(client)
        async with running.image():
            pass
        await gone(running)

        async def told() -> tuple[str, bool, int, int]:
            listed = await client.call("list_image_sessions")
            row = listed["sessions"][0]
            hidden = await client.call("list_image_sessions", include_orphaned=False)
            stats = await client.call("get_image_session_stats", image_id="pharo")
            return row["image_status"], row["orphaned"], hidden["session_count"], stats["orphaned_sessions"]

        assert await told() == ("reconnecting", False, 1, 0)
        running.clock.pass_time(60)
        assert await told() == ("disconnected", False, 1, 0)
        running.clock.pass_time(241)
        assert await told() == ("orphaned", True, 0, 1)
        async with running.image() as image:
            assert await told() == ("connected", False, 1, 0)
            asked = client.ask("evaluate", session_id=session, code="3 + 4")
            answer(image, await image.hear(), SEVEN)
            assert (await client.reply_to(asked))["result"]["result"] == "7"


async def test_status_of_a_hung_image_comes_at_once_and_says_what_helps() -> None:
    """The image does not answer anything; the question how it is is not put to it."""
    async with running_daemon() as running, running.talker() as client, running.image() as image:
        session = await a_session(client)
        client.ask("evaluate", session_id=session, code="[true] whileTrue", idempotency_key="k1")
        await image.hear()
        link = running.daemon.images.find(running.daemon.images.all_known()[0].image_id)
        assert link is not None
        link.pulse.asked("p-missing")
        link.pulse._unanswered["p-missing"] -= 31.0  # as if it had been asked so long ago
        link.pulse._heard_at -= 31.0
        told = await client.call("get_image_connection_status", image_id="pharo")
        assert (told["status"], told["connection_health"], told["condition"]) == (
            "connected",
            "critical",
            "not_answering",
        )
        assert (told["evaluating"], told["pending_requests"]) == (["k1"], 1)
        assert "interrupt_evaluation" in told["condition_text"]
        await client.call("subscribe", session_id=session)
        running.daemon._image_commands.watch.tick()
        event = await client.event()
        assert (event["event"], event["data"]["condition"]) == ("image.condition_changed", "not_answering")
        assert event["session_id"] == session


async def test_status_names_only_evaluations_of_sessions_one_may_hear_of() -> None:
    """That code is under way everybody may know; whose, and under what name, not."""
    async with running_daemon() as running, running.talker() as client, running.image() as image:
        session = await a_session(client)
        client.ask("evaluate", session_id=session, code="1", idempotency_key="secret")
        await image.hear()
        async with running.talker() as stranger:
            await stranger.call("hello", role="client", client_id="stranger")
            told = await stranger.call("get_image_connection_status", image_id="pharo")
        assert (told["condition"], told["evaluating"], told["pending_requests"]) == ("evaluating", [], 1)


STOPPED = """
import json, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
hello = {"role": "image", "identity": {"image_id": "stopped", "instance_id": "1"}}
link.sendall(json.dumps({"id": "hello", "command": "hello", "parameters": hello}).encode() + b"\\n")
for line in link.makefile():
    asked = json.loads(line)
    if asked.get("command") == "ping":
        answer = {"id": asked["id"], "status": "success", "result": {"status": "ready"}}
        link.sendall(json.dumps(answer).encode() + b"\\n")
"""
"""An image in a process of its own that only gives signs of life."""


async def test_stopped_process_is_not_answering_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is stopped with SIGSTOP is told from one that is gone; another one's answers do not wait for it."""
    monkeypatch.setattr(pulse, "QUIET_S", 0.1)
    for module in (pulse, condition):
        monkeypatch.setattr(module, "SILENT_S", 0.3)
    async with running_daemon() as running, running.talker() as client, running.image("well") as well:
        await client.call("subscribe", topics=["image:stopped"])
        command = (sys.executable, "-c", STOPPED, str(running.ready.unix))
        with subprocess.Popen(command) as child:  # noqa: ASYNC220 -- starting it takes no time
            try:
                assert (await client.event())["event"] == "image.connected"
                assert (await client.event())["data"]["condition"] == "idle"
                child.send_signal(signal.SIGSTOP)
                told = (await client.event())["data"]
                assert told["condition"] == "not_answering"
                asked = client.ask("evaluate", image_id="well", code="3 + 4")
                answer(well, await well.hear(), SEVEN)
                assert (await client.reply_to(asked))["result"]["result"] == "7"
                status = await client.call("get_image_connection_status", image_id="stopped")
                assert (status["status"], status["connection_health"]) == ("connected", "warning")
                child.send_signal(signal.SIGCONT)
                assert (await client.event())["data"]["condition"] == "idle"
            finally:
                child.kill()
        events = [(await client.event()) for _ in range(2)]
        assert [each["event"] for each in events] == ["image.disconnected", "image.condition_changed"]


# ---- cleaning up

IN_USE = Case(expired=False, orphaned=False, unused_s=7200)


@pytest.mark.parametrize(
    ("case", "wish", "close"),
    [
        (IN_USE, Wish(orphaned=True, expired=True), False),
        (IN_USE, Wish(active=True), True),
        (IN_USE, Wish(active=True, unused_s=7201), False),
        (IN_USE, Wish(active=True, unused_s=7200), True),
        (msgspec.structs.replace(IN_USE, orphaned=True), Wish(orphaned=True), True),
        (msgspec.structs.replace(IN_USE, orphaned=True), Wish(expired=True), False),
        (msgspec.structs.replace(IN_USE, orphaned=True, attached=1), Wish(orphaned=True), False),
        (msgspec.structs.replace(IN_USE, orphaned=True, attached=1), Wish(orphaned=True, force=True), True),
        (msgspec.structs.replace(IN_USE, orphaned=True, busy=True), Wish(orphaned=True), False),
        (msgspec.structs.replace(IN_USE, orphaned=True, busy=True), Wish(orphaned=True, force=True), True),
        (msgspec.structs.replace(IN_USE, expired=True), Wish(expired=True), True),
        (msgspec.structs.replace(IN_USE, expired=True), Wish(orphaned=True), False),
    ],
)
def test_cleanup_closes_exactly_what_was_asked_for(case: Case, wish: Wish, close: bool) -> None:
    """Each wish closes what it names; what is in use only with force."""
    assert decide(case, wish).close is close


async def test_cleanup_closes_expired_and_orphaned_sessions_and_says_who_did() -> None:
    """An expired one, an orphaned one; what is closed can be reopened, and the history tells by whom."""
    async with running_daemon() as running, running.talker() as client:
        await client.call("hello", role="client", client_id="operator")
        expired = await a_session(client, "ada", timeout=10)
        orphaned = await a_session(client, "ada")
        async with running.image():
            pass
        await gone(running)
        running.clock.pass_time(301)
        seen = await client.call("cleanup_image_sessions", image_id="pharo", dry_run=True)
        assert (seen["sessions_cleaned"], seen["sessions_remaining"]) == (2, 0)
        done = await client.call("cleanup_image_sessions", image_id="pharo")
        assert {row["session_id"]: row["action"] for row in done["cleanup_details"]} == {
            expired: "closed",
            orphaned: "closed",
        }
        again = await client.call("cleanup_image_sessions", image_id="pharo")
        assert (again["sessions_cleaned"], again["cleanup_details"]) == (0, [])
        told = await client.call("get_image_connection_status", image_id="pharo")
        assert [(one["by"], one["sessions_cleaned"]) for one in told["cleanups"]] == [("operator", 2)]
    assert running.daemon.images.known("pharo") is not None


async def test_sessions_are_closed_by_themselves_only_when_the_operator_said_so() -> None:
    """Never by default; else when the image has been gone for so long, and nobody is attached."""
    for after, closed in ((0.0, []), (600.0, ["free"])):
        async with running_daemon(images={"close_orphaned_after": after}) as running, running.talker() as client:
            ids = {name: await a_session(client, name=name) for name in ("free", "watched")}
            async with running.image():
                pass
            await gone(running)
            await client.call("subscribe", session_id=ids["watched"])
            running.clock.pass_time(599)
            await running.daemon._image_sessions.close_orphaned()
            listed = await client.call("list_image_sessions")
            assert listed["session_count"] == 2
            running.clock.pass_time(2)
            await running.daemon._image_sessions.close_orphaned()
            left = [row["name"] for row in (await client.call("list_image_sessions"))["sessions"]]
            assert sorted({"free", "watched"} - set(left)) == closed
            told = await client.call("get_image_connection_status", image_id="pharo")
            assert [one["by"] for one in told["cleanups"]] == ["automatic"] * len(closed)


# ---- moving


async def test_switch_says_what_stays_behind_by_name() -> None:
    """Variables are named, with where their printed forms are; contexts that are no proper ones do no harm."""
    async with running_daemon() as running, running.talker() as client, running.image(), running.image("squeak"):
        session = await a_session(client)
        bindings = {"bindings": {"x": {"value": "7"}, "y": 1}}
        await client.call("save_context", session_id=session, tool_id="w", context={"workspace": bindings})
        await client.call("save_context", session_id=session, tool_id="v", context={"workspace": {"bindings": [1]}})
        await client.call("snapshot_session", session_id=session, name="here")
        told = await client.call("switch_image_context", session_id=session, to_image_id="squeak")
        assert told["left_behind"][0].startswith("variables with their values: x, y; their printed forms")
        assert any("2 tools: v, w" in one for one in told["carried"])
        assert "1 named snapshot" in told["carried"]
        info = await client.call("get_session_info", session_id=session)
        assert (info["image_id"], info["version"]) == ("squeak", 3)
        same = await client.call("switch_image_context", session_id=session, to_image_id="squeak")
        assert (same["left_behind"], same["version"]) == ([], 3)


async def test_switch_takes_the_role_of_an_editor() -> None:
    """A viewer may not move what belongs to others."""
    async with running_daemon() as running, running.talker() as client, running.image(), running.talker() as viewer:
        session = await a_session(client)
        await client.call("share_session", session_id=session, client_id="eve", role="viewer")
        await viewer.call("hello", role="client", client_id="eve")
        refused = await viewer.call("switch_image_context", session_id=session, to_image_id="pharo")
        assert refused["code"] == "session_not_shared"


async def test_switch_of_a_session_whose_image_is_gone_lets_it_go_on_elsewhere() -> None:
    """What ran in the image that is gone is no reason to keep the session there."""
    async with running_daemon() as running, running.talker() as client, running.image("squeak") as squeak:
        session = await a_session(client)
        async with running.image() as image:
            asked = client.ask("evaluate", session_id=session, code="1", idempotency_key="k")
            await image.hear()
        await gone(running)
        assert (await client.reply_to(asked))["code"] == "image_lost"
        told = await client.call("switch_image_context", session_id=session, to_image_id="squeak")
        assert told["from_image_id"] == "pharo"
        client.ask("evaluate", session_id=session, code="2")
        assert (await squeak.hear())["parameters"]["code"] == "2"


# ---- who is an image


async def test_refused_image_that_is_known_is_failed_and_strangers_are_not_remembered() -> None:
    """The lists keep both out; only of the one that sessions and history know is told."""
    clock, storage = FakeClock(), MemoryStorage()
    async with running_daemon(storage, clock) as running, running.talker() as client:
        await a_session(client)
        async with running.image():
            pass
        await gone(running)
        fresh = running.daemon.settings
        running.daemon.apply(msgspec.structs.replace(fresh, access=type(fresh.access)(images_allow=["nobody"])))
        for image_id in ("pharo", "stranger"):
            async with running.talker() as image:
                assert (await image.call("hello", **image_hello(image_id)))["code"] == "image_not_allowed"
        listed = (await client.call("list_images"))["images"]
        assert [(row["image_id"], row["status"]) for row in listed] == [("pharo", "failed")]


async def test_conflicts_are_in_the_audit_log() -> None:
    """Whoever looks later finds that a second instance came."""
    async with running_daemon(audited=True) as running, running.image(), running.talker() as second:
        assert (await second.call("hello", **image_hello("pharo", "i-2")))["code"] == "image_id_in_use"
        audit: Any = running.daemon.audit
        assert audit.flush()
        entries = [each for path in audit._layout.audit.glob("*.jsonl") for each in path.read_text().splitlines()]
        found = [msgspec.json.decode(line) for line in entries if "image.conflict" in line]
    assert [(one["event"], one["outcome"], one["image_id"]) for one in found] == [
        ("image.conflict", "second_instance", "pharo")
    ]


# ---- tried at connect


async def test_image_is_tried_at_connect_and_nobody_waits_for_it() -> None:
    """While it takes its time over that, clients get their answers; the outcome is in list_images."""
    async with running_daemon() as running, running.talker() as client, running.talker() as image:
        image.own_accord = True
        hello = image_hello()
        hello["identity"]["capabilities"] = ["evaluate", "ping", "inspect"]
        await image.call("hello", **hello)
        probe = await image.hear()
        assert (probe["command"], probe["id"][:2]) == ("ping", "p-")
        asked = client.ask("evaluate", image_id="pharo", code="5")
        request = await image.hear()
        assert request["parameters"]["code"] == "5"
        answer(image, request, SEVEN)
        assert (await client.reply_to(asked))["result"]["result"] == "7"
        answer(image, probe, {"status": "ready"})
        answer(image, await image.hear(), SEVEN)
        inspecting = await image.hear()
        image.say({"id": inspecting["id"], "status": "error", "error": "no", "code": "image_error"})
        known = running.daemon.images.known("pharo")
        assert known is not None
        await until(lambda: known.certificate["inspect"] == "failed")
        (row,) = (await client.call("list_images"))["images"]
        assert row["certificate"] == {"evaluate": "works", "ping": "works", "inspect": "failed"}
        refused = await client.call("inspect", image_id="pharo", target="3")
        assert (refused["code"], refused["details"]["capability"]) == ("unsupported_operation", "inspect")


async def test_image_is_not_tried_when_the_operator_does_not_want_it() -> None:
    """With `probe` false the first thing it is asked is what a client asked."""
    async with (
        running_daemon(images={"probe": False}) as running,
        running.talker() as client,
        running.talker() as image,
    ):
        image.own_accord = True
        hello = image_hello()
        hello["identity"]["capabilities"] = ["evaluate", "ping"]
        await image.call("hello", **hello)
        client.ask("evaluate", image_id="pharo", code="5")
        assert (await image.hear())["command"] == "evaluate"
        assert (await client.call("list_images"))["images"][0]["certificate"]["evaluate"] == "claimed"
