"""What do tools with code share? What is inspected opens an inspector, what waits at an error a debugger."""

from typing import TypeVar

import msgspec

from stui_sessiond.printable import printable
from stui_sessiond.tui.tools.debugger_state import DebuggerState
from stui_sessiond.tui.tools.inspector_state import InspectorState
from stui_sessiond.tui.tools.tool import Tool
from stui_sessiond.tui.widgets.code_pad import CodePad

S = TypeVar("S", bound=msgspec.Struct)


class PadTool(Tool[S]):
    """A tool with a `CodePad`."""

    def on_code_pad_inspect(self, wish: CodePad.Inspect) -> None:
        """Open an inspector."""
        wish.stop()
        self.open_inspector(wish.code, wish.handle)

    def open_inspector(self, expression: str, handle: str | None) -> None:
        """Open an inspector on an object that the image keeps."""
        state = InspectorState(expression, handle)
        self.post_message(self.Open("inspector", state, f"Inspect {printable(' '.join(expression.split()), 20)}"))

    def on_code_pad_debug(self, wish: CodePad.Debug) -> None:
        """Open a debugger."""
        wish.stop()
        state = DebuggerState(wish.debugger_id, wish.error)
        self.post_message(self.Open("debugger", state, f"Debug {printable(wish.error, 20)}"))

    def on_code_pad_changed(self, event: CodePad.Changed) -> None:
        """Save what is typed."""
        event.stop()
        self.changed()
