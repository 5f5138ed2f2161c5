"""What is said in a transcript? Text in, steps out. Pure; the format is described in `protocol/VECTORS.md`."""

import json
import re
from typing import Any, NoReturn

from msgspec import Struct

_STEP = re.compile(r"(?P<peer>[a-z][a-z0-9_]*)?(?P<sign>>>|<<--|<<|--)(?P<rest>.*)")
_ONLY_PEER = "peer"
"""The connection's name when the transcript gives none."""


class TranscriptError(Exception):
    """The text is no transcript; the message begins with its name and the line."""


class Send(Struct, frozen=True):
    """`>>`: the peer says this; names in it are filled in."""

    line: int
    peer: str
    message: Any


class Expect(Struct, frozen=True):
    """`<<`: the next thing the peer gets matches this."""

    line: int
    peer: str
    pattern: Any


class HangUp(Struct, frozen=True):
    """`--`: the peer ends its connection."""

    line: int
    peer: str


class ExpectEnd(Struct, frozen=True):
    """`<<--`: the next thing the peer gets is the end of its connection, for this reason."""

    line: int
    peer: str
    reason: str


Step = Send | Expect | HangUp | ExpectEnd


class Transcript(Struct, frozen=True):
    """One conversation."""

    name: str
    about: str
    steps: tuple[Step, ...]


def parse_transcript(name: str, text: str) -> Transcript:
    """Read a transcript.

    Raises:
        TranscriptError: it is none.
    """
    about: list[str] = []
    drafts: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if line.startswith("#"):
            if not drafts:
                about.append(line[1:].strip())
        elif line[0].isspace():
            if not drafts:
                _fail(name, number, "a line that begins with white space goes on with a step; there is none yet")
            drafts[-1] = (drafts[-1][0], f"{drafts[-1][1]} {line.strip()}")
        else:
            drafts.append((number, line))
    steps = tuple(_step(name, number, line) for number, line in drafts)
    _check_order(name, steps)
    return Transcript(name, " ".join(about), steps)


def _step(name: str, number: int, line: str) -> Step:
    found = _STEP.fullmatch(line)
    if found is None:
        _fail(name, number, "a step is NAME>> JSON, NAME<< JSON, NAME-- or NAME<<-- REASON")
    peer, sign, rest = found["peer"] or _ONLY_PEER, found["sign"], found["rest"].strip()
    if sign == "--":
        if rest:
            _fail(name, number, "nothing follows `--`")
        return HangUp(number, peer)
    if sign == "<<--":
        if not rest:
            _fail(name, number, "`<<--` names the reason, as `protocol/close-codes.json` has it")
        return ExpectEnd(number, peer, rest)
    try:
        said = json.loads(rest)
    except json.JSONDecodeError as error:
        _fail(name, number, f"after `{sign}` comes JSON: {error}")
    return Send(number, peer, said) if sign == ">>" else Expect(number, peer, said)


def _check_order(name: str, steps: tuple[Step, ...]) -> None:
    """Refuse a conversation that cannot take place, or that stops before it has shown anything."""
    talking: set[str] = set()
    over: set[str] = set()
    for step in steps:
        if step.peer in over:
            _fail(name, step.line, f"the connection {step.peer!r} has ended already")
        if step.peer not in talking and not isinstance(step, Send):
            _fail(name, step.line, f"the connection {step.peer!r} begins with `>>`")
        talking.add(step.peer)
        if isinstance(step, HangUp | ExpectEnd):
            over.add(step.peer)
    if not any(isinstance(step, Expect) for step in steps):
        _fail(name, 1, "nothing is expected")
    if isinstance(steps[-1], Send):
        _fail(name, steps[-1].line, "it ends early: nothing is expected after the last `>>`")


def _fail(name: str, number: int, text: str) -> NoReturn:
    msg = f"{name}, line {number}: {text}"
    raise TranscriptError(msg)
