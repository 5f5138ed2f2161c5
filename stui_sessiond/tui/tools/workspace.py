"""How does a person write and run code? A text of which any part can be evaluated, printed and inspected in place."""

import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static, TextArea
from textual.widgets.text_area import Selection

from stui_sessiond.client import ClientError, Gap
from stui_sessiond.printable import printable
from stui_sessiond.tui.problem.problem import Problem, Severity, problem_of, problem_of_smalltalk, shown
from stui_sessiond.tui.problem.screen import MARKS, ProblemScreen
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.smalltalk.passage import Passage, Place
from stui_sessiond.tui.tools.debugger_state import DebuggerState
from stui_sessiond.tui.tools.evaluator import CANNOT_SUSPEND, Done, Evaluator
from stui_sessiond.tui.tools.inspector_state import InspectorState
from stui_sessiond.tui.tools.recall import Recall
from stui_sessiond.tui.tools.snippets import Snippets, default_folder
from stui_sessiond.tui.tools.snippets_screen import SnippetsScreen
from stui_sessiond.tui.tools.tool import Tool
from stui_sessiond.tui.widgets.completion import CompletingArea
from stui_sessiond.tui.widgets.result_screen import ResultScreen
from stui_sessiond.wire.forms import EventMessage

MAX_PRINTED_CHARS = 4_000
"""Of a printed result that is inserted; the whole of it is a key away."""
MAX_UNDER_WAY = 100
"""Evaluations of one workspace that wait for the image; the image does one after the other."""
MAX_STORED_CHARS = 1_000_000
"""Of a workspace's text that is saved with the session, which has a limit of its own."""

How = Literal["do", "print", "inspect"]

HINTS = "alt+d runs the code at the cursor, alt+p prints its value below, alt+i inspects it"


class WorkspaceState(msgspec.Struct):
    """What a workspace is restored from."""

    text: str = ""
    cursor: tuple[int, int] = (0, 0)
    selected_from: tuple[int, int] | None = None
    scroll: int = 0
    recalled: list[str] = []


