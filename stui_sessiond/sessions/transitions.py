"""What does a session become when this is asked of it? Pure: time and ids are arguments, nothing is stored.

Never imports asyncio, clocks, logs or files.
"""

import copy
import hashlib
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec
from msgspec.structs import replace

from stui_sessiond.errors import (
    InvalidPatchError,
    ParameterError,
    SessionClosedError,
    SessionConflictError,
    SessionError,
    SessionExpiredError,
    SessionTooLargeError,
    VersionNotFoundError,
)
from stui_sessiond.ids import DEFAULT_TOOL, ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.session import (
    DeclaredMachine,
    History,
    NamedSnapshot,
    Role,
    Session,
    SessionHeader,
    Status,
    StoredContext,
)
from stui_sessiond.sessions.merge import merge
from stui_sessiond.wire.limits import MAX_CONTENT_DEPTH, check_depth
from stui_sessiond.wire.timestamp import format_time

MAX_PATCH_OPERATIONS = 10_000
"""Operations in one JSON Patch; a larger change is better sent as the whole state."""

MAX_SHIFTED = 100_000_000
"""Elements of arrays that the operations of one patch move by a place, together: about a tenth of a second."""

MAX_SNAPSHOTS = 32
"""Named snapshots of one session; each is a whole copy of its content."""

_encode_canonical = msgspec.json.Encoder(order="sorted").encode
_encode = msgspec.json.Encoder().encode


class Mode(Enum):
    """How `state_data` is to be read."""

    REPLACE = "replace"
    MERGE = "merge"
    PATCH = "patch"


MODES = {mode.value: mode for mode in Mode}


class Change(msgspec.Struct, frozen=True):
    """A wish to change a session's state and, with it, sections of the default tool's context."""

    data: dict[str, Any] | list[Any]
    mode: Mode = Mode.REPLACE
    sections: Mapping[str, dict[str, Any]] = {}
    expected_version: int | None = None
    merge_on_conflict: bool = False
    """If the session is at a later version, try to keep both changes."""


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for."""

    client_id: str
    timeout_s: float | None = None
    image_id: str | None = None
    name: str | None = None
    description: str | None = None
    client_version: str | None = None
    client_info: dict[str, Any] = {}
    config: dict[str, Any] = {}
    key: str | None = None
    """Its idempotency key, and before it, with a colon, the digest of what was asked."""
    machine: str | None = None
    """The definition of its state machine, and `state` what it begins with."""
    state: dict[str, Any] = {}


def create(session_id: SessionId, client: ClientId, timeout_s: float, wish: NewSession, now: float) -> Session:
    """Make a new session."""
    header = SessionHeader(
        session_id=session_id,
        client_id=client,
        created_at=now,
        last_modified=now,
        last_activity=now,
        timeout_s=timeout_s,
        version=1,
        image_id=None if wish.image_id is None else ImageId(wish.image_id),
        name=wish.name,
        key=wish.key,
        machine_version=0 if wish.machine is None else 1,
    )
    return Session(
        header=header,
        state=wish.state,
        history=History({"state": wish.state, "contexts": {}}, 1),
        machine=None if wish.machine is None else DeclaredMachine(1, now, client, wish.machine),
        description=wish.description,
        client_version=wish.client_version,
        client_info=wish.client_info,
        config=wish.config,
    )


def require_open(header: SessionHeader, retention_s: float) -> None:
    """Go on only with a session that was not closed.

    Raises:
        SessionClosedError: with the time until which it can be reopened.
    """
    if header.closed_at is None:
        return
    until = format_time(header.closed_at + retention_s)
    msg = f"session {header.session_id} is closed; restore_session with reopen=true brings it back until {until}"
    raise SessionClosedError(msg, session_id=header.session_id, retained_until=until)


def require_active(header: SessionHeader, now: float, retention_s: float) -> None:
    """Go on only with a session that is neither closed nor expired.

    Raises:
        SessionClosedError, SessionExpiredError: with the time until which it can be reopened.
    """
    require_open(header, retention_s)
    if header.status(now) is Status.ACTIVE:
        return
    until = format_time(header.expires_at + retention_s)
    msg = (
        f"session {header.session_id} expired at {format_time(header.expires_at)}; "
        f"restore_session with reopen=true brings it back until {until}"
    )
    raise SessionExpiredError(msg, session_id=header.session_id, retained_until=until)


def update(session: Session, change: Change, now: float, limit_bytes: int) -> Session:
    """Apply a change whole.

    Raises:
        SessionConflictError: the session is not at the expected version, or both sides changed the same member.
        ParameterError: `data` is not of the kind that the mode takes.
        InvalidPatchError: the patch does not apply.
        SessionTooLargeError: a patch copies more than `limit_bytes` together.
    """
    version = session.header.version
    stale = change.expected_version is not None and change.expected_version != version
    if stale and not change.merge_on_conflict:
        msg = f"the session is at version {version}, not {change.expected_version}"
        raise SessionConflictError(msg, expected_version=change.expected_version, version=version)
    contexts = session.contexts
    if change.sections:
        present = contexts[DEFAULT_TOOL].sections if DEFAULT_TOOL in contexts else {}
        merged = {**present, **change.sections}
        contexts = {**contexts, DEFAULT_TOOL: seal(merged, now)}
    state = (
        _merged_state(session, change, limit_bytes)
        if stale
        else changed_state(session.state, change.data, change.mode, limit_bytes)
    )
    return replace(session, state=state, contexts=contexts)


def _merged_state(session: Session, change: Change, limit_bytes: int) -> dict[str, Any]:
    """Apply the change to the version its client knew, and merge that with what has happened since."""
    known, version = change.expected_version or 0, session.header.version
    document = session.history.document_at(known)
    if document is None:
        msg = f"the session is at version {version}, and version {known} is not kept: nothing to merge from"
        raise SessionConflictError(msg, expected_version=known, version=version)
    base: dict[str, Any] = document["state"]
    ours = changed_state(base, change.data, change.mode, limit_bytes)
    merged, conflicts = merge(base, ours, session.state)
    if conflicts:
        shown = ", ".join(conflicts[:5])
        msg = f"both sides changed {shown} since version {known}"
        raise SessionConflictError(
            msg,
            expected_version=known,
            version=version,
            conflicts=conflicts,
            base=base,
            ours=ours,
            theirs=session.state,
        )
    return merged


def save_context(session: Session, tool: ToolId, sections: dict[str, Any], now: float) -> Session:
    """Put exactly these sections in the place of the tool's context."""
    return replace(session, contexts={**session.contexts, tool: seal(sections, now)})


