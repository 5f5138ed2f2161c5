"""What is remembered of an image beyond the life of a daemon? Pure: the record, what it becomes, how it is written.

This is the vocabulary of the disk: fields are only added, with a default.
"""

from typing import Literal

import msgspec
from msgspec.structs import replace

from stui_sessiond.errors import StorageError
from stui_sessiond.wire.messages.connection import ImageIdentity

MAX_CONNECTIONS = 50
MAX_CLEANUPS = 20
MAX_DOUBTS = 8
"""Of each the newest are kept."""

DoubtKind = Literal["second_instance", "older_generation", "shared_changes_file"]


MAX_WORD_CHARS = 256
MAX_PATH_CHARS = 4096
MAX_CAPABILITIES = 256
"""Of what an image says of itself; the rest is not kept."""


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who an image said it is."""

    image_id: str
    instance_id: str
    name: str | None = None
    dialect: str | None = None
    version: str | None = None
    vm: str | None = None
    generation: int = 0
    capabilities: tuple[str, ...] = ()
    changes_file: str | None = None
    host: str | None = None
    process_id: int | None = None


class Connection(msgspec.Struct, frozen=True):
    """One connection; times are seconds since 1970."""

    instance_id: str
    generation: int
    address: str
    connected_at: float
    disconnected_at: float | None = None
    reason: str | None = None


class Cleanup(msgspec.Struct, frozen=True):
    """One clean-up of its sessions."""

    at: float
    by: str
    sessions: int


class Doubt(msgspec.Struct, frozen=True):
    """A reason to doubt that it is the image it says it is; the ids are those of the other one."""

    kind: DoubtKind
    text: str
    at: float
    instance_id: str | None = None
    image_id: str | None = None


class ImageRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One image."""

    image_id: str
    identity: Identity | None = None
    """As it said last; None when it has never been connected."""
    highest_generation: int = 0
    last_seen: float | None = None
    gone_at: float | None = None
    """Since when it is not connected; None while it is, and when it has never been."""
    refused: bool = False
    connections: tuple[Connection, ...] = ()
    """The newest last."""
    cleanups: tuple[Cleanup, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    process_id: int | None = None
    process_started: str | None = None

    @property
    def address(self) -> str | None:
        """Where it connects, or connected, from."""
        return self.connections[-1].address if self.connections else None


def said(identity: ImageIdentity) -> Identity:
    """Keep what an image says of itself, within bounds."""
    return Identity(
        image_id=identity.image_id,
        instance_id=identity.instance_id,
        name=_cut(identity.name),
        dialect=_cut(identity.dialect),
        version=_cut(identity.version),
        vm=_cut(identity.vm),
        generation=identity.generation,
        capabilities=tuple(word[:MAX_WORD_CHARS] for word in identity.capabilities[:MAX_CAPABILITIES]),
        changes_file=_cut(identity.changes_file, MAX_PATH_CHARS),
        host=identity.host,
        process_id=identity.process_id,
    )


def _cut(text: str | None, chars: int = MAX_WORD_CHARS) -> str | None:
    return None if text is None else text[:chars]


def connect(record: ImageRecord, identity: Identity, address: str, now: float) -> ImageRecord:
    """Take note that it came. Doubts about an instance before are settled by another one."""
    same = record.identity is not None and record.identity.instance_id == identity.instance_id
    made = Connection(identity.instance_id, identity.generation, address, now)
    return replace(
        record,
        identity=identity,
        highest_generation=max(record.highest_generation, identity.generation),
        last_seen=now,
        gone_at=None,
        refused=False,
        connections=(*record.connections, made)[-MAX_CONNECTIONS:],
        doubts=tuple(one for one in record.doubts if same and one.kind == "second_instance"),
    )


def disconnect(record: ImageRecord, reason: str, now: float, *, gone: bool = True) -> ImageRecord:
    """Take note that the newest open connection ended; `gone` false: another is in its place."""
    connections = list(record.connections)
    for at in range(len(connections) - 1, -1, -1):
        if connections[at].disconnected_at is None:
            connections[at] = replace(connections[at], disconnected_at=now, reason=reason)
            break
    record = replace(record, connections=tuple(connections))
    return replace(record, gone_at=now) if gone else record


def doubt(record: ImageRecord, reason: Doubt) -> tuple[ImageRecord, bool]:
    """Take a doubt in; also tell whether it is news. One that is known only gets a newer time."""
    mark = (reason.kind, reason.instance_id, reason.image_id)
    others = tuple(one for one in record.doubts if (one.kind, one.instance_id, one.image_id) != mark)
    known = len(others) < len(record.doubts)
    return replace(record, doubts=(*others, reason)[-MAX_DOUBTS:]), not known


def clean(record: ImageRecord, by: str, sessions: int, now: float) -> ImageRecord:
    """Take note of a clean-up."""
    return replace(record, cleanups=(*record.cleanups, Cleanup(now, by, sessions))[-MAX_CLEANUPS:])


def reopen(record: ImageRecord, now: float) -> ImageRecord:
    """What a record is when a daemon starts: nobody is connected, and for whom it waited it waits from now on anew."""
    ended_with_daemon = record.gone_at is None and record.identity is not None
    if ended_with_daemon:
        record = disconnect(record, "daemon_ended", record.last_seen or now)
    last = record.connections[-1].reason if record.connections else None
    return replace(record, gone_at=now) if last in {"daemon_ended", "shutting_down"} else record


def encode(record: ImageRecord) -> bytes:
    """Write a record."""
    return msgspec.json.encode(record)


def decode(data: bytes) -> ImageRecord:
    """Read a record.

    Raises:
        StorageError: it is none.
    """
    try:
        return msgspec.json.decode(data, type=ImageRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"what is kept of an image cannot be read: {error}"
        raise StorageError(msg) from None
