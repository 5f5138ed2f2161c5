"""Which vectors and transcripts are there, what does each send, and what has the reply to look like?

The files are those of `protocol/vectors/`; their format is described in `protocol/VECTORS.md`.
"""

import base64
import json
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from stui_sessiond.contract import ErrorCode, protocol_folder
from stui_sessiond.testing.patterns import fill
from stui_sessiond.testing.transcripts import Transcript, parse_transcript

Kind = Literal["tcp", "unix", "websocket"]


class Repeat(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a payload that is too long to write down."""

    repeat: str
    times: int


class Reply(Struct, frozen=True, forbid_unknown_fields=True):
    """What the reply has to be: a success with `result`, or an error with `code`."""

    id: str | None
    form: Literal["command", "envelope"] = "command"
    result: Any = UNSET
    response_type: str | None = None
    code: str | None = None
    details: dict[str, Any] = {}


class Vector(Struct, frozen=True, forbid_unknown_fields=True):
    """One message and its reply. Exactly one of `message`, `text`, `base64` and `parts` is given."""

    name: str
    reply: Reply | None = None
    """None: nothing is said, the connection ends."""
    about: str = ""
    message: Any = UNSET
    text: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET
    parts: list[str | Repeat] | UnsetType = UNSET
    needs: Literal["session"] | None = None
    first: bool = False
    only: tuple[Kind, ...] = ("tcp", "unix", "websocket")
    when: Literal["open", "token"] | None = None
    closes: dict[Kind, str | int] = {}


class Suite(Struct, frozen=True):
    """All of it, names unique."""

    vectors: tuple[Vector, ...]
    transcripts: tuple[Transcript, ...]


class VectorError(Exception):
    """A vector is not written as `protocol/VECTORS.md` says."""


class _File(Struct, forbid_unknown_fields=True):
    about: str
    vectors: list[Vector]


def load_suite() -> Suite:
    """Read all vectors and transcripts.

    Raises:
        VectorError, TranscriptError: one of them is not well written.
    """
    folder = protocol_folder() / "vectors"
    vectors = [
        vector
        for kind in ("valid", "invalid")
        for file in _files(folder / kind, ".json")
        for vector in _read(file, kind)
    ]
    transcripts = [
        parse_transcript(f"transcripts/{file.name.removesuffix('.txt')}", file.read_text("utf-8"))
        for file in _files(folder / "transcripts", ".txt")
    ]
    names = [vector.name for vector in vectors]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        msg = f"names are given twice: {', '.join(sorted(doubled))}"
        raise VectorError(msg)
    return Suite(tuple(vectors), tuple(transcripts))


def _files(folder: Traversable, suffix: str) -> list[Traversable]:
    return sorted((file for file in folder.iterdir() if file.name.endswith(suffix)), key=lambda file: file.name)


def _read(file: Traversable, kind: str) -> list[Vector]:
    """Read with the standard library: it keeps integers of any size, and is not the daemon's own reader."""
    try:
        content = msgspec.convert(json.loads(file.read_text("utf-8")), type=_File)
    except (ValueError, msgspec.ValidationError) as error:
        msg = f"{kind}/{file.name}: {error}"
        raise VectorError(msg) from None
    stem = file.name.removesuffix(".json")
    named = [msgspec.structs.replace(each, name=f"{kind}/{stem}/{each.name}") for each in content.vectors]
    for vector in named:
        check_vector(vector)
    return named


def check_vector(vector: Vector) -> None:
    """Refuse a vector that says two things or nothing.

    Raises:
        VectorError: with its name.
    """
    given = [part for part in (vector.message, vector.text, vector.base64, vector.parts) if part is not UNSET]
    if len(given) != 1:
        msg = f"{vector.name}: exactly one of `message`, `text`, `base64` and `parts` is given"
        raise VectorError(msg)
    reply = vector.reply
    if reply is None:
        if not vector.closes:
            msg = f"{vector.name}: without `reply` it says in `closes` how the connection ends"
            raise VectorError(msg)
    elif (reply.result is UNSET) == (reply.code is None):
        msg = f"{vector.name}: `reply` has either `result` or `code`"
        raise VectorError(msg)
    elif reply.form == "envelope" and reply.code is None and reply.response_type is None:
        msg = f"{vector.name}: a success in envelope form names its `response_type`"
        raise VectorError(msg)


def payload(vector: Vector, names: Mapping[str, Any]) -> bytes:
    """Make the bytes to send.

    Raises:
        PatternError: the message uses a name that stands for nothing.
    """
    if not isinstance(vector.text, UnsetType):
        return vector.text.encode()
    if not isinstance(vector.base64, UnsetType):
        return base64.b64decode(vector.base64)
    if not isinstance(vector.parts, UnsetType):
        pieces = (part if isinstance(part, str) else part.repeat * part.times for part in vector.parts)
        return "".join(pieces).encode()
    return encode(fill(vector.message, names))


def encode(message: object) -> bytes:
    """Write a message."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def reply_pattern(reply: Reply, errors: Mapping[str, ErrorCode]) -> dict[str, Any]:
    """Make the pattern of the whole reply, in its form."""
    head = {"id": reply.id, "timestamp": "{{*:time}}"}
    if reply.form == "command":
        if reply.code is None:
            return {**head, "status": "success", "result": reply.result}
        error = errors[reply.code]
        return {
            **head,
            "status": "error",
            "error": "{{*:string}}",
            "error_type": error.error_type,
            "code": error.code,
            "retryable": error.retryable,
            "details": reply.details,
        }
    if reply.code is None:
        data = {"response_type": reply.response_type, "data": reply.result}
    else:
        error = errors[reply.code]
        details = {
            **reply.details,
            "code": error.code,
            "error_type": error.error_type,
            "retryable": error.retryable,
        }
        told = {"code": error.envelope_code, "message": "{{*:string}}", "details": details}
        data = {"response_type": "Error", "data": told}
    payload_pattern = {"type": "Response", "data": data}
    return {**head, "in_reply_to": reply.id, "version": "{{*:string}}", "payload": payload_pattern}
