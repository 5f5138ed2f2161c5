"""Who comes and goes: what a client keeps between two visits."""

import msgspec

from .book import Heard, Room

Json = dict[str, object]


class Own(msgspec.Struct):
    """A session of a person's own."""

    session_id: str
    image_id: str
    used_at: float
    """Monotonic; after the session's timeout it may have expired."""
    snapshots: int = 0


class Pending(msgspec.Struct):
    """A change of the room that was sent and not answered; it is sent again with the same key."""

    value: int
    key: str


class Person:
    """One named client with its token, its room and what it left behind."""

    def __init__(self, client_id: str, token: str, room: Room) -> None:
        self.client_id = client_id
        self.token = token
        self.room = room
        self.heard = Heard()
        self.resume_token: str | None = None
        self.trusted = False
        """Whether that token was given to the daemon's own user: nobody else can use it."""
        self.pending: Pending | None = None
        self.sessions: list[Own] = []
        self.serial = 0

    def next_id(self) -> str:
        """Make an id for a request, another one each time: also a resumed connection must not meet one again."""
        self.serial += 1
        return f"{self.client_id}-{self.serial}"
