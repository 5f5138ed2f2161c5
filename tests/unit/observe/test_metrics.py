"""The metrics of real daemons, read as Prometheus reads them."""

import asyncio
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from stui_sessiond.ids import ClientId, SessionId
from stui_sessiond.observe.image import NAMED_IMAGES
from stui_sessiond.observe.metrics import PIECE, Metrics
from stui_sessiond.security.token import Wish, create
from stui_sessiond.sessions.shelf import Entry
from stui_sessiond.storage.file import FileStorage
from tests.unit.bed.daemon import image_hello, running_daemon
from tests.unit.bed.wait import until
from tests.unit.observe.bed import MACHINE, OPEN, Readings, read, scrape, some_life

promtool = shutil.which("promtool")


@pytest.mark.skipif(promtool is None, reason="needs promtool (package prometheus)")
async def test_metrics_are_as_promtool_wants_them(tmp_path: Path) -> None:
    """Names, units, help and types: promtool finds nothing to say of a daemon that has done most things."""
    async with running_daemon(FileStorage(tmp_path / "data"), server=OPEN, audited=True) as running:
        await some_life(running)
        text = (await scrape(running)).text
    assert promtool is not None
    done = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    families = Readings(text).families.values()
    assert all(family.documentation for family in families)
    assert all(family.name.startswith(("stui_", "process_", "python_")) for family in families)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("text/plain; version=1.0.0; escaping=underscores", "text/plain; version=1.0.0"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=no", "text/plain; version=0.0.4"),
    ],
)
async def test_form_of_the_metrics_is_negotiated(accept: str, content_type: str) -> None:
    """Whoever says what they read gets it; OpenMetrics ends as it has to and can be parsed strictly."""
    async with running_daemon(server=OPEN) as running:
        await some_life(running)
        found = await scrape(running, accept=accept)
    assert found.headers["content-type"].startswith(content_type)
    assert found.headers["cache-control"] == "no-store"
    if "openmetrics" in content_type:
        assert found.text.endswith("# EOF\n")
        assert {"stui_requests", "stui_loop_lag_seconds"} <= {family.name for family in read_openmetrics(found.text)}  # type: ignore[no-untyped-call]  # it has no types


async def test_metrics_take_the_right_to_observe() -> None:
    """Without a token 401, with one that may not look 403; the numbers go to whoever may look."""
    async with running_daemon(server={"http": "127.0.0.1:0"}) as running:
        folder = Path(str(running.daemon.settings.server.data_dir))
        looks, works = (
            create(folder, Wish(name=name, rights=(name,)), running.clock()) for name in ("observe", "session")
        )
        running.reloader.check()
        assert (await scrape(running)).status_code == 401
        assert (await scrape(running, authorization=f"Bearer {works}")).status_code == 403
        assert "stui_sessions 0.0" in (await scrape(running, authorization=f"Bearer {looks}")).text


async def test_metrics_may_be_opened() -> None:
    """An operator may let everybody read them; the rest still takes a token."""
    async with running_daemon(server={"http": "127.0.0.1:0"}, observe={"metrics_open": True}) as running:
        assert (await scrape(running)).status_code == 200


async def test_connections_are_counted_by_role_and_by_end() -> None:
    """They are there by the role they have, and afterwards by what ended them, a reset among that."""
    async with running_daemon(server={**OPEN, "lines": "127.0.0.1:0"}) as running:
        async with running.talker() as client, running.image(), running.talker() as stranger:
            await client.call("hello", role="client", client_id="me")
            await stranger.call("ping")
            now = await read(running)
            for role in ("client", "image", "before_hello"):
                assert now.value("stui_connections", transport="unix", role=role) == 1
        async with running.talker(running.ready.lines) as hasty:
            await hasty.call("ping")
            sock: socket.socket = hasty.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            hasty.writer.transport.abort()
            await until(lambda: not running.daemon.server.counts().total)
        then = await read(running)
    assert then.value("stui_connections_opened_total", transport="unix") == 3
    assert then.value("stui_connections_ended_total", transport="unix", reason="left") == 3
    assert then.value("stui_connections_ended_total", transport="tcp", reason="reset") == 1
    assert then.value("stui_connection_duration_seconds_count", transport="tcp") == 1
    assert not any(then.value("stui_connections", transport="unix", role=role) for role in ("client", "image"))


async def test_requests_are_counted_by_command_and_outcome() -> None:
    """A name that somebody made up is never a label."""
    async with running_daemon(server=OPEN) as running:
        await some_life(running)
        async with running.talker() as client:
            await client.call("get_session_info", session_id="session_1_1_none")
            client.write(b"{nonsense}\n")
            await client.hear()
        text = (await scrape(running)).text
    found = Readings(text)
    assert found.value("stui_requests_total", command="update_session_state", outcome="ok") == 1
    assert found.value("stui_requests_total", command="get_session_info", outcome="session_not_found") == 1
    assert found.value("stui_requests_total", command="unknown", outcome="unknown_command") == 1
    assert found.value("stui_messages_refused_total", code="malformed_json") == 1
    assert found.value("stui_request_duration_seconds_count", command="create_session") == 1
    assert found.value("stui_evaluations_total", outcome="ok") == 1
    assert found.value("stui_image_requests_total", image_id="pharo") == 1
    assert "make_coffee" not in text


