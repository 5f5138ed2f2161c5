"""Is every command and every error code of the protocol in at least one vector or transcript?"""

from collections.abc import Iterator
from typing import Any

from stui_sessiond.contract import load_contract
from stui_sessiond.testing.transcripts import Expect, Send
from stui_sessiond.testing.vectors import load_suite
from stui_sessiond.wire.forms import command_name

NOT_PROVOKED = {
    "approval_rejected": "takes an operator's policy",
    "client_not_allowed": "takes an operator's list, which a daemon that others use does not have",
    "client_quota_exceeded": "takes sessions of 100 megabytes",
    "command_not_allowed": "takes an operator's list",
    "evaluation_forbidden": "takes an operator's policy",
    "image_busy": "takes 256 requests that wait for one image",
    "image_not_allowed": "takes an operator's list, or a token for another image",
    "internal_error": "takes a fault in the daemon",
    "rate_limited": "takes a token, and more requests than it may send",
    "session_damaged": "takes somebody who damages stored files",
    "session_error": "the head of its family: the daemon always says something finer",
    "shutting_down": "takes a daemon that is being stopped",
    "storage_busy": "takes a disk that does not keep up with 64 megabytes of changes",
    "storage_failed": "takes a broken disk",
    "storage_full": "takes a full disk",
    "too_many_attempts": "takes an address that guesses tokens",
    "too_many_connections": "takes 33 connections with one token",
    "too_many_in_flight": "takes 33 requests that wait for images",
    "too_many_subscriptions": "takes 129 sessions of 26 clients",
}
"""Codes that cannot, or should not, be provoked from outside, and why."""

NOT_CARRIED_OUT = {
    "approve": "takes code that waits, for which a daemon needs an operator's policy",
    "create_backup": "leaves a copy that is never removed, in a daemon that others use",
    "reject": "the same as `approve`",
}
"""Commands that are only described and refused there, and why."""

SUITE = load_suite()
CONTRACT = load_contract()


def _values(tree: Any, key: str) -> Iterator[Any]:  # noqa: ANN401 -- any JSON
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from _values(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from _values(value, key)


def _commands(message: object) -> set[str]:
    if not isinstance(message, dict):
        return set()
    types = (command_name(kind) for kind in _values(message.get("payload"), "request_type") if isinstance(kind, str))
    return {str(message.get("command")), *types}


def _is_error(pattern: object) -> bool:
    return bool({"error"} & set(_values(pattern, "status")) or {"Error"} & set(_values(pattern, "response_type")))


def test_every_built_command_is_answered_in_some_example() -> None:
    """Every command that a client may use is carried out with success in a valid vector or in a transcript."""
    done: set[str] = set()
    for vector in SUITE.vectors:
        if vector.reply is not None and vector.reply.code is None:
            done |= _commands(vector.message)
    for transcript in SUITE.transcripts:
        for step, following in zip(transcript.steps, transcript.steps[1:], strict=False):
            if isinstance(step, Send) and isinstance(following, Expect) and not _is_error(following.pattern):
                done |= _commands(step.message)
    wanted = {name for name, each in CONTRACT.commands.items() if each.built and each.sender != "daemon"}
    assert wanted - done == NOT_CARRIED_OUT.keys()


def test_every_command_the_daemon_sends_is_expected_in_some_transcript() -> None:
    """What images are asked is in the transcripts too."""
    expected = {
        command
        for transcript in SUITE.transcripts
        for step in transcript.steps
        if isinstance(step, Expect)
        for command in _values(step.pattern, "command")
    }
    wanted = {
        name
        for name, each in CONTRACT.commands.items()
        if each.built and (each.family == "development" or (each.family == "image" and each.sender == "daemon"))
    }
    assert wanted - expected == set()


def test_every_later_command_is_refused_in_some_vector() -> None:
    """Commands that are only described are answered with `unsupported_operation`, in both forms."""
    refused = [
        (name, vector.reply.form)
        for vector in SUITE.vectors
        if vector.reply is not None and vector.reply.code == "unsupported_operation"
        for name in _commands(vector.message)
    ]
    for name, each in CONTRACT.commands.items():
        if not each.built:
            assert {(name, "command"), (name, "envelope")} <= set(refused), name


def test_every_error_code_is_provoked_or_excused() -> None:
    """Every code of `errors.json` is expected somewhere, or stands above with a reason; none is both."""
    codes = {vector.reply.code for vector in SUITE.vectors if vector.reply is not None}
    for transcript in SUITE.transcripts:
        for step in transcript.steps:
            if isinstance(step, Expect):
                codes |= {code for code in _values(step.pattern, "code") if isinstance(code, str)}
    assert CONTRACT.errors.keys() - codes - NOT_PROVOKED.keys() == set()
    assert codes & NOT_PROVOKED.keys() == set()
    assert NOT_PROVOKED.keys() <= CONTRACT.errors.keys()