def put_into(present: dict[str, Any], captured: dict[str, Any]) -> dict[str, Any]:
    """Let what the image told replace the same keys, section by section; what only the client knows stays."""
    result = dict(present)
    for name, section in captured.items():
        result[name] = {**result.get(name, {}), **section}
    return result


def clear_context(session: Session, tool: ToolId | None) -> tuple[Session, list[ToolId]]:
    """Remove the tool's context, or all; also tell which there were."""
    cleared = [name for name in session.contexts if tool is None or name == tool]
    if not cleared:
        return session, []
    kept = {name: stored for name, stored in session.contexts.items() if name not in cleared}
    return replace(session, contexts=kept), cleared


MAX_SHARES = 64
"""Clients that a session may be shared with."""


def share(session: Session, client: ClientId, role: Role) -> Session:
    """Give a client a role, or take it away.

    Raises:
        SessionError: too many have one.
        ParameterError: the owner has a role already.
    """
    header = session.header
    if client == header.client_id:
        msg = "share_session: `client_id` is the owner's; name another client"
        raise ParameterError(msg, field="client_id")
    shares = {name: each for name, each in header.shares.items() if name != client}
    if role != "none":
        shares[client] = role
    if len(shares) > MAX_SHARES:
        msg = f"a session is shared with at most {MAX_SHARES} clients"
        raise SessionError(msg, limit=MAX_SHARES)
    return replace(session, header=replace(header, shares=shares))


def rename(session: Session, name: str | None) -> Session:
    """Call the session something else."""
    return replace(session, header=replace(session.header, name=name))


def close(session: Session, now: float) -> Session:
    """End the session, keeping what is in it."""
    return replace(session, header=replace(session.header, closed_at=now))


def reopen(session: Session, now: float) -> Session:
    """Make a closed or expired session active again."""
    return replace(session, header=replace(session.header, closed_at=None, last_activity=now))


def bind_image(session: Session, image_id: ImageId) -> Session:
    """Say which image the session belongs to."""
    return replace(session, header=replace(session.header, image_id=image_id))


def snapshot(session: Session, name: str, now: float) -> Session:
    """Keep the present version under a name, in place of what had it.

    Raises:
        ParameterError: there are as many names as a session may have.
    """
    if name not in session.snapshots and len(session.snapshots) >= MAX_SNAPSHOTS:
        msg = f"a session has at most {MAX_SNAPSHOTS} named snapshots; use a name again"
        raise ParameterError(msg, field="name", maximum=MAX_SNAPSHOTS)
    document = session.document()
    kept = NamedSnapshot(session.header.version, now, document, len(_encode(document)))
    return replace(session, snapshots={**session.snapshots, name: kept})