async def test_only_some_requests_are_timed() -> None:
    """All are counted; the clock is looked at for the first and every sixteenth."""
    async with running_daemon(server=OPEN) as running:
        async with running.talker() as client:
            for _ in range(33):
                await client.call("ping")
        found = await read(running)
    assert found.value("stui_requests_total", command="ping", outcome="ok") == 33
    assert found.value("stui_request_duration_seconds_count", command="ping") == 3


async def test_code_is_counted_by_what_came_of_it() -> None:
    """An error that the code met is one thing, an image that went is another."""
    async with running_daemon(server=OPEN) as running:
        async with running.talker() as client:
            async with running.image() as image:
                asked = client.ask("evaluate", code="1/0")
                request = await image.hear()
                result = {"result": None, "result_type": "ZeroDivide", "execution_time": 0, "has_error": True}
                image.say({"id": request["id"], "status": "success", "result": result})
                await client.reply_to(asked)
                asked = client.ask("evaluate", code="1 wait")
                await image.hear()
            assert (await client.reply_to(asked))["code"] == "image_lost"
        found = await read(running)
    assert found.value("stui_evaluations_total", outcome="error") == 1
    assert found.value("stui_evaluations_total", outcome="image_lost") == 1
    assert found.value("stui_evaluation_duration_seconds_count") == 2
    assert found.value("stui_images", condition="link_lost") == 1


async def test_transitions_are_counted_by_what_came_of_them() -> None:
    """Those of all sessions together: neither a session nor the name that somebody asked for is a label."""
    async with running_daemon(server=OPEN) as running, running.talker() as client:
        await client.call("hello", role="client", client_id="me")
        for _ in range(2):
            session_id = (await client.call("create_session", client_id="me", machine=MACHINE))["session_id"]
            await client.call("apply_transition", session_id=session_id, transition="step", change={"count": 1})
            for number in range(5):
                await client.call("apply_transition", session_id=session_id, transition=f"made-up-{number}")
            await client.call("apply_transition", session_id=session_id, transition="step", change={"other": 1})
        found = await read(running)
    assert found.value("stui_state_transitions_total", outcome="applied") == 2
    assert found.value("stui_state_transitions_total", outcome="transition_unknown") == 10
    assert len(found.families["stui_state_transitions"].samples) == 3


async def test_subscribers_and_what_they_missed() -> None:
    """Subscriptions come and go; whoever comes back with a position is told what was missed, or that it is lost."""
    async with running_daemon(server=OPEN) as running:
        async with running.talker() as client:
            session_id = (await client.call("create_session", client_id="me"))["session_id"]
            started = await client.call("subscribe", session_id=session_id)
            await client.call("subscribe", topics=["client:me"])
            await client.call("update_session_state", session_id=session_id, state_data={"a": 1})
            await client.event()
            now = await read(running)
            assert now.value("stui_subscriptions", kind="session") == 1
            assert now.value("stui_subscriptions", kind="topic") == 1
            assert now.value("stui_events_delivered_total") == 1
        async with running.talker() as again:
            await again.call("subscribe", session_id=session_id, since=started["position"])
            await again.event()
            await again.call("subscribe", session_id=session_id, since={"epoch": "another", "seq": 1})
            await again.call("ping")
        await until(lambda: not running.daemon.server.counts().total)
        then = await read(running)
    assert then.value("stui_subscription_resumes_total", outcome="recovered") == 1
    assert then.value("stui_subscription_resumes_total", outcome="gap") == 1
    assert then.value("stui_events_replayed_total") >= 1
    assert then.value("stui_subscriptions", kind="session") == 0
    assert then.value("stui_subscriptions", kind="topic") == 0


async def test_resumed_connections_and_wrong_tokens() -> None:
    """Both are counted, and so is a token that is none."""
    async with running_daemon(server={"http": "127.0.0.1:0", "lines": "127.0.0.1:0"}) as running:
        async with running.talker() as client:
            token = (await client.call("hello", role="client", client_id="me"))["resume_token"]
        for resume_token in (token, "made-up"):
            async with running.talker() as client:
                await client.call("hello", role="client", client_id="me", resume_token=resume_token)
        async with running.talker(running.ready.lines) as stranger:
            await stranger.call("hello", role="client", token="stui_" + "x" * 43)
        found = Readings(
            (await scrape(running, authorization=f"Bearer {running.daemon.new_token}")).text,
        )
    assert found.value("stui_connection_resumes_total", outcome="recovered") == 1
    assert found.value("stui_connection_resumes_total", outcome="refused") == 1
    assert found.value("stui_authentication_failures_total") == 1
    assert found.value("stui_connections_ended_total", transport="tcp", reason="authentication_failed") == 1


