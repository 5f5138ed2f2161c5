"""May this caller do this, now, with this session? The one place where lists, rates, roles and driving are enforced."""

from collections.abc import Callable

from stui_sessiond.commands.table import Caller
from stui_sessiond.contract import Descriptor
from stui_sessiond.errors import (
    ClientNotAllowedError,
    CommandNotAllowedError,
    RateLimitedError,
    SessionNotSharedError,
)
from stui_sessiond.ids import SessionId
from stui_sessiond.security.access import Access
from stui_sessiond.security.quota import Rate, RateLimiter
from stui_sessiond.sessions.driving import Driving
from stui_sessiond.sessions.shelf import Shelf

_RANKS = ("none", "viewer", "editor", "owner")
_WITHOUT_WHEEL = frozenset({"drive_session"})
"""What an editor may do while somebody else drives."""


_ABOUT_OTHERS = frozenset({"sharing"})
"""Families whose `client_id` names somebody else."""


class Quotas:
    """The rates that hold for everybody but the daemon's own user."""

    def __init__(self, requests: Rate, evaluations: Rate) -> None:
        self.requests = RateLimiter(requests)
        self.evaluations = RateLimiter(evaluations)
        self.refused_requests = 0
        self.refused_evaluations = 0


class SessionGate:
    """Knows sessions, drivers, lists and rates."""

    def __init__(
        self, shelf: Shelf, driving: Driving, access: Access, quotas: Quotas, monotonic: Callable[[], float]
    ) -> None:
        self._shelf = shelf
        self._driving = driving
        self._access = access
        self._quotas = quotas
        self._monotonic = monotonic

    def admit(self, descriptor: Descriptor, caller: Caller) -> None:
        """Go on only if the command is let in by the lists, and the caller does not ask too often.

        To end code counts as a request and not as an evaluation: whoever has begun too much can stop it.

        Raises:
            CommandNotAllowedError, RateLimitedError: it is not.
        """
        if not self._access.rules.commands.admits(descriptor.command):
            msg = f"{descriptor.command} is not allowed here"
            raise CommandNotAllowedError(msg, command=descriptor.command)
        if caller.principal is None or caller.principal.trusted:
            return
        asker = f"{caller.principal.token_id}:{caller.client_id}"
        now = self._monotonic()
        wait = self._quotas.requests.take(asker, now)
        if wait:
            self._quotas.refused_requests += 1
        elif descriptor.right == "eval" and descriptor.command != "interrupt_evaluation":
            wait = self._quotas.evaluations.take(asker, now)
            self._quotas.refused_evaluations += wait > 0
        if wait:
            msg = f"too many requests; ask again in {wait:.2f} s"
            raise RateLimitedError(msg, retry_after=round(wait, 3))

    def check_client(self, descriptor: Descriptor, client_id: object, caller: Caller) -> None:
        """Go on only if the caller may use a client's name.

        Raises:
            ClientNotAllowedError: its token is for other clients.
        """
        principal = caller.principal
        if principal is None or not principal.bound or descriptor.family in _ABOUT_OTHERS:
            return
        if isinstance(client_id, str) and not principal.may_be_client(client_id):
            msg = f"the token is not for client {client_id!r}"
            raise ClientNotAllowedError(msg, client_id=client_id)

    def check(self, descriptor: Descriptor, session_id: str, caller: Caller) -> None:
        """Go on only if the caller has the role that the command takes, and nobody else drives.

        A caller that named itself has to be the owner, or be let in by it. One that did not is known by nothing but
        the session's id; where a state machine says who may see and do what, that is good for the default view and no
        more. A session that is not there is for the command to tell.

        Raises:
            SessionNotSharedError, NotDrivingError: it may not.
        """
        entry = self._shelf.find(SessionId(session_id))
        if entry is None:
            return
        needed = descriptor.session_role or "none"
        client_id = caller.confined_to
        if client_id is not None:
            role = entry.header.role_of(client_id)
            if _RANKS.index(role) < _RANKS.index(needed):
                msg = f"{descriptor.command} takes the role `{needed}` in the session; {client_id!r} has `{role}`"
                raise SessionNotSharedError(msg, session_id=session_id, role=role, needed=needed)
        elif entry.header.machine_version and caller.client_id is None and needed in {"editor", "owner"}:
            msg = f"the session has a state machine: say hello with a `client_id` for {descriptor.command}"
            raise SessionNotSharedError(msg, session_id=session_id, role="none", needed=needed)
        if needed == "editor" and descriptor.command not in _WITHOUT_WHEEL:
            self._driving.require(entry.header.session_id, caller.client_id)
