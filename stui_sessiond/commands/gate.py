"""May this caller do this with this session? The one place where roles and driving are enforced, for every command."""

from stui_sessiond.commands.table import Caller
from stui_sessiond.contract import Descriptor
from stui_sessiond.errors import SessionNotSharedError
from stui_sessiond.ids import SessionId
from stui_sessiond.sessions.driving import Driving
from stui_sessiond.sessions.shelf import Shelf

_RANKS = ("none", "viewer", "editor", "owner")
_WITHOUT_WHEEL = frozenset({"drive_session"})
"""What an editor may do while somebody else drives."""


class SessionGate:
    """Knows sessions and drivers."""

    def __init__(self, shelf: Shelf, driving: Driving) -> None:
        self._shelf = shelf
        self._driving = driving

    def check(self, descriptor: Descriptor, session_id: str, caller: Caller) -> None:
        """Go on only if the caller has the role that the command takes, and nobody else drives.

        A caller that named itself has to be the owner, or be let in by it. One that did not is known by nothing but
        the session's id, which is a secret. A session that is not there is for the command to tell.

        Raises:
            SessionNotSharedError, NotDrivingError: it may not.
        """
        entry = self._shelf.find(SessionId(session_id))
        if entry is None:
            return
        needed = descriptor.session_role or "none"
        if caller.client_id is not None and caller.role != "observer":
            role = entry.header.role_of(caller.client_id)
            if _RANKS.index(role) < _RANKS.index(needed):
                msg = (
                    f"{descriptor.command} takes the role `{needed}` in the session; {caller.client_id!r} has `{role}`"
                )
                raise SessionNotSharedError(msg, session_id=session_id, role=role, needed=needed)
        if needed == "editor" and descriptor.command not in _WITHOUT_WHEEL:
            self._driving.require(entry.header.session_id, caller.client_id)
