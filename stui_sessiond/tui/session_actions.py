"""What can be done about a session, and what is asked before? Each action asks, acts, and tells what came of it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, cast

from stui_sessiond.client import CallFailedError, ClientError, LastingClient
from stui_sessiond.printable import printable
from stui_sessiond.tui.dialogs import Ask, Choose, Confirm
from stui_sessiond.tui.session_list import Row
from stui_sessiond.wire.messages.history import RevertSession
from stui_sessiond.wire.messages.image import CleanupImageSessions
from stui_sessiond.wire.messages.session import CreateSession

if TYPE_CHECKING:
    from stui_sessiond.tui.sessions_screen import SessionsScreen

SHOWN = 12
"""Sessions that a dry run names; the others are counted."""


class SessionActions:
    """The actions of the list of sessions.

    Args:
        screen: the list.
        client: the connection.
        own: this client's name.
    """

    def __init__(self, screen: "SessionsScreen", client: LastingClient, own: str) -> None:
        self._screen = screen
        self._client = client
        self._own = own

    async def run(self, what: str, row: Row | None, image_id: str | None) -> None:
        """Do one thing about the session or the image in front; what fails is told."""
        of_session: dict[str, Callable[[Row], Awaitable[str | None]]] = {
            "rename": self._rename,
            "switch": self._switch,
            "drive": self._drive,
            "share": self._share,
            "snapshot": self._snapshot,
            "revert": self._revert,
            "close": self._close,
        }
        try:
            if what == "create":
                told = await self._create(image_id)
            elif what == "clean":
                told = await self._clean(image_id)
            elif row is None:
                told = "Choose a session first."
            else:
                told = await of_session[what](row)
        except CallFailedError as error:
            self._tell(f"{error.message} [{error.code}]", bad=True)
            return
        except ClientError as error:
            self._tell(str(error), bad=True)
            return
        if told is not None:
            self._tell(told)

    def _tell(self, text: str, *, bad: bool = False) -> None:
        self._screen.notify(printable(text), severity="error" if bad else "information", markup=False)

    async def _ask(self, title: str, value: str = "", hint: str = "") -> str | None:
        def check(text: str) -> str:
            if not text:
                return "A name has at least one letter."
            return "" if text.isprintable() else "No line breaks, please."

        answer: str | None = await self._screen.app.push_screen_wait(Ask(title, value, hint=hint, check=check))
        return answer

    async def _choose(self, title: str, options: list[tuple[str, str]], lines: tuple[str, ...] = ()) -> str | None:
        answer: str | None = await self._screen.app.push_screen_wait(Choose(title, options, lines))
        return answer

    async def _confirm(self, title: str, *lines: str) -> bool:
        sure: bool | None = await self._screen.app.push_screen_wait(Confirm(title, lines, dangerous=True))
        return bool(sure)

    # ---- the actions

    async def _create(self, image_id: str | None) -> str | None:
        images = [each.image for each in self._screen.groups if each.image is not None]
        there = [image for image in images if image.status == "connected"]
        if image_id is None and len(there) > 1:
            options = [(image.image_id, f"{image.image_id} ({image.dialect or 'Smalltalk'})") for image in there]
            image_id = await self._choose("In which image?", options)
            if image_id is None:
                return None
        elif image_id is None and there:
            image_id = there[0].image_id
        where = f" in {image_id}" if image_id else ", without an image"
        name = await self._ask(f"A new session{where}. Its name", hint="such as: fix the parser")
        if name is None:
            return None
        made = await self._client.create_session(CreateSession(self._own, name=name, image_id=image_id))
        await self._screen.refresh_list(made.session_id)
        row = self._screen.row
        if row is not None:
            self._screen.post_message(self._screen.Chosen(row))
        return None

    async def _rename(self, row: Row) -> str | None:
        name = await self._ask("A new name", row.name or "")
        if name is None:
            return None
        await self._client.rename_session(row.session_id, name)
        await self._screen.refresh_list(row.session_id)
        return f"It is called {name} now."

    async def _switch(self, row: Row) -> str | None:
        images = [
            each.image for each in self._screen.groups if each.image is not None and each.image_id != row.image_id
        ]
        there = [image for image in images if image.status == "connected"]
        if not there:
            return "There is no other image that is connected."
        options = [(image.image_id, f"{image.image_id} ({image.dialect or 'Smalltalk'})") for image in there]
        lines = ("Tools, texts and histories go along. Objects stay in the image where they are.",)
        chosen = await self._choose(f"Move {row.shown_name} to which image?", options, lines)
        if chosen is None:
            return None
        told = await self._client.switch_image_context(row.session_id, chosen, row.image_id)
        await self._screen.refresh_list(row.session_id)
        return f"It is in {told.to_image_id} now. Went along: {', '.join(told.carried) or 'nothing'}; " + (
            f"stayed: {', '.join(told.left_behind)}." if told.left_behind else "nothing stayed."
        )

    async def _drive(self, row: Row) -> str | None:
        who = await self._client.get_presence(row.session_id)
        options: list[tuple[str, str]] = []
        if who.driver == self._own:
            options += [(f"to:{name}", f"Hand over to {name}, who asks") for name in who.driver_requests]
            others = sorted({str(one.client_id) for one in who.attached if one.client_id not in {None, self._own}})
            options += [(f"to:{name}", f"Hand over to {name}") for name in others if name not in who.driver_requests]
            options.append(("release", "Let go: every editor may change it"))
        elif who.driver is None:
            options.append(("request", "Drive: nobody else changes it meanwhile"))
        else:
            options.append(("request", f"Ask {who.driver} to hand over"))
            options.append(("take_over", f"Take over from {who.driver} (for the owner)"))
        chosen = await self._choose("Driving", options)
        if chosen is None:
            return None
        action, _, other = chosen.partition(":")
        if action == "to":
            told = await self._client.drive_session(row.session_id, "hand_over", other)
        else:
            asked = cast("Literal['release', 'request', 'take_over']", action)
            told = await self._client.drive_session(row.session_id, asked)
        await self._screen.refresh_list(row.session_id)
        if not told.granted:
            return f"{told.driver} has been asked."
        return "You drive." if told.driver == self._own else f"{told.driver or 'Nobody in particular'} drives."

    async def _share(self, row: Row) -> str | None:
        other = await self._ask("Share with which client?", hint="the name with which it says hello")
        if other is None:
            return None
        options = [("editor", "May change it"), ("viewer", "May read along"), ("none", "Not any more")]
        role = await self._choose(f"What may {other} do?", options)
        if role is None:
            return None
        told = await self._client.share_session(
            row.session_id, other, cast("Literal['editor', 'none', 'viewer']", role)
        )
        await self._screen.refresh_list(row.session_id)
        return "Shared with: " + (", ".join(f"{name} ({role})" for name, role in told.shares.items()) or "nobody")

    async def _snapshot(self, row: Row) -> str | None:
        name = await self._ask("A name for how it is now", hint="such as: before the big change")
        if name is None:
            return None
        told = await self._client.snapshot_session(row.session_id, name)
        return f"Version {told.version} is kept as {told.name}. v: go back to it"

    async def _revert(self, row: Row) -> str | None:
        snapshots = (await self._client.list_snapshots(row.session_id)).snapshots
        versions = (await self._client.get_session_history(row.session_id, limit=SHOWN)).versions
        options = [
            (f"name:{one.name}", f"{printable(one.name, 30)}, version {one.version}, {one.at}") for one in snapshots
        ]
        options += [
            (f"version:{one.version - 1}", f"before {one.what} of version {one.version}, {one.at}") for one in versions
        ]
        if not options:
            return "There is no earlier version."
        chosen = await self._choose(f"Back to which state of {row.shown_name}?", options)
        if chosen is None:
            return None
        kind, _, value = chosen.partition(":")
        sure = await self._confirm(
            "Go back?",
            "Tools and texts become as they were. This is a new version itself,",
            "so you can come back from it.",
        )
        if not sure:
            return None
        name, version = (value, None) if kind == "name" else (None, int(value))
        told = await self._client.revert_session(RevertSession(row.session_id, name=name, version=version))
        await self._screen.refresh_list(row.session_id)
        return f"It is as it was; that is version {told.version}. Open it again to see it."

    async def _close(self, row: Row) -> str | None:
        people = f"Clients that are attached: {row.attached}." if row.attached else "Nobody is attached."
        if not await self._confirm(f"Close {row.shown_name}?", people, "It is kept, and can be opened again."):
            return None
        await self._client.close_session(row.session_id)
        await self._screen.refresh_list(row.session_id)
        return "It is closed; Enter opens it again."

    async def _clean(self, image_id: str | None) -> str | None:
        if image_id is None:
            return "Choose an image, or a session of one."
        wish = CleanupImageSessions(image_id, dry_run=True)
        dry = await self._client.cleanup_image_sessions(wish)
        closing = [one for one in dry.cleanup_details if one.action == "would_close"]
        if not closing:
            return f"Nothing to clean up: {dry.sessions_remaining} sessions of {image_id} are in use."
        lines = [f"{printable(one.session_id, 40)}: {printable(one.reason)}" for one in closing[:SHOWN]]
        lines += [f"and {len(closing) - SHOWN} more"] if len(closing) > SHOWN else []
        sure = await self._confirm(
            f"Close {dry.sessions_cleaned} sessions of {image_id}?", *lines, "They are kept, and can be opened again."
        )
        if not sure:
            return None
        done = await self._client.cleanup_image_sessions(CleanupImageSessions(image_id))
        await self._screen.refresh_list()
        return f"{done.sessions_cleaned} closed, {done.sessions_remaining} left."
