"""Which kinds of tool are there? One table; the shell knows no tool by name."""

from stui_sessiond.tui.tools.browser import Browser
from stui_sessiond.tui.tools.debugger import Debugger
from stui_sessiond.tui.tools.evaluations import Evaluations
from stui_sessiond.tui.tools.events import Events
from stui_sessiond.tui.tools.inspector import Inspector
from stui_sessiond.tui.tools.tool import AnyTool
from stui_sessiond.tui.tools.transcript import Transcript
from stui_sessiond.tui.tools.versions import Versions
from stui_sessiond.tui.tools.workspace import Workspace

KINDS: dict[str, type[AnyTool]] = {
    kind.kind: kind for kind in (Workspace, Browser, Inspector, Debugger, Transcript, Evaluations, Versions, Events)
}
"""In the order in which menus show them."""

FIRST: tuple[str, ...] = ("workspace", "transcript")
"""What a new session opens: the first in front, the second pinned beside it."""
