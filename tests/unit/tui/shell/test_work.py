"""What becomes of work whose widget goes away under it."""

from __future__ import annotations

import pytest
from textual.app import App
from textual.worker import WorkerFailed

from stui_sessiond.tui import work


class Looking(App[None]):
    """Looks for something that is not there; `leaves` first, if it is to."""

    def __init__(self, *, leaves: bool) -> None:
        super().__init__()
        self.leaves = leaves

    def on_mount(self) -> None:
        """Begin."""
        work.start(self.screen, self._look)

    async def _look(self) -> None:
        if self.leaves:
            self.exit()
        self.screen.query_one("#nothing")


async def test_work_of_what_is_being_taken_down_finds_nothing() -> None:
    """That is the end of the work, not an error."""
    app = Looking(leaves=True)
    async with app.run_test() as pilot:
        await pilot.pause()
    assert app.return_code == 0


async def test_work_of_what_is_there_finds_nothing() -> None:
    """That is an error."""
    with pytest.raises(WorkerFailed, match="nothing"):
        async with Looking(leaves=False).run_test() as pilot:
            await pilot.pause()
