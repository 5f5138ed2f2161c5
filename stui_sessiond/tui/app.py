"""What is the terminal front end as a whole? One connection, and the screens that use it."""

from textual.app import App

from stui_sessiond.client import LastingClient
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.session_screen import SessionScreen


class StuiApp(App[None]):
    """The application.

    Args:
        client: made, but not started.
        session_id: the session to open.
        image_id: its image.
    """

    TITLE = "stui"

    def __init__(self, client: LastingClient, session_id: str, *, image_id: str | None = None) -> None:
        super().__init__()
        self.client = client
        self._opened = SessionLink(client, session_id, image_id=image_id)

    async def on_mount(self) -> None:
        """Connect, and show the session."""
        await self.client.__aenter__()
        await self.push_screen(SessionScreen(self._opened))

    async def on_unmount(self) -> None:
        """Hang up."""
        await self.client.close()
