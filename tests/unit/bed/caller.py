"""A connection as commands see it, without a socket."""

from collections.abc import Sequence

from stui_sessiond.ids import ConnectionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.model.request import Origin
from stui_sessiond.security.audit import Actor
from stui_sessiond.security.principal import LOCAL, Principal
from stui_sessiond.sessions.hub import Topic
from stui_sessiond.wire.messages.connection import Hello
from tests.unit.bed.house import Listener


class TestCaller(Listener):
    """A caller that may do what the test says; with a connection it asks under the id in `request_id`."""

    __test__ = False

    def __init__(
        self,
        *rights: str,
        must_greet: bool = False,
        client_id: str | None = None,
        connection_id: str | None = None,
        role: str | None = None,
    ) -> None:
        super().__init__(client_id, connection_id, role=role)
        self.rights = frozenset(rights or {"connect", "session"})
        self.principal: Principal | None = LOCAL
        self.greeted = False
        self.must_greet = must_greet
        self.once = False
        self.proof: str | None = None
        self.process_id: int | None = None
        self.topics: set[Topic] = set()
        self.request_id = "r-1"
        self.sent: list[bytes] = []

    @property
    def confined_to(self) -> str | None:
        """The client whose role decides what it may look at."""
        bound = self.principal is not None and self.principal.bound
        return self.client_id if bound else super().confined_to

    @property
    def actor(self) -> Actor:
        """Who it is, for the audit log."""
        return Actor(client_id=self.client_id)

    @property
    def origin(self) -> Origin | None:
        """Where the answer to the present request is owed."""
        return None if self.connection_id is None else Origin(self.connection_id, self.request_id)

    def greet(
        self, hello: Hello, link: ImageLink | None, connection_id: ConnectionId, principal: Principal
    ) -> Sequence[str]:
        """Take up a role."""
        del link
        self.principal = principal
        self.greeted, self.role, self.connection_id = True, hello.role, connection_id
        return ()

    def claim(self) -> None:
        """Nothing was kept."""

    def send(self, message: bytes) -> None:
        """Take a message."""
        self.sent.append(message)

    def close(self, close_name: str) -> None:
        """End."""

    def refuse_later(self, close_name: str) -> None:
        """End later."""
