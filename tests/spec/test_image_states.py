"""Are the pictures of an image's states in STATES.md what the code computes? Every step is tried on every fact."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from stui_sessiond.images.condition import (
    GRACE_S,
    RECONNECTING_S,
    SILENT_S,
    Condition,
    Facts,
    Health,
    Status,
    condition_of,
    status_of,
)

STATES = (Path(__file__).parents[2] / "protocol" / "STATES.md").read_text("utf-8")
IMAGES = (Path(__file__).parents[2] / "protocol" / "IMAGES.md").read_text("utf-8")
SECTION = STATES.split("\n## An image\n")[1].split("\n## ")[0]
Edges = set[tuple[str, str, str]]


def drawn(picture: int) -> Edges:
    """The arrows of a picture: from, to, and what happens."""
    text = re.findall(r"^```mermaid\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)[picture]
    found = set()
    for line in text.splitlines()[1:]:
        arrow = re.fullmatch(r"    (\S+) --> (\S+): (.+)", line)
        assert arrow, line
        found |= {(arrow[1], arrow[2], what.strip()) for what in arrow[3].split(",")}
    return found


def tables() -> list[list[tuple[str, str, str]]]:
    """The tables of the section whose rows have a from, what happens, and a to; froms and tos are taken apart."""
    found: list[list[tuple[str, str, str]]] = []
    for block in re.findall(r"^\| from \|.*\n\|[-|]+\n((?:\|.*\n)+)", SECTION, re.MULTILINE):
        rows = []
        for line in block.splitlines():
            froms, what, tos = [cell.strip() for cell in line.strip("|").split("|")]
            rows += [(a.strip("` "), what, b.strip("` ")) for a in froms.split(",") for b in tos.split(",")]
        found.append(rows)
    return found


def grid() -> Iterator[Facts]:
    """Facts on both sides of every border."""
    for connected, seen, refused, gone_s, has_sessions in itertools.product(
        (True, False), (True, False), (True, False), (0, RECONNECTING_S, GRACE_S + 1), (True, False)
    ):
        if (connected and (refused or not seen or gone_s)) or (not seen and gone_s):
            continue
        for silent_s, blocked, evaluating, process in itertools.product(
            (0, SILENT_S), (True, False), (True, False), ("alive", "gone")
        ):
            if not connected and (silent_s or blocked or evaluating):
                continue
            if connected and process == "gone":
                continue
            yield Facts(
                connected=connected,
                seen=seen,
                refused=refused,
                gone_s=gone_s,
                has_sessions=has_sessions,
                silent_s=silent_s,
                blocked=blocked,
                evaluating=evaluating,
                process=process,  # type: ignore[arg-type]  # one of the words
            )


def link_steps(facts: Facts) -> Iterator[tuple[str, Facts]]:
    """What can happen to the link, and what is so then."""
    if facts.connected:
        yield "the link breaks", Facts(has_sessions=facts.has_sessions, process=facts.process)
        return
    yield "hello", Facts(connected=True, has_sessions=facts.has_sessions)
    yield "hello is refused", replace(facts, refused=True)
    if facts.seen:
        for later in (RECONNECTING_S, GRACE_S + 1):
            if later > facts.gone_s:
                yield "time passes", replace(facts, gone_s=later)
        sessions = "its sessions end" if facts.has_sessions else "a session belongs to it"
        yield sessions, replace(facts, has_sessions=not facts.has_sessions)


def condition_steps(facts: Facts) -> Iterator[tuple[str, Facts]]:
    """What can happen to what it does, and what is so then."""
    if not facts.connected:
        yield "hello", Facts(connected=True)
        if facts.process == "alive" and facts.seen:
            yield "its process ends", replace(facts, process="gone")
        return
    for process, what in (("alive", "the link breaks"), ("gone", "its process ends")):
        yield what, Facts(process=process)  # type: ignore[arg-type]  # one of the words
    if facts.silent_s:
        yield "it answers", replace(facts, silent_s=0)
        return
    yield "an answer is missing", replace(facts, silent_s=SILENT_S)
    yield (
        "its interface is free" if facts.blocked else "its interface is blocked",
        replace(facts, blocked=not facts.blocked),
    )
    yield "code ends" if facts.evaluating else "code runs", replace(facts, evaluating=not facts.evaluating)


def test_picture_of_the_link_is_what_the_code_computes() -> None:
    """Every arrow is a step that can happen, and no step is missing."""
    found = {
        (status_of(facts), status_of(after), what)
        for facts in grid()
        for what, after in link_steps(facts)
        if status_of(facts) != status_of(after)
    }
    assert drawn(0) == found | {("[*]", "unknown", "a session belongs to it"), ("[*]", "connected", "hello")}


def test_picture_of_the_condition_is_what_the_code_computes() -> None:
    """Every arrow is a step that can happen, and no step is missing."""
    found = {
        (condition_of(facts), condition_of(after), what)
        for facts in grid()
        for what, after in condition_steps(facts)
        if condition_of(facts) != condition_of(after)
    }
    assert drawn(1) == found | {("[*]", "unknown", "a session belongs to it"), ("[*]", "idle", "hello")}


@pytest.mark.parametrize("picture", [0, 1])
def test_tables_of_an_image_say_what_the_pictures_show(picture: int) -> None:
    """The table is the rule; the picture has the same arrows."""
    table = {
        (start.replace("-", "[*]", 1) if start == "-" else start, to, what) for start, what, to in tables()[picture]
    }
    assert table == drawn(picture)


@pytest.mark.parametrize(
    ("name", "words"),
    [("status", get_args(Status)), ("condition", get_args(Condition)), ("connection_health", get_args(Health))],
)
def test_words_of_an_image_are_those_in_the_text(name: str, words: tuple[str, ...]) -> None:
    """IMAGES.md lists every word that the code has, in a table of its own, and no other."""
    table = IMAGES.split(f"\n| `{name}` | |\n|---|---|\n")[1].split("\n\n")[0]
    assert {line.split("|")[1].strip(" `") for line in table.splitlines()} == set(words)
