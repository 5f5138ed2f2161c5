"""How large may a message be, and how deep? Checked before a message is decoded.

The defaults are those of the protocol (PROTOCOL.md, Limits).
"""

import msgspec

from stui_sessiond.errors import MessageTooDeepError, MessageTooLargeError

MAX_DEPTH = 64
"""Nested arrays and objects; far beyond any honest state, far below a decoder's recursion limit."""

MAX_CONTENT_DEPTH = MAX_DEPTH - 10
"""A state or a context: answers carry it inside up to ten levels of their own (the history, in an envelope)."""

_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(c for c in range(256) if c not in _BRACKETS)
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")


class MessageLimits(msgspec.Struct, frozen=True):
    """Bytes one message may have, by who sends it."""

    before_hello_bytes: int = 4 * 1024
    client_bytes: int = 10_000_000
    image_bytes: int = 10_000_000


def check_size(payload: bytes, limit: int) -> None:
    """Refuse a payload over `limit` bytes.

    Raises:
        MessageTooLargeError: with the size and the limit.
    """
    if len(payload) > limit:
        msg = f"the message has {len(payload)} bytes; {limit} are allowed"
        raise MessageTooLargeError(msg, size_bytes=len(payload), limit_bytes=limit)


def check_depth(payload: bytes, limit: int = MAX_DEPTH) -> None:
    """Refuse JSON that nests deeper than `limit`, at a cost far below decoding it.

    Exact for well-formed JSON; what is malformed in another way passes and is the decoder's to refuse.

    Raises:
        MessageTooDeepError: with the limit.
    """
    if payload.count(b"[") + payload.count(b"{") <= limit:
        return
    brackets = _without_strings(payload).translate(_AS_SQUARE, _NOT_BRACKETS)
    for _ in range(limit):  # each round takes away the innermost level
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):  # what is left is unbalanced: closing ones, then opening ones
            too_deep = brackets.count(b"[") > limit
            break
        brackets = shorter
    else:
        too_deep = b"[" in brackets
    if too_deep:
        msg = f"arrays and objects are nested deeper than {limit} levels"
        raise MessageTooDeepError(msg, limit=limit)


def _without_strings(payload: bytes) -> bytes:
    """Drop JSON strings, so that brackets inside them do not count."""
    if b"\\" in payload:
        payload = payload.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(payload.split(b'"')[::2])
