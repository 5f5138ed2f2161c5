"""Does this daemon do what the vectors and transcripts say? Runs them over real connections and reports.

Guarantees: every step ends within its time limit; every connection that is opened is closed; a row that failed says
what was expected and what came.
"""

import secrets
import time
from collections.abc import Awaitable
from fnmatch import fnmatchcase

from stui_sessiond.contract import Contract, load_contract
from stui_sessiond.testing.link import LinkEndedError, UnreachableError, kind_of, open_link
from stui_sessiond.testing.patterns import Names, PatternError, fill
from stui_sessiond.testing.report import Report, Row
from stui_sessiond.testing.talk import SYNC_ID, DifferenceError, Talk, Target, hello, is_hello
from stui_sessiond.testing.transcripts import Expect, ExpectEnd, HangUp, Send, Step, Transcript
from stui_sessiond.testing.vectors import Vector, load_suite, payload, reply_pattern


class TokenNeededError(Exception):
    """The daemon lets nobody in without a token that is valid there."""


async def run_conformance(url: str, token: str | None = None, *, only: str = "*") -> Report:
    """Run all vectors and transcripts whose name matches `only` against the daemon at `url`.

    Raises:
        UnreachableError: no daemon answers there.
        TokenNeededError: `token` is missing or not valid.
        ValueError: `url` is no address of a daemon.
    """
    target = await find_target(url, token)
    suite = load_suite()
    rows = [
        await _row(vector.name, run_vector(vector, target))
        for vector in suite.vectors
        if fnmatchcase(vector.name, only) and applies(vector, target)
    ]
    rows += [
        await _row(transcript.name, run_transcript(transcript, target))
        for transcript in suite.transcripts
        if fnmatchcase(transcript.name, only)
    ]
    return Report(rows)


async def find_target(url: str, token: str | None) -> Target:
    """Find out whether the daemon wants a token, and whether it takes this one.

    Raises:
        UnreachableError, TokenNeededError, ValueError: as for `run_conformance`.
    """
    target = Target(lambda: open_link(url), kind_of(url), token)
    talk = Talk(target, await target.open())
    try:
        await talk.send({"id": SYNC_ID, "command": "ping"})
        if (await talk.receive()).get("code") != "authentication_required":
            return target
        await talk.send(hello(token))
        answer = await talk.receive()
    except (DifferenceError, LinkEndedError) as error:
        msg = f"what answers at {url} is no daemon: {error}"
        raise UnreachableError(msg) from None
    finally:
        await talk.link.close()
    if answer.get("status") != "success":
        msg = "the daemon wants a token" if token is None else "the token is not valid there"
        raise TokenNeededError(msg)
    return Target(target.open, target.kind, token, must_greet=True)


def applies(vector: Vector, target: Target) -> bool:
    """Tell whether the vector is meant for this daemon and this transport."""
    if vector.when is not None and (vector.when == "token") != target.must_greet:
        return False
    return target.kind in vector.only


async def run_vector(vector: Vector, target: Target) -> list[str]:
    """Run one vector; give a line for each difference, none if all is well."""
    contract = load_contract()
    names = _names(target)
    talk = Talk(target, await target.open())
    try:
        if not vector.first:
            await talk.prove_usable()
        if vector.needs == "session":
            names["session_id"] = await talk.begin_session(names["run"])
        await talk.send_bytes(payload(vector, names))
        if vector.reply is not None:
            await talk.expect(reply_pattern(vector.reply, contract.errors), names)
        reason = vector.closes.get(target.kind)
        if reason is not None:
            await talk.expect_end(reason, contract)
            return []
        await talk.prove_usable("after the reply, ")
        if vector.needs == "session":
            await talk.end_session(names["session_id"])
    except (DifferenceError, PatternError, LinkEndedError) as error:
        return _lines(error)
    finally:
        await talk.link.close()
    return []


async def run_transcript(transcript: Transcript, target: Target) -> list[str]:
    """Run one transcript; give a line for each difference of the first step that differs, none if all is well."""
    contract = load_contract()
    names = _names(target)
    talks: dict[str, Talk] = {}
    left: dict[str, Talk] = {}
    place = ""
    try:
        for step in transcript.steps:
            place = f"line {step.line}: "
            if step.peer not in talks:
                talks[step.peer] = left[step.peer] = Talk(target, await target.open())
                await _enter(step, talks[step.peer], target)
            await _take(step, talks[step.peer], names, contract)
            if isinstance(step, HangUp | ExpectEnd):
                del left[step.peer]
        place = "after the last line: "
        for peer, talk in left.items():
            await talk.prove_usable(f"{peer}: ")
    except (DifferenceError, PatternError, LinkEndedError) as error:
        return [f"{place}{line}" for line in _lines(error)]
    finally:
        for talk in talks.values():
            await talk.link.close()
    return []


async def _enter(step: Step, talk: Talk, target: Target) -> None:
    """Say hello for a connection that does not do so itself, where it is needed."""
    if target.must_greet and not (isinstance(step, Send) and is_hello(step.message)):
        await talk.prove_usable()


async def _take(step: Step, talk: Talk, names: Names, contract: Contract) -> None:
    match step:
        case Send():
            await talk.send(fill(step.message, names))
        case Expect():
            await talk.expect(step.pattern, names)
        case ExpectEnd():
            await talk.expect_end(step.reason, contract)
        case HangUp():
            await talk.link.close()


def _names(target: Target) -> Names:
    return {"run": secrets.token_hex(6), "token": target.token if target.must_greet else None}


def _lines(error: Exception) -> list[str]:
    return error.lines if isinstance(error, DifferenceError) else [str(error)]


async def _row(name: str, run: Awaitable[list[str]]) -> Row:
    started = time.monotonic()
    lines = await run
    return Row(name, ok=not lines, seconds=round(time.monotonic() - started, 4), differences=lines)
