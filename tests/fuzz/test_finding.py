"""Does the fuzzer find what is wrong, and tell it well? A daemon that lies in one way at a time."""

import json
from pathlib import Path
from typing import Any

import pytest

from stui_sessiond.testing.fuzz.campaign import Fuzzer, Wanted
from stui_sessiond.testing.fuzz.tally import Failure
from stui_sessiond.testing.fuzz.transcript import as_transcript
from stui_sessiond.testing.runner import find_target, run_transcript
from stui_sessiond.testing.transcripts import parse_transcript
from tests.conformance.bed import FACTORIES, running_daemon
from tests.fuzz.liar import Spoil, lying

Json = dict[str, Any]


def twice(message: Json) -> list[Json]:
    """Answer some requests twice."""
    return [message, message] if "uptime_seconds" in str(message.get("result")) else [message]


def wrong_type(message: Json) -> list[Json]:
    """Give a result that does not fit its schema."""
    if isinstance(message.get("result"), dict) and "uptime_seconds" in message["result"]:
        return [{**message, "result": {**message["result"], "uptime_seconds": "long"}}]
    return [message]


def unlisted_code(message: Json) -> list[Json]:
    """Answer with a code that the descriptor does not have."""
    if message.get("code") == "approval_not_found":
        return [{**message, "code": "session_conflict"}]
    return [message]


def fault(message: Json) -> list[Json]:
    """Own up to a fault."""
    return [{**message, "code": "internal_error"}] if message.get("code") == "version_not_found" else [message]


def skipping(message: Json) -> list[Json]:
    """Leave an event out."""
    return [{**message, "seq": message["seq"] * 2}] if "event" in message and "seq" in message else [message]


LIES = {
    "unasked": twice,
    "answer:get_session_statistics:ok": wrong_type,
    "answer:approve:session_conflict": unlisted_code,
    "fault": fault,
    "event_order": skipping,
}


def found(lie: Spoil) -> tuple[Failure, list[str]]:
    """What the fuzzer finds, and what differs when the transcript is played to the honest daemon."""
    with running_daemon(FACTORIES["unix"], "none") as bed:

        async def run() -> tuple[Failure, list[str]]:
            async with lying(bed.url, lie) as url:
                failure = await Fuzzer(Wanted(url=url, seed=0, seconds=30)).run()
            assert failure is not None
            transcript = parse_transcript("found", as_transcript(failure, None))
            return failure, await run_transcript(transcript, await find_target(bed.url, None))

        return bed.runner.run(run())


@pytest.mark.parametrize("kind", LIES)
def test_lie_is_found_and_made_small(kind: str) -> None:
    """Each lie is called by its name; what is left of the script is a few requests, and a well-written transcript."""
    failure, _ = found(LIES[kind])
    if kind == "answer:approve:session_conflict":
        assert failure.kind in {kind, "answer:reject:session_conflict", "shape"}
    else:
        assert failure.kind in {kind, "shape"} or kind in failure.kind
    assert sum(sign == ">" for sign, _ in failure.heard) <= 8
    assert failure.seed is not None
    assert as_transcript(failure, None).startswith(f"# {failure.kind}")


def test_transcript_of_a_lie_is_kept_by_the_honest() -> None:
    """The transcript asks for what would have been right, so an honest daemon passes."""
    _, differences = found(wrong_type)
    assert differences == []


def test_transcript_names_what_was_told() -> None:
    """A session id that came in an answer and is sent later has a name, so that it is another one next time."""
    sent = type(
        "Sent", (), {"data": b'{"id":"q2","command":"x","parameters":{"session_id":"session_1_1_abc"}}', "id": "q2"}
    )
    told = {"id": "q1", "status": "success", "result": {"session_id": "session_1_1_abc"}}
    heard = (("+", None), ("<", told), (">", sent))
    text = as_transcript(Failure("no_answer", "x", heard=heard), None)
    assert '"session_id": "{{session_id_1}}"' in text
    assert text.splitlines()[-1] == 'c1<< {"id": "q2"}'


def test_command_line_reports_in_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`stui-sessiond fuzz --json` prints one object and ends with 0 when nothing was found; it replays a transcript."""
    from tests.e2e.harness import Daemon, run_cli  # noqa: PLC0415 -- only needed here

    right, wrong = tmp_path / "right.txt", tmp_path / "wrong.txt"
    right.write_text('>> {"id": "1", "command": "ping"}\n<< {"id": "1", "status": "success"}\n')
    wrong.write_text('>> {"id": "1", "command": "ping"}\n<< {"id": "1", "status": "error"}\n')
    with Daemon(tmp_path, "--unix", str(tmp_path / "s"), "--auth", "none") as daemon:
        url = f"unix://{daemon.ready['unix']}"
        done = run_cli("fuzz", url, "--conversations", "3", "--seed", "5", "--json", "--pid", str(daemon.child.pid))
        replays = [run_cli("fuzz", url, "--replay", str(file)).returncode for file in (right, wrong)]
    capfd.readouterr()
    assert replays == [0, 1]
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["conversations"] == 3
    assert report["failure"] is None
    assert report["peak_rss_bytes"] > 0


def test_command_line_says_that_nobody_answers() -> None:
    """The exit code tells an unreachable daemon from a wrong one."""
    from tests.e2e.harness import run_cli  # noqa: PLC0415 -- only needed here

    assert run_cli("fuzz", "tcp://127.0.0.1:1").returncode == 3
    assert run_cli("fuzz", "nowhere").returncode == 2
    assert run_cli("fuzz-image", "--listen", "nowhere").returncode == 2