class Workspace(Tool[WorkspaceState]):
    """An editor whose code is run in the image, with variables of its own."""

    kind: ClassVar[str] = "workspace"
    label: ClassVar[str] = "Workspace"
    state_type: ClassVar[type[msgspec.Struct]] = WorkspaceState
    snippets_folder: ClassVar[Path | None] = None
    """Where snippets are; None: `snippets.default_folder`."""

    DEFAULT_CSS = """
    Workspace .status { height: 1; padding: 0 1; background: $panel; }
    Workspace .status.-error { color: $text-error; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+d,ctrl+d", "run('do')", "Do", priority=True),
        Binding("alt+p,f5", "run('print')", "Print"),
        Binding("alt+i,f6", "run('inspect')", "Inspect"),
        Binding("ctrl+c", "stop", "Stop", priority=True),
        Binding("alt+full_stop", "stop", "Stop", show=False),
        Binding("alt+e", "explain", "Error"),
        Binding("alt+m", "read_on", "Whole result", show=False),
        Binding("alt+s", "snippets", "Snippets"),
        Binding("alt+up", "recall(-1)", "Code before", show=False),
        Binding("alt+down", "recall(1)", "Code after", show=False),
    ]

    def __init__(self, tool_id: str, link: SessionLink, state: WorkspaceState, title: str) -> None:
        super().__init__(tool_id, link, state, title)
        self.evaluator = Evaluator(link, tool_id)
        self.area = CompletingArea(link, tool_id, state.text)
        self.problem: Problem | None = None
        """The last failure, until code is run again."""
        self._status = Static(HINTS, classes="status")
        self._recall = Recall(list(state.recalled))
        self._recalled = False
        self._under_way: dict[str, tuple[str, float]] = {}
        self._long: Done | None = None

    # ---- the shell

    def compose(self) -> ComposeResult:
        """Put the text above, and what becomes of it below."""
        yield self.area
        yield self._status

    def on_mount(self) -> None:
        """Go on where the last terminal was."""
        state = self.initial
        end = Place(*self.area.clamp_visitable(state.cursor))
        start = end if state.selected_from is None else Place(*self.area.clamp_visitable(state.selected_from))
        self.area.selection = Selection(start, end)
        self.call_after_refresh(self.area.scroll_to, y=state.scroll, animate=False)
        self.set_interval(1.0, self._tick)

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
        """Ask another image again what it can."""
        if isinstance(item, EventMessage) and item.event in {"image.connected", "session.image_switched"}:
            self.evaluator.forget_abilities()
            self.area.completes = True

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Save what is typed."""
        event.stop()
        self.changed()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """Save where the cursor is."""
        event.stop()
        self._recalled = False
        self.changed()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to stop only what runs, and to explain only what went wrong; ctrl+c copies otherwise."""
        del parameters
        if action == "stop":
            return bool(self._under_way)
        if action == "explain":
            return self.problem is not None
        return True

    # ---- running code

    def action_run(self, how: How) -> None:
        """Run what is selected, or the code at the cursor."""
        passage = self.area.passage()
        if passage is None:
            self._say("Nothing to evaluate here: put the cursor on some code, or select it.")
            return
        if len(self._under_way) >= MAX_UNDER_WAY:
            self._say(f"{MAX_UNDER_WAY} evaluations wait already: stop them, or wait.")
            return
        self.problem = None
        self._recall.note(passage.code)
        self.area.mark()
        name = self.link.name_evaluation(self.tool_id)
        self.area.keep(f"start {name}", passage.start)
        self.area.keep(f"end {name}", passage.end)
        self._under_way[name] = (passage.code, time.monotonic())
        self._tick()
        self.refresh_bindings()
        before = (self.area.selection, len(self.area.history.undo_stack))
        self._work(self._run(how, passage, name, before), f"run.{name}")

    def _work(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.run_worker(work, name=name, group="run", exit_on_error=False)

    async def _run(self, how: How, passage: Passage, name: str, before: tuple[Selection, int]) -> None:
        try:
            done = await self.evaluator.run(passage.code, name, keep=how == "inspect")
        except ClientError as error:
            self._fail(problem_of(error, passage.code), name)
            return
        finally:
            self._under_way.pop(name, None)
            if self.is_attached:
                self.refresh_bindings()
        if done.result.has_error and done.result.error:
            self._fail(problem_of_smalltalk(done.result.error, passage.code, done.name), name)
            return
        self._succeed(how, passage, name, done, before)

    def _succeed(self, how: How, passage: Passage, name: str, done: Done, before: tuple[Selection, int]) -> None:
        end = self.area.take(f"end {name}") or passage.end
        self.area.take(f"start {name}")
        self._long = done if len(done.text) > MAX_PRINTED_CHARS or done.result.truncated is True else None
        took = f"{done.result.execution_time:.0f} ms"
        if how == "print":
            self._print(done.text, end, (self.area.selection, len(self.area.history.undo_stack)) == before)
        elif how == "inspect":
            handle = done.result.handle
            self._open_inspector(InspectorState(passage.code, handle if isinstance(handle, str) else None))
        total = done.result.total_chars if isinstance(done.result.total_chars, int) else len(done.text)
        more = f"  [{total:,} characters, alt+m reads all]" if self._long else ""
        self._say(f"⇒ {printable(done.text, 200)}{more}  ({took}, {printable(done.result.result_type or '')})")
        self.changed()

    def _print(self, text: str, end: Place, untouched: bool) -> None:  # noqa: FBT001 -- a fact, not a switch
        """Insert a result below the line of its code, selected, so that Delete takes it away."""
        text = shown(text, MAX_PRINTED_CHARS)
        line_end = (end.row, len(self.area.document.get_line(end.row)))
        result = self.area.insert(f"\n{text}", line_end, maintain_selection_offset=True)
        self.area.history.checkpoint()
        if untouched:
            self.area.selection = Selection(line_end, result.end_location)
            self.area.scroll_cursor_visible()

    def _open_inspector(self, state: InspectorState) -> None:
        self.post_message(self.Open("inspector", state, f"Inspect {printable(state.expression, 20)}"))

    # ---- what became of it

    def _fail(self, problem: Problem, name: str) -> None:
        """Show a failure at its place in the text, and in the status line."""
        start = self.area.take(f"start {name}")
        self.area.take(f"end {name}")
        if self.evaluator.can_suspend is False and problem.stack and problem.debugger_id is None:
            problem = msgspec.structs.replace(problem, details=(*problem.details, CANNOT_SUSPEND))
        self.problem = problem
        if start is not None and problem.place is not None:
            row, column = problem.place.row, problem.place.column
            first = Place(start.row + row, column + (start.column if row == 0 else 0))
            word = self._word_length(first)
            self.area.mark((first, Place(first.row, first.column + word)))
        if self.is_attached:
            self._say(problem.line, problem.severity)
            self.refresh_bindings()
            if problem.debugger_id is not None:
                self.action_explain()

    def _word_length(self, place: Place) -> int:
        line = self.area.document.get_line(place.row) if place.row < self.area.document.line_count else ""
        length = 0
        while place.column + length < len(line) and (line[place.column + length].isalnum()):
            length += 1
        return max(length, 1)

    def _say(self, text: str, severity: Severity | None = None) -> None:
        mark = "" if severity is None else f"{MARKS[severity]} "
        self._status.set_class(severity is Severity.ERROR, "-error")
        self._status.update(Text(mark + text.replace("\n", " "), no_wrap=True, overflow="ellipsis"))

    def _tick(self) -> None:
        if not self._under_way:
            return
        code, began = next(iter(self._under_way.values()))
        waits = len(self._under_way) - 1
        more = f", {waits} more wait" if waits else ""
        where = "" if self.link.online else " (offline: its result comes later)"
        self._say(f"◔ running {time.monotonic() - began:.0f} s{more}{where}: {printable(code, 60)}  [ctrl+c stops]")

    def action_explain(self) -> None:
        """Show all of the last failure."""
        problem = self.problem
        if problem is None:
            return

        def answered(wish: str | None) -> None:
            if wish == "debug" and problem.debugger_id is not None:
                state = DebuggerState(problem.debugger_id, problem.title)
                self.post_message(self.Open("debugger", state, f"Debug {printable(problem.title, 20)}"))

        self.app.push_screen(ProblemScreen(problem), answered)

    def action_read_on(self) -> None:
        """Read all of the last result."""
        if self._long is not None:
            total = self._long.result.total_chars
            length = total if isinstance(total, int) else len(self._long.text)
            self.app.push_screen(ResultScreen(self.link, self._long.name, self._long.text, length))

    def action_stop(self) -> None:
        """Interrupt what this workspace runs."""
        self.run_worker(self._stop(), name="stop", group="stop", exclusive=True, exit_on_error=False)

    async def _stop(self) -> None:
        self._say("Stopping ...")
        try:
            answer = await self.link.interrupt(tool_id=self.tool_id)
        except ClientError as error:
            self._say(problem_of(error).line, Severity.ERROR)
            return
        reasons = [one.reason for one in answer.evaluations if one.outcome == "not_interrupted" and one.reason]
        if reasons:
            self._say(f"Not stopped: {printable(reasons[0])}", Severity.WARNING)

    # ---- code from before, and from files

    def action_recall(self, step: int) -> None:
        """Write code that was evaluated before at the cursor, in the place of the last one that was written so."""
        code = self._recall.older() if step < 0 else self._recall.newer()
        if code is None and (step < 0 or not self._recalled):
            self._say("There is no code before." if step < 0 else "There is no code after.")
            return
        start, end = sorted(self.area.selection) if self._recalled else (self.area.selection.end,) * 2
        result = self.area.replace(code or "", start, end)
        self.area.selection = Selection(start, result.end_location)
        self.call_after_refresh(self._note_recalled)

    def _note_recalled(self) -> None:
        self._recalled = True  # until the cursor goes elsewhere, what is selected is what was recalled

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
