"""Where does the present request belong in somebody's trace? What the daemon is told, it tells images.

`traceparent` is that of W3C Trace Context, section 3.2. One that is not written so is ignored (section 3.2.2.3), and
one of a later version is read as far as this one goes. Spans of our own are made by `observe.spans`, if at all.
"""

import re
from contextvars import ContextVar
from typing import Protocol

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)

MAX_CHARS = 128
"""Longer ones are not looked at; those of the present version have 55."""


class Leg(Protocol):
    """The part of a trace that is an image's work."""

    @property
    def traceparent(self) -> str:
        """What the image is told."""

    def end(self, outcome: str) -> None:
        """It has answered, or something came instead: a word as the metrics have them."""


class Trace(Protocol):
    """Where a request is in a trace."""

    def asking(self, command: str, image_id: str) -> Leg:
        """Begin a leg: an image is asked."""


trace: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""Of the request that the present task is at work on; None for most."""


class PassedOn:
    """A trace of others, in which the daemon itself leaves no mark. It is its own leg."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def asking(self, command: str, image_id: str) -> Leg:
        """Tell the image what the daemon was told."""
        del command, image_id
        return self

    def end(self, outcome: str) -> None:
        """Leave no mark."""


def read_traceparent(text: str | None) -> str | None:
    """Read a `traceparent`, and write it as the present version has it; None when it is none."""
    if text is None or len(text) > MAX_CHARS:
        return None
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    version, trace_id, parent_id, flags = found.groups()
    is_longer = len(text) > len("00-") + 32 + 1 + 16 + len("-00")
    if version == "ff" or (version == "00" and is_longer) or not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    return f"00-{trace_id}-{parent_id}-{flags}"


def pass_on(traceparent: str) -> None:
    """Have images hear of the trace that the present request belongs to."""
    found = read_traceparent(traceparent)
    if found is not None:
        trace.set(PassedOn(found))
