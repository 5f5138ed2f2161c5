"""Which requests were carried out already, and how did they end? Pure.

A session remembers its requests by key, within bounds. What falls out of the bounds is forgotten: its key is as good
as new. Results go before keys, so that a request is known to be done for longer than its result is kept.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from stui_sessiond.errors import (
    ImageBusyError,
    ImageError,
    KeyReusedError,
    LostWithImageError,
    OutcomeUnknownError,
    RequestError,
    StuiError,
    error_of,
)
from stui_sessiond.model.layers import with_item
from stui_sessiond.model.request import Failure, RequestEntry, Requests
from stui_sessiond.model.session import HistoryEntry

T = TypeVar("T")

MAX_RESULT_BYTES = 256 * 1024
"""A longer result is not kept: its request is remembered as done, or as failed with the beginning of the text."""

MAX_FAILURE_CHARS = 200
"""How much of an error's text stays when its outcome is not kept."""

FADED_CODE_CHARS = 100
"""How much of the code stays when a session remembers too much: enough to know it again in a list."""


class LedgerRules(msgspec.Struct, frozen=True, kw_only=True):
    """How much is remembered per session."""

    max_requests: int = 1000
    max_result_bytes: int = 1024 * 1024
    max_age_s: float = 7 * 86400.0


class Once(msgspec.Struct, frozen=True):
    """A request that is to be carried out once."""

    key: str
    command: str
    digest: str
    client_id: str | None = None


_encode = msgspec.json.Encoder(order="sorted").encode

_UNDIGESTED = ("idempotency_key", "timeout", "page_chars")


def digest_of(command: str, asked: object) -> str:
    """Make a digest of what is asked, without the key, the time to wait and how much to show of the result."""
    told: Any = asked
    if any(getattr(asked, name, UNSET) is not UNSET for name in _UNDIGESTED):
        told = msgspec.to_builtins(asked)
        for name in _UNDIGESTED:
            told.pop(name, None)
    return hashlib.sha256(_encode([command, told])).hexdigest()[:32]


def once_of(command: str, asked: Any, client_id: str | None) -> Once | None:  # noqa: ANN401 -- any parameters with a key
    """Read from a request's parameters whether it is to be carried out once."""
    if not asked.idempotency_key:
        return None
    return Once(asked.idempotency_key, command, digest_of(command, asked), client_id)


def noted(requests: Requests, entry: RequestEntry, now: float, rules: LedgerRules) -> Requests:
    """Remember a request as it is now."""
    if entry.outcome_bytes > MAX_RESULT_BYTES:
        entry = _without_outcome(entry)
    before = requests.entries.get(entry.key)
    entries: Mapping[str, RequestEntry] = with_item(requests.entries, entry.key, entry)
    size_bytes = requests.size_bytes + entry.size_bytes - (before.size_bytes if before else 0)
    if before is None and len(entries) > rules.max_requests:
        entries = {**_without_oldest(requests.entries, now, rules), entry.key: entry}
        size_bytes = sum(each.size_bytes for each in entries.values())
    if size_bytes > rules.max_result_bytes:
        faded = dict(entries)
        for key, each in entries.items():
            if size_bytes <= rules.max_result_bytes // 2:
                break
            if key != entry.key:
                faded[key] = _faded(each)
                size_bytes -= each.size_bytes - faded[key].size_bytes
        entries = faded
    return Requests(entries, size_bytes)


def begun(requests: Requests, entry: RequestEntry) -> tuple[RequestEntry, ...]:
    """Make what is to be remembered when a request begins.

    If an id of a connection was used again, and under its key a process is listed, that one gets another key.
    """
    before = requests.entries.get(entry.key)
    if before is None or before.debugger_id is None:
        return (entry,)
    return replace(before, key=f"{before.key}:{before.debugger_id}"), entry


def _without_outcome(entry: RequestEntry) -> RequestEntry:
    """Forget what came of it, but not that it ended, nor with which error."""
    failure = entry.failure
    return replace(
        entry, result=None, failure=failure and Failure(failure.code, failure.message[:MAX_FAILURE_CHARS], {})
    )


def _faded(entry: RequestEntry) -> RequestEntry:
    """Forget what came of it, and most of its code."""
    code = entry.code
    if code is None or len(code) <= FADED_CODE_CHARS:
        return _without_outcome(entry)
    return replace(_without_outcome(entry), code=code[:FADED_CODE_CHARS], code_cut=True)


