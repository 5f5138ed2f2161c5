"""How does a person write and run code? A text of which any part can be evaluated, printed and inspected in place."""

from pathlib import Path
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets.text_area import Selection

from stui_sessiond.client import Gap
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.smalltalk.passage import Place
from stui_sessiond.tui.tools.pad_tool import PadTool
from stui_sessiond.tui.tools.recall import Recall
from stui_sessiond.tui.tools.snippets import Snippets, default_folder
from stui_sessiond.tui.tools.snippets_screen import SnippetsScreen
from stui_sessiond.tui.widgets.code_pad import CodePad
from stui_sessiond.wire.forms import EventMessage

MAX_STORED_CHARS = 1_000_000
"""Of a workspace's text that is saved with the session, which has a limit of its own."""

HINT = "alt+d runs the code here, alt+p prints it below, alt+i inspects it"


class WorkspaceState(msgspec.Struct):
    """What a workspace is restored from."""

    text: str = ""
    cursor: tuple[int, int] = (0, 0)
    selected_from: tuple[int, int] | None = None
    scroll: int = 0
    recalled: list[str] = []


class Workspace(PadTool[WorkspaceState]):
    """An editor whose code is run in the image, with variables of its own."""

    kind: ClassVar[str] = "workspace"
    label: ClassVar[str] = "Workspace"
    state_type: ClassVar[type[msgspec.Struct]] = WorkspaceState
    snippets_folder: ClassVar[Path | None] = None
    """Where snippets are; None: `snippets.default_folder`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+s", "snippets", "Snippets"),
        Binding("alt+up", "recall(-1)", "Code before", show=False, priority=True),
        Binding("alt+down", "recall(1)", "Code after", show=False, priority=True),
    ]

    def __init__(self, tool_id: str, link: SessionLink, state: WorkspaceState, title: str) -> None:
        super().__init__(tool_id, link, state, title)
        self.pad = CodePad(link, tool_id, state.text, hint=HINT)
        self.area = self.pad.area
        self._recall = Recall(list(state.recalled))
        self._recalled: Selection | None = None

    def compose(self) -> ComposeResult:
        """Nothing but code."""
        yield self.pad

    def on_mount(self) -> None:
        """Go on where the last terminal was."""
        state = self.initial
        end = Place(*self.area.clamp_visitable(state.cursor))
        start = end if state.selected_from is None else Place(*self.area.clamp_visitable(state.selected_from))
        self.area.selection = Selection(start, end)
        self.call_after_refresh(self.area.scroll_to, y=state.scroll, animate=False)

    def focus_inside(self) -> None:
        """Put the cursor into the text."""
        self.area.focus()

    def present_state(self) -> WorkspaceState:
        """Tell what has to be kept."""
        start, end = self.area.selection
        return WorkspaceState(
            text=self.area.text[:MAX_STORED_CHARS],
            cursor=end,
            selected_from=None if start == end else start,
            scroll=round(self.area.scroll_y),
            recalled=self._recall.entries,
        )

    def hear(self, item: EventMessage | Gap) -> None:
        """Follow what runs for this tool."""
        self.pad.hear(item)

    # ---- code from before, and from files

    def on_code_pad_ran(self, event: CodePad.Ran) -> None:
        """Keep code that was run, to go back to it."""
        event.stop()
        self._recall.note(event.code)
        self.changed()

    def action_recall(self, step: int) -> None:
        """Write code that was evaluated before at the cursor, in the place of the last one that was written so."""
        code = self._recall.older() if step < 0 else self._recall.newer()
        selection = self.area.selection
        if code is None and (step < 0 or selection != self._recalled):
            self.pad.say("There is no code before." if step < 0 else "There is no code after.")
            return
        start, end = sorted(selection) if selection == self._recalled else (selection.end, selection.end)
        result = self.area.replace(code or "", start, end)
        self._recalled = self.area.selection = Selection(start, result.end_location)

    def insert_code(self, code: str) -> None:
        """Write code at the cursor, and select it."""
        start, end = sorted(self.area.selection)
        result = self.area.replace(code, start, end)
        self.area.selection = Selection(start, result.end_location)

    def action_snippets(self) -> None:
        """Choose a snippet, or keep the code at the cursor as one."""
        passage = self.area.passage()
        snippets = Snippets(self.snippets_folder or default_folder())

        def answered(code: str | None) -> None:
            if code is not None:
                self.insert_code(code)

        self.app.push_screen(SnippetsScreen(snippets, None if passage is None else passage.code), answered)