async def test_ids_of_images_are_labels_up_to_a_bound() -> None:
    """An image may choose any id, as many as it likes: the text stays readable, and bounded."""
    odd = 'a"b\\c {d}='
    async with running_daemon(server=OPEN) as running:
        for number in range(NAMED_IMAGES + 5):
            async with running.talker() as image:
                await image.call("hello", **image_hello(f"image-{number}"))
        async with running.image(odd):
            found = await read(running)
    assert found.value("stui_image_connected", image_id=odd) == 1
    assert len(found.families["stui_image_connected"].samples) == NAMED_IMAGES
    assert sum(sample.value for sample in found.families["stui_images"].samples) == NAMED_IMAGES + 6


async def test_storage_and_backups(tmp_path: Path) -> None:
    """Syncs, batches and the newest good backup, also that of an earlier daemon."""
    async with running_daemon(FileStorage(tmp_path / "data"), server=OPEN, audited=True) as running:
        await some_life(running)
        before = await read(running)
        assert "stui_backup_last_success_timestamp_seconds" not in before.names
        async with running.talker() as client:
            await client.call("create_backup")
        made = await read(running)
    assert before.value("stui_journal_sync_duration_seconds_count") >= 3
    assert before.value("stui_journal_batch_records_sum") >= 3
    assert before.value("stui_storage_state", state="ok") == 1
    assert made.value("stui_backups_total", outcome="made") == 1
    assert made.value("stui_audit_entries_total") + made.value("stui_audit_waiting_entries") >= 4
    async with running_daemon(FileStorage(tmp_path / "data"), server=OPEN) as another:
        later = await read(another)
    name = "stui_backup_last_success_timestamp_seconds"
    assert later.value(name) == made.value(name) > 0


async def test_daemons_count_for_themselves() -> None:
    """Two of them in one process have numbers of their own."""
    async with running_daemon(server=OPEN) as one, running_daemon(server=OPEN) as other:
        await some_life(one)
        assert (await read(one)).value("stui_sessions") == 1
        assert (await read(other)).value("stui_sessions") == 0
        assert (await read(other)).value("stui_requests_total", command="hello", outcome="ok") == 0


async def test_large_family_is_written_in_pieces() -> None:
    """What is said of a family is said once; what is written in pieces is what would be written at once."""
    async with running_daemon(server=OPEN) as running:
        for _, tally in running.daemon.server.dispatcher.table.tallies():
            tally.begun = tally.answered = 1
        metrics = Metrics(running.daemon.observed)
        for accept in ("", "application/openmetrics-text; version=1.0.0"):
            text, _ = await metrics.write(accept)
            lines = text.decode().splitlines()
            heads = [line for line in lines if line.startswith("# TYPE")]
            assert len(heads) == len(set(heads))
            of_requests = [line for line in lines if line.startswith("stui_request_duration_seconds_bucket")]
            assert len(of_requests) == len(set(of_requests)) > 2 * PIECE
            assert lines.count("# EOF") == (accept != "")


async def test_sessions_by_state() -> None:
    """Time alone makes a session an expired one, so they are counted now and then."""
    async with running_daemon(server=OPEN) as running:
        async with running.talker() as client:
            made = [(await client.call("create_session", client_id="me", timeout=t))["session_id"] for t in (9, 99, 99)]
            await client.call("close_session", session_id=made[2])
        running.clock.pass_time(10)
        await running.daemon.observed.sampler.count_sessions()
        found = await read(running)
    assert [found.value("stui_sessions_by_state", state=word) for word in ("active", "expired", "closed")] == [1, 1, 1]


async def test_very_many_sessions_cost_a_scrape_nothing() -> None:
    """With 100,000 sessions it takes about the processor time that it takes with one: nobody looks at them."""
    async with running_daemon(server=OPEN) as running:
        await some_life(running)
        metrics = Metrics(running.daemon.observed)
        few = await _cost_s(metrics)
        shelf = running.daemon.server.feed.keeper.shelf
        pattern = shelf.entries()[0].header
        for number in range(100_000):
            header = replace(pattern, session_id=SessionId(f"s{number}"), client_id=ClientId(f"c{number % 1000}"))
            shelf.add(Entry(header, 10))
        many = await _cost_s(metrics)
        found = await read(running)
        assert found.value("stui_sessions") == 100_001
        assert found.value("stui_sessions_size_bytes") > 1_000_000
        for entry in shelf.entries()[1:]:
            shelf.remove(entry)
    assert many < 3 * few, f"{many * 1000:.1f} ms instead of {few * 1000:.1f}"


async def _cost_s(metrics: Metrics) -> float:
    """The least of the processor time of some scrapes."""
    costs = []
    for _ in range(5):
        started = time.thread_time()
        await metrics.write("")
        costs.append(time.thread_time() - started)
    return min(costs)