def _without_oldest(entries: Mapping[str, RequestEntry], now: float, rules: LedgerRules) -> dict[str, RequestEntry]:
    """Make room: drop an eighth, and what is too old.

    Not what is still running, nor whose process waits at its error, unless nothing else is there.
    """
    surplus = max(1, rules.max_requests // 8)
    kept: dict[str, RequestEntry] = {}
    for key, each in entries.items():
        settled = each.state != "running" and each.debugger_id is None
        if settled and (surplus > 0 or each.accepted_at < now - rules.max_age_s):
            surplus -= 1
        else:
            kept[key] = each
    while len(kept) >= rules.max_requests:
        del kept[next(iter(kept))]
    return kept


def waiting(requests: Requests) -> list[RequestEntry]:
    """List the evaluations whose processes wait at an error."""
    return [one for one in requests.entries.values() if one.debugger_id is not None]


def closed(requests: Requests, debugger_id: str) -> list[RequestEntry]:
    """Make the entries that say that a process does not wait any more; none if it did not wait."""
    return [replace(one, debugger_id=None) for one in waiting(requests) if one.debugger_id == debugger_id]


def without_waiting(requests: Requests) -> tuple[Requests, dict[str, RequestEntry]]:
    """Let no process wait any more; also tell, by the names of those that did, the entries that say so."""
    ended = {one.debugger_id or "": replace(one, debugger_id=None) for one in waiting(requests)}
    if not ended:
        return requests, ended
    return Requests({**requests.entries, **{one.key: one for one in ended.values()}}, requests.size_bytes), ended


def recall(requests: Requests, key: str | None, digest: str) -> RequestEntry | None:
    """Find what became of a request.

    Raises:
        KeyReusedError: the key names another request.
    """
    return recall_entry(requests.entries.get(key) if key is not None else None, digest)


def recall_entry(entry: RequestEntry | None, digest: str) -> RequestEntry | None:
    """Make sure that what was found under a key is what is asked now.

    Raises:
        KeyReusedError: it is not.
    """
    if entry is not None and entry.digest != digest:
        msg = f"the key named another request before: {entry.command}"
        raise KeyReusedError(msg, command=entry.command)
    return entry


def carried_out(once: Once, version: HistoryEntry) -> RequestEntry:
    """Make the entry of a request that made a version."""
    return RequestEntry(
        key=once.key,
        command=once.command,
        digest=once.digest,
        accepted_at=version.at,
        finished_at=version.at,
        state="done",
        client_id=once.client_id,
        version=version.version,
    )


def failure_of(entry: RequestEntry) -> StuiError | None:
    """The error to answer a repeat with; None when the first one succeeded and its result is kept, or it is running."""
    if entry.state == "lost":
        msg = f"the image ended while it worked on this {entry.command}"
        return LostWithImageError(msg, idempotency_key=entry.key, image_id=entry.image_id)
    if entry.failure is not None:
        return error_of(entry.failure.code, entry.failure.message, entry.failure.details)
    if entry.state == "done" and entry.result is None and entry.version is None:
        return not_kept(entry)
    return None


def was_not_asked(before: RequestEntry) -> bool:
    """Tell whether the image never heard of a request: then it may be carried out still."""
    return before.failure is not None and before.failure.code == ImageBusyError.code


def again(before: RequestEntry, wanted: type[T], *, gone: bool) -> T | StuiError:
    """Make the first outcome again, or the error to tell in its place. `gone`: the image that was asked is gone."""
    if before.state == "running" and gone:
        before = replace(before, state="lost")
    failure = failure_of(before)
    if failure is not None:
        return failure
    if before.state == "running":
        msg = f"the link to image {before.image_id!r} broke while it worked on this; nobody knows yet what became of it"
        return OutcomeUnknownError(msg, idempotency_key=before.key, image_id=before.image_id)
    try:
        first: T = msgspec.json.decode(before.result or "", type=wanted)
    except msgspec.DecodeError:
        return ImageError("what is kept of the first outcome cannot be read", image_id=before.image_id)
    return first


def not_kept(entry: RequestEntry) -> RequestError:
    """The error for a request that was carried out and whose outcome is forgotten."""
    msg = f"this {entry.command} was carried out; what came of it is not kept any more"
    return RequestError(msg, idempotency_key=entry.key, version=entry.version)
