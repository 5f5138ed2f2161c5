"""A pipe for one message and its answer: what a POST is to a peer."""

import asyncio

from stui_sessiond.contract import CloseReason
from stui_sessiond.security.admission import Ticket
from stui_sessiond.wire.bundle import Bundle


class OncePipe:
    """Holds the answer until it is fetched. A `transports.pipe.Pipe`."""

    transport_name = "http"
    process_id: int | None = None
    same_user = False
    strict_start = False
    whole_only = False
    only_events = False
    bearer: str | None = None
    broke: str | None = None

    def __init__(self, address: str | None, ticket: Ticket) -> None:
        self.address = address
        self.ticket: Ticket | None = ticket
        self.answer: asyncio.Future[bytes | CloseReason] = asyncio.get_running_loop().create_future()
        """The answer; or why there will be none."""

    def limit_messages(self, message_bytes: int, *, strict: bool) -> None:
        """Do nothing: whoever reads the body has counted it."""

    def send(self, message: bytes) -> None:
        """Take the answer; what comes after it has no place to go."""
        self._settle(message)

    def take(self, bundle: Bundle) -> bool:
        """Refuse events: nobody subscribes over this pipe."""
        del bundle
        return False

    def close(self, reason: CloseReason) -> None:
        """Take note that there will be no answer."""
        self._settle(reason)

    def finish(self) -> None:
        """Do nothing: the answer ends it."""

    def hold(self, *, reading: bool) -> None:
        """Do nothing: there is nothing more to read."""

    def has_room(self) -> bool:
        """Tell that the answer is always taken."""
        return True

    def _settle(self, found: bytes | CloseReason) -> None:
        if not self.answer.done():
            self.answer.set_result(found)
