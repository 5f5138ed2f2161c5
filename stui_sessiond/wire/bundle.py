"""What is sent to many, and written only once for each kind of transport?"""

from collections.abc import Sequence


class Bundle:
    """Messages that go together, in order, to everybody who hears of something."""

    __slots__ = ("events", "frames", "lines", "messages", "unnumbered")

    def __init__(self, messages: Sequence[bytes]) -> None:
        self.messages = messages
        self.frames: bytes | None = None
        """All of them as WebSocket frames, once the first WebSocket has written them."""
        self.lines: bytes | None = None
        """All of them as lines, likewise."""
        self.events: bytes | None = None
        """All of them as server-sent events, likewise."""
        self.unnumbered: bytes | None = None
        """The same without ids, for streams about several sessions."""
