"""Who owns the rooms, hears every event in them and looks into the store at the end."""

import asyncio
import itertools
from typing import Any, Self

import msgspec

from stui_sessiond.client import CallFailedError
from stui_sessiond.client.channel import LineChannel
from stui_sessiond.client.conversation import Answer, Conversation
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.forms import EventMessage

from .account import Account
from .book import Heard, Room
from .roads import Network

Json = dict[str, Any]

CLIENT_ID = "soak-auditor"
CAUGHT_UP_S = 30.0


class Auditor:
    """A client straight to the daemon, with one connection from the beginning to the end."""

    def __init__(self, network: Network, token: str, account: Account) -> None:
        self.rooms: dict[str, Room] = {}
        self._heard: dict[str, Heard] = {}
        self._network = network
        self._token = token
        self._account = account
        self._serials = itertools.count()
        self._tasks = TaskOwner("auditor")
        self._conversation: Conversation | None = None

    async def __aenter__(self) -> Self:
        await self.come_back(self._network)
        return self

    async def come_back(self, network: Network) -> None:
        """Connect, for the first time or to a daemon that was started again, and listen to what there is."""
        if self._conversation is not None:
            await self._conversation.close()
        channel = LineChannel(*await network.dial_unix())
        ids = (f"auditor-{number}" for number in self._serials)
        self._conversation = Conversation(channel, self._tasks, ids, self._hear, _ignore)
        await self.ask("hello", role="client", client_id=CLIENT_ID, token=self._token)
        for room in self.rooms.values():
            since = self._heard[room.session_id].since
            told = await self.ask("subscribe", session_id=room.session_id, deltas=True, since=since)
            if not told["recovered"]:
                self._account.complain("events", f"the auditor missed some: {told}")

    async def __aexit__(self, *_: object) -> None:
        if self._conversation is not None:
            await self._conversation.close()
        await self._tasks.close()

    async def ask(self, command: str, **parameters: object) -> Json:
        """Ask for what is expected to work."""
        assert self._conversation is not None
        result: Json = msgspec.json.decode(await self._conversation.ask(command, parameters))
        return result

    async def is_connected(self, image_id: str) -> bool:
        """Tell whether an image is there."""
        try:
            told = await self.ask("get_image_connection_status", image_id=image_id)
        except CallFailedError:  # not yet known
            return False
        return bool(told["status"] == "connected")

    async def make_room(self, members: list[str]) -> Room:
        """Make a session that these clients share, and listen to it."""
        made = await self.ask("create_session", client_id=CLIENT_ID, timeout=30 * 86400)
        room = Room(made["session_id"])
        self.rooms[room.session_id], self._heard[room.session_id] = room, Heard()
        told = await self.ask("subscribe", session_id=room.session_id, deltas=True)  # nothing happens there yet
        self._heard[room.session_id].subscribed(told["position"]["epoch"], told["position"]["seq"], recovered=True)
        for client_id in members:
            await self.ask("share_session", session_id=room.session_id, client_id=client_id, role="editor")
        return room

    def _hear(self, event: EventMessage, size: int) -> None:
        del size
        room = self.rooms.get(event.session_id or "")
        if room is None:
            return
        heard = self._heard[room.session_id]
        if heard.seq < 0:  # it came together with the answer to subscribe
            heard.subscribed(event.epoch, event.seq - 1, recovered=True)
        skipped = event.event == "gap"
        wrong = heard.heard(event.epoch, event.seq, gap=skipped)
        if skipped:
            self._account.complain("events", f"the auditor missed some: {event.data}")
        wrong = wrong or room.compare(event.epoch, event.seq, hash(msgspec.json.encode((event.event, event.data))))
        if event.event == "session.updated":
            for step in event.data["patch"]:
                field = step["path"].removeprefix("/state/")
                wrong = wrong or room.heard_change(field, step["value"])
        self._account.done["events heard by the auditor"] += 1
        if wrong is not None:
            self._account.complain("events", f"the auditor: {wrong}")

    async def judge(self) -> int:
        """Compare what is stored with what was acknowledged; tell how many fields there are."""
        fields = 0
        for room in self.rooms.values():
            told = await self.ask("restore_session", session_id=room.session_id)
            info = await self.ask("get_session_info", session_id=room.session_id)
            async with asyncio.timeout(CAUGHT_UP_S):
                while self._heard[room.session_id].seq < info["position"]["seq"]:
                    await self.ask("ping")  # what was on its way before the answer has come
            for wrong in room.disagreements(told["session_state"]):
                self._account.complain("acknowledged changes", wrong)
            fields += len(told["session_state"])
        return fields


def _ignore(answer: Answer) -> None:
    """There are none."""
