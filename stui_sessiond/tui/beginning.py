"""What does the first screen do? Goes to the last session or to a daemon, and keeps the list of connections."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from stui_sessiond.tui.connection import LOCAL_NAME, Connection, forget, put
from stui_sessiond.tui.connection_form import ConnectionForm, try_out
from stui_sessiond.tui.dialogs import Confirm
from stui_sessiond.tui.local_daemon import StartError, is_running, start_daemon
from stui_sessiond.tui.welcome_list import CONTINUE, LOCAL, NEW, LocalState

if TYPE_CHECKING:
    from stui_sessiond.tui.app import StuiApp


class Beginning:
    """The choices of the first screen, carried out.

    Args:
        app: the application.
    """

    def __init__(self, app: "StuiApp") -> None:
        self.running: LocalState = None
        """Whether this user's daemon runs."""
        self._app = app
        self._house = app.household

    async def look(self) -> None:
        """Look whether this user's daemon runs."""
        url = self._house.places.local_url
        if url is not None:
            self.running = is_running(_socket(url))
            self._app.show_welcome()

    async def choose(self, option: str) -> None:
        """Go where the user wants: `CONTINUE`, `LOCAL`, `NEW`, or the URL of a connection."""
        connections = self._house.connections
        if option == NEW:
            await self._edit(None)
        elif option == LOCAL:
            await self._go_here()
        elif option == CONTINUE:
            await self.go_on()
        elif (known := connections.find(option)) is not None:
            await self._app.connect(known)

    async def go_on(self) -> None:
        """Go to the session that was open last, where its daemon runs or can be started."""
        last = self._house.connections.last()
        if last is None:
            return
        if last.url != self._house.places.local_url or await self._runs_here(last.url):
            await self._app.connect(last, last.session_id)

    async def change(self, what: str, option: str | None) -> None:
        """Do something about a line: `look`, `edit`, `test`, `favourite`, `forget`."""
        url = self._house.places.local_url if option == LOCAL else option
        known = self._house.connections.find(url or "")
        if what == "look":
            await self.look()
        elif known is None:
            self._app.notify("Choose a connection that was used before.")
        elif what == "edit":
            await self._edit(known)
        elif what == "test":
            worked, text = await try_out(self._house.client_for, known)
            self._app.note_result(known, "connected" if worked else text)
            self._app.notify(text, severity="information" if worked else "error", markup=False)
        elif what == "favourite":
            self._house.remember(put(self._house.connections, replace(known, favourite=not known.favourite)))
        elif what == "forget":
            question = Confirm(f"Forget {known.shown_name}?", ("Its sessions stay where they are.",), dangerous=True)
            if await self._app.push_screen_wait(question):
                self._house.remember(forget(self._house.connections, known.url))
        self._app.show_welcome()

    async def _edit(self, before: Connection | None) -> None:
        changed: Connection | None = await self._app.push_screen_wait(ConnectionForm(self._house.client_for, before))
        if changed is None:
            return
        self._house.remember(put(self._house.connections, changed, None if before is None else before.url))
        self._app.tell_problems()
        if before is None:
            await self._app.connect(changed)

    async def _go_here(self) -> None:
        url = self._house.places.local_url
        if url is not None and await self._runs_here(url):
            await self._app.connect(self._house.connections.find(url) or Connection(url, name=LOCAL_NAME))

    async def _runs_here(self, url: str) -> bool:
        """Tell whether this user's daemon runs; if not, offer to start it."""
        if not is_running(_socket(url)):
            lines = (
                "It keeps sessions and talks to images, and goes on when this terminal ends.",
                f"It listens on {_socket(url)}, for you alone.",
                f"Its log: {self._house.places.daemon_log}",
            )
            if not await self._app.push_screen_wait(Confirm("No daemon runs here. Start one?", lines)):
                return False
            try:
                await start_daemon(_socket(url), self._house.places.daemon_log)
            except (StartError, OSError) as error:
                self._app.complain(str(error))
                return False
        await self.look()
        return True


def _socket(url: str) -> Path:
    return Path(url.removeprefix("unix://"))
