"""Which kinds of tool are there? One table; the shell knows no tool by name."""

from stui_sessiond.tui.tools.events import Events
from stui_sessiond.tui.tools.tool import AnyTool

KINDS: dict[str, type[AnyTool]] = {kind.kind: kind for kind in (Events,)}
"""In the order in which menus show them."""

FIRST: tuple[str, ...] = ("events",)
"""What a new session opens: the first in front, the second pinned beside it."""
