"""Who may change a session while several are in it? The one who drives; without a driver, every editor.

Driving lives as long as the driver is attached, and never longer than the daemon.
"""

from collections.abc import Callable

from stui_sessiond.errors import NotDrivingError, ParameterError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import SessionHeader
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.keeper import Keeper

PATIENCE_S = 10.0
"""After so long without an answer an editor may take over what it asked for."""

MAX_REQUESTS = 64
"""Clients that may ask to drive one session."""


class _Wheel:
    __slots__ = ("driver", "requests")

    def __init__(self) -> None:
        self.driver: str | None = None
        self.requests: dict[str, float] = {}


class Driving:
    """Knows who drives which session."""

    def __init__(self, keeper: Keeper, hub: Hub, clock: Callable[[], float]) -> None:
        self._keeper = keeper
        self._hub = hub
        self._clock = clock
        self._wheels: dict[SessionId, _Wheel] = {}

    def driver(self, session_id: SessionId) -> str | None:
        """The client that drives, if one does."""
        wheel = self._wheels.get(session_id)
        return None if wheel is None else wheel.driver

    def requests(self, session_id: SessionId) -> list[str]:
        """The clients that asked to drive."""
        wheel = self._wheels.get(session_id)
        return [] if wheel is None else list(wheel.requests)

    def require(self, session_id: SessionId, client_id: str | None) -> None:
        """Go on only if nobody else drives.

        Raises:
            NotDrivingError: somebody else does.
        """
        driver = self.driver(session_id)
        if driver is not None and driver != client_id:
            msg = f"{driver!r} drives this session; ask with drive_session"
            raise NotDrivingError(msg, driver=driver)

    def request(self, header: SessionHeader, client_id: str) -> bool:
        """Ask to drive; tell whether that is granted at once.

        Raises:
            ParameterError: the client is not attached.
            NotDrivingError: too many ask already.
        """
        self._require_attached(header.session_id, client_id)
        wheel = self._wheel(header.session_id)
        if wheel.driver in (None, client_id):
            if wheel.driver is None:
                self._change(header.session_id, client_id, "requested")
            return True
        if len(wheel.requests) >= MAX_REQUESTS and client_id not in wheel.requests:
            msg = f"{len(wheel.requests)} clients ask already"
            raise NotDrivingError(msg, driver=wheel.driver)
        if client_id not in wheel.requests:
            wheel.requests[client_id] = self._clock()
            entry = self._keeper.find(header.session_id)
            self._keeper.post(entry, "driver.requested", {"client_id": client_id, "driver": wheel.driver})
        return False

    def hand_over(self, header: SessionHeader, client_id: str, to: str | None) -> None:
        """Let another attached client drive.

        Raises:
            ParameterError: that client is not attached, or may not.
            NotDrivingError: the one who hands over does not drive.
        """
        self._require_driver(header.session_id, client_id)
        if to is None or header.role_of(to) not in {"editor", "owner"}:
            msg = "drive_session: `to_client_id` has to name an editor of the session"
            raise ParameterError(msg, field="to_client_id")
        self._require_attached(header.session_id, to)
        self._change(header.session_id, to, "handed_over")

    def take_over(self, header: SessionHeader, client_id: str) -> None:
        """Drive instead of the present driver.

        Raises:
            ParameterError: the client is not attached.
            NotDrivingError: it is not the owner, and has not asked for long enough.
        """
        self._require_attached(header.session_id, client_id)
        wheel = self._wheel(header.session_id)
        asked_at = wheel.requests.get(client_id)
        waited = asked_at is not None and self._clock() >= asked_at + PATIENCE_S
        if wheel.driver not in (None, client_id) and header.role_of(client_id) != "owner" and not waited:
            msg = (
                f"{wheel.driver!r} drives; ask with `request`, and take over if there is no answer for {PATIENCE_S:g} s"
            )
            raise NotDrivingError(msg, driver=wheel.driver)
        if wheel.driver != client_id:
            self._change(header.session_id, client_id, "taken_over")

    def release(self, header: SessionHeader, client_id: str) -> None:
        """Let go: every editor may change the session again.

        Raises:
            NotDrivingError: the client does not drive.
        """
        self._require_driver(header.session_id, client_id)
        self._change(header.session_id, None, "released")

    def left(self, session_id: SessionId, client_id: str | None) -> None:
        """Take note that a client has ended a subscription: with its last one its driving ends."""
        wheel = self._wheels.get(session_id)
        if wheel is None or client_id is None:
            return
        if any(each.subscriber.client_id == client_id for each in self._hub.attached(session_id)):
            return
        wheel.requests.pop(client_id, None)
        if wheel.driver == client_id:
            self._change(session_id, None, "left")
        elif wheel.driver is None and not wheel.requests:
            del self._wheels[session_id]

    def _wheel(self, session_id: SessionId) -> _Wheel:
        for gone in [each for each in self._wheels if self._keeper.shelf.find(each) is None]:
            del self._wheels[gone]
        return self._wheels.setdefault(session_id, _Wheel())

    def _change(self, session_id: SessionId, driver: str | None, how: str) -> None:
        wheel = self._wheels[session_id]
        previous, wheel.driver = wheel.driver, driver
        wheel.requests.pop(driver or "", None)
        if driver is None and not wheel.requests:
            del self._wheels[session_id]
        entry = self._keeper.shelf.find(session_id)
        if entry is not None:
            data = {"driver": driver, "previous": previous, "how": how}
            self._keeper.post(entry, "driver.changed", data)

    def _require_driver(self, session_id: SessionId, client_id: str) -> None:
        driver = self.driver(session_id)
        if driver != client_id:
            msg = "you do not drive this session" if driver is None else f"{driver!r} drives this session"
            raise NotDrivingError(msg, driver=driver)

    def _require_attached(self, session_id: SessionId, client_id: str) -> None:
        if not any(each.subscriber.client_id == client_id for each in self._hub.attached(session_id)):
            msg = f"client {client_id!r} is not attached to the session: it has to subscribe to it first"
            raise ParameterError(msg, field="client_id")