def document_of(session: Session, name: str | None, version: int | None) -> dict[str, Any]:
    """Find what the session was, by the name of a snapshot or by version.

    Raises:
        VersionNotFoundError: that is not kept.
        ParameterError: not exactly one of the two is given.
    """
    if (name is None) == (version is None):
        msg = "give either `name` or `version`"
        raise ParameterError(msg, field="name")
    if name is not None:
        if name not in session.snapshots:
            msg = f"there is no snapshot {name!r}"
            raise VersionNotFoundError(msg, name=name, names=sorted(session.snapshots))
        return session.snapshots[name].document
    if version == session.header.version:
        return session.document()
    document = session.history.document_at(version or 0)
    if document is None:
        oldest = session.history.base_version
        msg = f"version {version} is not kept; {oldest} to {session.header.version} are"
        raise VersionNotFoundError(msg, oldest_version=oldest, version=session.header.version)
    return document


def seal(sections: dict[str, Any], now: float) -> StoredContext:
    """Make a context that can prove later that it is what was saved.

    Raises:
        MessageTooDeepError: nested deeper than an answer could carry.
    """
    text = _encode_canonical(sections)
    check_depth(text, MAX_CONTENT_DEPTH)
    return StoredContext(sections, _checksum(text), now, len(text))


def found_checksum(stored: StoredContext) -> str:
    """Compute the checksum of what is there now; it differs from the stored one if the context is damaged."""
    return _checksum(_encode_canonical(stored.sections))


def _checksum(text: bytes) -> str:
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def changed_state(
    state: dict[str, Any], data: dict[str, Any] | list[Any], mode: Mode, limit_bytes: int, field: str = "state_data"
) -> dict[str, Any]:
    """Make the state that a change leads to; `field` is the parameter that the change came in.

    Raises:
        ParameterError: `data` is not of the kind that the mode takes.
        InvalidPatchError: the patch does not apply.
        SessionTooLargeError: a patch copies more than `limit_bytes` together.
    """
    if mode is Mode.PATCH:
        if not isinstance(data, list):
            msg = f"with mode `patch`, `{field}` is a list of JSON Patch operations"
            raise ParameterError(msg, field=field)
        return _patched(state, data, limit_bytes, field)
    if not isinstance(data, dict):
        msg = f"with mode `{mode.value}`, `{field}` is an object"
        raise ParameterError(msg, field=field)
    if mode is Mode.MERGE:
        return _merged(state, data)
    return data


def _merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """JSON Merge Patch, RFC 7396 section 2, without touching the target."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            present = result.get(name)
            result[name] = _merged(present if isinstance(present, dict) else {}, value)
        else:
            result[name] = value
    return result


def _patched(state: dict[str, Any], operations: list[Any], limit_bytes: int, field: str) -> dict[str, Any]:
    """JSON Patch, RFC 6902.

    Copies are counted: a handful of them could otherwise fill the memory. So is what is shifted: thousands of
    insertions at the beginning of a long array would take a minute.
    """
    if len(operations) > MAX_PATCH_OPERATIONS:
        msg = f"a patch has at most {MAX_PATCH_OPERATIONS} operations"
        raise InvalidPatchError(msg, field=field)
    import jsonpatch  # noqa: PLC0415 -- 15 ms, at the first patch and not at the start
    import jsonpointer  # noqa: PLC0415

    document: Any = copy.deepcopy(state)
    copied_bytes = shifted = 0
    for index, operation in enumerate(operations):
        try:
            shifted += _shifted(document, operation)
            if shifted > MAX_SHIFTED:
                msg = f"operation {index}: the patch shifts too many elements of arrays; replace the array instead"
                raise InvalidPatchError(msg, operation=index)
            if isinstance(operation, dict) and operation.get("op") == "copy":
                copied_bytes += len(_encode(jsonpointer.resolve_pointer(document, operation["from"])))
                if copied_bytes > limit_bytes:
                    msg = f"the patch copies more than {limit_bytes} bytes"
                    raise SessionTooLargeError(msg, limit_bytes=limit_bytes)
            document = jsonpatch.apply_patch(document, [operation], in_place=True)
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
            msg = f"operation {index} does not apply: {error}"
            raise InvalidPatchError(msg, operation=index) from None
        except (TypeError, KeyError, IndexError, ValueError, AttributeError, RecursionError) as error:
            msg = f"operation {index} is not one of RFC 6902, or does not fit the state"
            raise InvalidPatchError(msg, operation=index) from error
    if not isinstance(document, dict):
        msg = "after the patch the state is no object any more"
        raise InvalidPatchError(msg)
    return document


def _shifted(document: object, operation: dict[str, Any]) -> int:
    """How many elements of arrays an operation moves by a place: those behind where it adds or removes one."""
    import jsonpointer  # noqa: PLC0415 -- as above

    places = {"add": ("path",), "copy": ("path",), "remove": ("path",), "move": ("from", "path")}
    count = 0
    for name in places.get(operation["op"], ()):
        parent, last = jsonpointer.JsonPointer(operation[name]).to_last(document)
        if isinstance(parent, list) and isinstance(last, int):
            count += max(0, len(parent) - last)
    return count
