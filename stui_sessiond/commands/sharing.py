"""The commands about several clients in one session: share, presence, driving, detach."""

from collections.abc import Iterable

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import ParameterError
from stui_sessiond.sessions.driving import Driving
from stui_sessiond.sessions.feed import Feed
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.wire.messages import sharing as wire
from stui_sessiond.wire.timestamp import format_time


class SharingCommands:
    """Carries out the sharing commands."""

    def __init__(self, manager: SessionManager, feed: Feed, hub: Hub, driving: Driving) -> None:
        self._manager = manager
        self._feed = feed
        self._hub = hub
        self._driving = driving

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("share_session", wire.ShareSession, self.share),
            Command("get_presence", wire.GetPresence, self.presence),
            Command("drive_session", wire.DriveSession, self.drive),
            Command("detach_client", wire.DetachClient, self.detach),
        )

    async def share(self, caller: Caller, asked: wire.ShareSession) -> wire.ShareSessionResult:
        """Carry out `share_session`. Who may no longer take part is detached."""
        header = await self._manager.share(asked.session_id, asked.client_id, asked.role, by=caller.client_id)
        if asked.role == "none":
            await self._feed.detach(asked.session_id, asked.client_id, None, caller.client_id)
        return wire.ShareSessionResult(asked.session_id, {str(name): role for name, role in header.shares.items()})

    def presence(self, caller: Caller, asked: wire.GetPresence) -> wire.GetPresenceResult:
        """Carry out `get_presence`."""
        del caller
        header = self._manager.header(asked.session_id)
        return wire.GetPresenceResult(
            session_id=header.session_id,
            owner=header.client_id,
            shares={str(name): role for name, role in header.shares.items()},
            driver=self._driving.driver(header.session_id),
            driver_requests=self._driving.requests(header.session_id),
            attached=[
                wire.AttachedClient(
                    client_id=each.subscriber.client_id,
                    connection_id=each.subscriber.connection_id,
                    role=each.subscriber.role or "client",
                    since=format_time(each.at),
                )
                for each in self._hub.attached(header.session_id)
            ],
        )

    def drive(self, caller: Caller, asked: wire.DriveSession) -> wire.DriveSessionResult:
        """Carry out `drive_session`."""
        header = self._manager.use(asked.session_id)
        client_id = caller.client_id
        if client_id is None:
            msg = "drive_session: say hello with a `client_id` first: others have to see who drives"
            raise ParameterError(msg, field="client_id")
        granted = True
        if asked.action == "request":
            granted = self._driving.request(header, client_id)
        elif asked.action == "hand_over":
            self._driving.hand_over(header, client_id, asked.to_client_id)
        elif asked.action == "take_over":
            self._driving.take_over(header, client_id)
        else:
            self._driving.release(header, client_id)
        return wire.DriveSessionResult(header.session_id, self._driving.driver(header.session_id), granted)

    async def detach(self, caller: Caller, asked: wire.DetachClient) -> wire.DetachClientResult:
        """Carry out `detach_client`."""
        ended = await self._feed.detach(asked.session_id, asked.client_id, asked.connection_id, caller.client_id)
        return wire.DetachClientResult(asked.session_id, ended)
