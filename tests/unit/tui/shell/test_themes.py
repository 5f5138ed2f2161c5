"""Can everything be read in every theme?"""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import OptionList

from stui_sessiond.tui.app import StuiApp
from stui_sessiond.tui.themes import THEMES
from tests.unit.tui.bed import household, run


@pytest.mark.parametrize("theme", [one.name for one in THEMES])
@pytest.mark.parametrize("focused", [True, False])
async def test_line_in_front_is_readable(tmp_path: Path, theme: str, *, focused: bool) -> None:
    """The line in front of a list has other letters than its ground, also while the cursor is elsewhere."""
    app = StuiApp(household(tmp_path))
    async with run(app) as pilot:
        app.theme = theme
        if not focused:
            app.set_focus(None)
        await pilot.pause()
        front = app.screen.query_one(OptionList).get_visual_style("option-list--option-highlighted")
        assert front.foreground is not None
        assert front.background is not None
        assert front.foreground.get_contrast_text(1.0) != front.background.get_contrast_text(1.0)
