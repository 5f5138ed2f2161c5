"""Which answers does the daemon owe one connection, and which message is an answer for?

A request has one answer with its id. A message that is none has one answer, too; its id is whatever could be read.
"""

from collections.abc import Sequence
from typing import Final

from stui_sessiond.testing.fuzz.judge import MAX_SHOWN
from stui_sessiond.testing.fuzz.payload import Sent

BROKEN_UTF8: Final = 1007
TOO_BIG: Final = 1009
LEFT_THE_PROTOCOL: Final = frozenset({1002, 1003, BROKEN_UTF8, TOO_BIG})
"""Ends that frames of one's own making bring about."""

FENCED: Final = frozenset({4002, 4003, 4004})
"""Ends that a `hello` of one's own can bring about."""

_MAX_LISTED: Final = 3


class Owed:
    """What one connection waits for."""

    def __init__(self) -> None:
        self.lax = False
        """Whether the connection may have become an image's, which gets no answer to what is no request."""
        self.ends: frozenset[int] = frozenset()
        """Close codes with which the connection may end."""
        self._pending: dict[str, Sent] = {}
        self._hostile: list[Sent] = []

    def __bool__(self) -> bool:
        return bool(self._pending or (self._hostile and not self.lax))

    def add(self, sent: Sent, answers: int, limit_bytes: int, *, websocket: bool) -> None:
        """Wait for the answers to a message; `answers` counts those to what is no request."""
        if sent.sure:
            self._pending[sent.id] = sent
        else:
            self._hostile += [sent] * answers
        if not websocket:
            return
        if len(sent.data) > limit_bytes * 2:
            self.ends |= {TOO_BIG}
        try:
            sent.data.decode()
        except UnicodeDecodeError:
            self.ends |= {BROKEN_UTF8}

    def inherit(self, request_ids: Sequence[str], earlier: Sequence[Sent]) -> None:
        """Wait for answers that are owed from a connection before this one."""
        known = {sent.id: sent for sent in earlier}
        for request_id in request_ids:
            sent = known.get(request_id)
            if sent is not None and sent.sure:
                self._pending[request_id] = sent
            else:
                self._hostile.append(Sent(request_id, b"", sure=False, wish=None, envelope=None))

    def settle(self, request_id: str | None) -> Sent | None:
        """Find the message that an answer is for; None when nobody waits for it."""
        sent = self._pending.pop(request_id, None) if request_id is not None else None
        if sent is not None:
            return sent
        for hostile in self._hostile:
            if request_id is None or hostile.id == request_id:
                self._hostile.remove(hostile)
                return hostile
        return self._hostile.pop(0) if self._hostile else None

    def forget_hostile(self) -> None:
        """Wait no more for answers to what was no request."""
        self._hostile.clear()

    def may_end(self, code: int | None) -> bool:
        """Tell whether the connection may end with this code, now."""
        if self.ends:
            return code is None or code in self.ends
        return code is None and not self._pending and not self._hostile

    def missing(self) -> str:
        """Say what is not answered."""
        left = [*self._pending.values(), *self._hostile]
        return f"{len(left)} unanswered: " + "; ".join(f"{sent.data[:MAX_SHOWN]!r}" for sent in left[:_MAX_LISTED])
