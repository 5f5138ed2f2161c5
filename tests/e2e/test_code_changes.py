"""A daemon and a live Amber, both real: code is changed, lost with the image, and made again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness import IMAGE_ID, Amber, Connection, Daemon, Json, folder, run_cli

if TYPE_CHECKING:
    import subprocess

NEXT = "next\n\t| old |\n\told := count ifNil: [ 0 ].\n\t^ count := old + 1"
COUNTER = {"class_name": "Counter", "instance_vars": ["count"], "package": "Demo", "image_id": IMAGE_ID}


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for one daemon."""
    with folder() as place:
        yield place


@contextmanager
def image_of(daemon: Daemon) -> Iterator[Connection]:
    """A live Amber, killed in the end, and a client that has heard of it."""
    with Connection(daemon.socket_path) as client:
        client.result("subscribe", topics=[f"image:{IMAGE_ID}"])
        with Amber(daemon.url) as amber:
            client.event("image.connected")
            yield client
            amber.kill()


def compile_next(client: Connection, source: str, base: str | None = None) -> str:
    """Ask for `next` to be compiled; give the id of the request."""
    return client.start(
        "compile_method", image_id=IMAGE_ID, class_name="Counter", source=source, category="counting", base_source=base
    )


def changes(client: Connection) -> list[Json]:
    """What is kept."""
    found: list[Json] = client.result("list_code_changes", image_id=IMAGE_ID)["changes"]
    return found


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What the command line says of each class and method."""
    rows = json.loads(done.stdout)["changes"]
    return {f"{row['class_name']}>>{row['selector'] or ''}": row["outcome"] for row in rows}


def build_counter(client: Connection) -> None:
    """Define a class below another one, with a method on each side and one that is changed twice."""
    client.result("define_class", **COUNTER, base_definition="")
    client.result("define_class", class_name="BigCounter", superclass="Counter", image_id=IMAGE_ID)
    client.result_of(compile_next(client, "next ^ 0", ""))
    client.result_of(compile_next(client, NEXT, "next ^ 0"))
    start = {"class_name": "Counter", "source": "start ^ self new", "is_class_method": True}
    client.result("compile_method", image_id=IMAGE_ID, **start)


def test_code_that_an_image_lost_is_made_again(home: Path) -> None:
    """The image is killed and starts anew without any of it; dry run, reapply, and it works as before."""
    with Daemon(home) as daemon:
        reach = ("--url", f"unix://{daemon.socket_path}")
        with image_of(daemon) as client:
            build_counter(client)
            session = client.new_session(image_id=IMAGE_ID)
            client.value("Counter compile: 'twice ^ self next; next' protocol: 'counting'", session)
            client.value("Object subclass: #Told slots: {} package: 'Demo'", session)
            assert client.value("Counter start twice", session) == "2"
            kept = changes(client)
            assert [(row["kind"], row["class_name"], row["selector"], row["origin"]) for row in kept] == [
                ("class", "Counter", None, "client"),
                ("class", "BigCounter", None, "client"),
                ("method", "Counter", "next", "client"),
                ("method", "Counter", "next", "client"),
                ("method", "Counter", "start", "client"),
                ("method", "Counter", "twice", "image"),
                ("class", "Told", None, "image"),
            ]
        with image_of(daemon) as client:
            assert client.refusal("browse_class", image_id=IMAGE_ID, class_name="Counter")["code"] == "class_not_found"
            tried = run_cli("code", "reapply", IMAGE_ID, "--dry-run", "--json", *reach)
            wanted = {
                "Counter>>": "would_apply",
                "BigCounter>>": "would_apply",
                "Told>>": "by_hand",
                "Counter>>next": "would_apply",
                "Counter>>start": "would_apply",
                "Counter>>twice": "would_apply",
            }
            assert (outcomes(tried), tried.returncode) == (wanted, 1)
            assert client.refusal("browse_class", image_id=IMAGE_ID, class_name="Counter")["code"] == "class_not_found"
            done = run_cli("code", "reapply", IMAGE_ID, "--json", *reach)
            assert json.loads(done.stdout)["applied"] == 5
            session = client.new_session(image_id=IMAGE_ID)
            assert client.value("Counter start twice", session) == "2"
            assert client.value("BigCounter superclass", session) == "Counter"
            again = outcomes(run_cli("code", "reapply", IMAGE_ID, "--json", *reach))
            assert again == {**dict.fromkeys(wanted, "not_needed"), "Told>>": "by_hand"}
            assert changes(client) == kept


def test_changes_are_there_after_a_restart_of_the_daemon(home: Path) -> None:
    """The daemon is killed as well; the next one knows every change that a client heard of."""
    with Daemon(home) as daemon:
        with image_of(daemon) as client:
            build_counter(client)
            kept = changes(client)
        daemon.kill()
    with Daemon(home) as daemon, image_of(daemon) as client:
        assert changes(client) == kept
        shown = run_cli("code", "changes", IMAGE_ID, "--sources", "--url", f"unix://{daemon.socket_path}").stdout
        assert [line.split("  ")[2] for line in shown.splitlines() if line.startswith("change_")] == [
            "Counter",
            "BigCounter",
            "Counter>>next",
            "Counter>>next",
            "Counter class>>start",
        ]
        assert "    next ^ 0\n" in shown
        result = client.result("reapply_code_changes", image_id=IMAGE_ID)
        assert result["applied"] == 4
        session = client.new_session(image_id=IMAGE_ID)
        assert client.value("Counter start next", session) == "1"


def test_two_clients_with_the_same_base(home: Path) -> None:
    """Exactly one change is made; the other client gets what was made, and both merged."""
    with (
        Daemon(home) as daemon,
        image_of(daemon) as one,
        Connection(daemon.socket_path) as two,
    ):
        build_counter(one)
        before = len(changes(one))
        sources = [NEXT.replace("old + 1", "old + 7"), NEXT.replace("next\n", 'next\n\t"Count."\n')]
        asked = [compile_next(peer, source, NEXT) for peer, source in zip((one, two), sources, strict=True)]
        answers = [peer.answer(request_id) for peer, request_id in zip((one, two), asked, strict=True)]
        lost = [answer for answer in answers if answer["status"] == "error"]
        assert [answer["code"] for answer in lost] == ["code_conflict"]
        details, loser = lost[0]["details"], answers.index(lost[0])
        assert (details["base"], details["yours"], details["present"]) == (NEXT, sources[loser], sources[1 - loser])
        both = sources[1].replace("old + 1", "old + 7")
        assert details["merged"] == both
        assert len(changes(one)) == before + 1
        one.result_of(compile_next(one, both, details["present"]))
        found = one.result("get_method", image_id=IMAGE_ID, class_name="Counter", method_name="next")
        assert found["method"]["source"] == both


def test_source_that_does_not_compile_changes_nothing(home: Path) -> None:
    """The answer says where, and there is no change."""
    with Daemon(home) as daemon, image_of(daemon) as client:
        build_counter(client)
        before = changes(client)
        refusal = client.refusal("compile_method", image_id=IMAGE_ID, class_name="Counter", source="next\n\t^ (1 +")
        assert refusal["code"] == "compile_error"
        assert refusal["details"]["position"] > 1
        assert changes(client) == before
