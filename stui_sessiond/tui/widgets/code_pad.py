"""How is code run where it is written? A text whose parts are run, printed below themselves, and inspected.

Every tool that has code has one: a workspace runs it as it is, an inspector with its object as `self`, a debugger in a
frame. What differs is the `Runner`.
"""

import time
from collections.abc import Awaitable
from typing import ClassVar, Literal, Protocol

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea
from textual.widgets.text_area import Selection

from stui_sessiond.client import ClientError, Gap
from stui_sessiond.printable import printable
from stui_sessiond.tui.problem.problem import Problem, Severity, problem_of, problem_of_smalltalk, shown
from stui_sessiond.tui.problem.screen import ProblemScreen
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.smalltalk.passage import Passage, Place
from stui_sessiond.tui.widgets.completion import CompletingArea
from stui_sessiond.tui.widgets.evaluator import CANNOT_SUSPEND, Done, Evaluator
from stui_sessiond.tui.widgets.outcome_line import OutcomeLine
from stui_sessiond.tui.widgets.result_screen import ResultScreen
from stui_sessiond.wire.forms import EventMessage

MAX_PRINTED_CHARS = 4_000
"""Of a printed result that is inserted; the whole of it is a key away."""
MAX_UNDER_WAY = 100
"""Evaluations of one tool that wait for the image; the image does one after the other."""

ADOPT_S = 5.0
"""To ask what runs already; later the list of evaluations tells."""

How = Literal["do", "print", "inspect"]


class Runner(Protocol):
    """Runs code in the way of a tool; raises `ClientError`."""

    def __call__(self, code: str, name: str, *, keep: bool) -> Awaitable[Done]:
        """Run code under a name; keep its value for an inspector."""


class CodePad(Widget):
    """An editor, and a line that tells what became of its code.

    Args:
        link: the session.
        tool_id: the tool, for completion and to interrupt.
        text: to begin with.
        run: runs code; without it, as it is, with the variables of the tool.
        hint: what the line says at first.
    """

    DEFAULT_CSS = """
    CodePad { layout: vertical; height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+d", "run('do')", "Do", priority=True),
        Binding("alt+p", "run('print')", "Print", priority=True),
        Binding("alt+i", "run('inspect')", "Inspect", priority=True),
        Binding("ctrl+d", "run('do')", "Do", show=False, priority=True),
        Binding("f5", "run('print')", "Print", show=False, priority=True),
        Binding("f7", "run('inspect')", "Inspect", show=False, priority=True),
        Binding("ctrl+c", "stop", "Stop", priority=True),
        Binding("alt+full_stop", "stop", "Stop", show=False, priority=True),
        Binding("alt+e", "explain", "Error", priority=True),
        Binding("alt+m", "read_on", "Whole result", show=False, priority=True),
    ]

    class Inspect(Message):
        """Somebody wants to look into a value."""

        def __init__(self, code: str, handle: str | None) -> None:
            self.code = code
            self.handle = handle
            super().__init__()

    class Debug(Message):
        """Somebody wants to go on with a process that waits."""

        def __init__(self, debugger_id: str, error: str) -> None:
            self.debugger_id = debugger_id
            self.error = error
            super().__init__()

    class Ran(Message):
        """Code was run, or is about to be."""

        def __init__(self, code: str) -> None:
            self.code = code
            super().__init__()

    class Changed(Message):
        """The text, the cursor or the selection is another one."""

    def __init__(
        self, link: SessionLink, tool_id: str, text: str = "", *, run: Runner | None = None, hint: str = ""
    ) -> None:
        super().__init__()
        self.link = link
        self.tool_id = tool_id
        self.evaluator = Evaluator(link, tool_id)
        self.area = CompletingArea(link, tool_id, text)
        self.problem: Problem | None = None
        """The last failure, until code is run again."""
        self.said = hint
        """What the line says."""
        self._run_code: Runner = run or self.evaluator.run
        self._status = OutcomeLine(hint)
        self._under_way: dict[str, tuple[str, float]] = {}
        self._adopted: set[str] = set()
        self._long: Done | None = None

    def compose(self) -> ComposeResult:
        """Put the text above, and what becomes of it below."""
        yield self.area
        yield self._status

    def on_mount(self) -> None:
        """Count the seconds that code runs, also code that an earlier terminal began."""
        self.set_interval(1.0, self._tick)
        self.run_worker(self._adopt(), name="adopt", group="adopt", exit_on_error=False)

    async def _adopt(self) -> None:
        """Take over what runs for this tool already: a terminal that was killed may have begun it."""
        commands = self.link.patient(ADOPT_S, wait=False)
        try:
            rows = (await commands.list_evaluations(self.link.session_id, tool_id=self.tool_id, limit=10)).evaluations
        except ClientError:
            return  # the list of evaluations has it still
        for one in rows:
            if (
                one.finished_at is None
                and one.status in {"queued", "running"}
                and one.evaluation not in self._under_way
            ):
                self._under_way[one.evaluation] = (one.code or one.command, time.monotonic())
                self._adopted.add(one.evaluation)
        self._tick()
        self.refresh_bindings()

    def hear(self, item: EventMessage | Gap) -> None:
        """Tell the end of what was taken over, and ask another image again what it can."""
        if isinstance(item, Gap) or not isinstance(item.data, dict):
            return
        if item.event in {"image.connected", "session.image_switched"}:
            self.evaluator.forget_abilities()
            self.area.completes = True
        name = str(item.data.get("evaluation"))
        if name in self._adopted and item.event in {"evaluation.finished", "evaluation.lost"}:
            self._adopted.discard(name)
            self._under_way.pop(name, None)
            told = printable(str(item.data.get("display") or item.data.get("reason") or ""), 200)
            self.say(f"what ran before has ended: {told}")
            self.refresh_bindings()

    @property
    def running(self) -> int:
        """How many evaluations are under way."""
        return len(self._under_way)

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Tell that there is something to save."""
        event.stop()
        self.post_message(self.Changed())

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """Tell that there is something to save."""
        event.stop()
        self.post_message(self.Changed())

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
            self.say("Nothing to evaluate here: put the cursor on some code, or select it.")
            return
        if len(self._under_way) >= MAX_UNDER_WAY:
            self.say(f"{MAX_UNDER_WAY} evaluations wait already: stop them, or wait.")
            return
        self.problem = None
        self.area.hide()
        self.post_message(self.Ran(passage.code))
        self.area.mark()
        name = self.link.name_evaluation(self.tool_id)
        self.area.keep(f"start {name}", passage.start)
        self.area.keep(f"end {name}", passage.end)
        self._under_way[name] = (passage.code, time.monotonic())
        self._tick()
        self.refresh_bindings()
        before = (self.area.selection, len(self.area.history.undo_stack))
        work = self._run(how, passage, name, before)
        self.run_worker(work, name=f"run.{name}", group="run", exit_on_error=False)

    async def _run(self, how: How, passage: Passage, name: str, before: tuple[Selection, int]) -> None:
        try:
            done = await self._run_code(passage.code, name, keep=how == "inspect")
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
        if not self.is_attached:
            return
        end = self.area.take(f"end {name}") or passage.end
        self.area.take(f"start {name}")
        self._long = done if len(done.text) > MAX_PRINTED_CHARS or done.result.truncated is True else None
        kind = printable(done.result.result_type or "")
        took = f"  ({done.result.execution_time:.0f} ms, {kind})" if kind else ""
        if how == "print":
            self._print(done.text, end, (self.area.selection, len(self.area.history.undo_stack)) == before)
        elif how == "inspect":
            handle = done.result.handle
            self.post_message(self.Inspect(passage.code, handle if isinstance(handle, str) else None))
        total = done.result.total_chars if isinstance(done.result.total_chars, int) else len(done.text)
        keys = f"{total:,} characters, alt+m reads all" if self._long else ""
        self.say(f"⇒ {printable(' '.join(done.text.splitlines()), 200)}{took}", keys=keys)

    def _print(self, text: str, end: Place, untouched: bool) -> None:  # noqa: FBT001 -- a fact, not a switch
        """Insert a result below the line of its code, selected, so that Delete takes it away."""
        text = shown(text, MAX_PRINTED_CHARS)
        line_end = (end.row, len(self.area.document.get_line(end.row)))
        result = self.area.insert(f"\n{text}", line_end, maintain_selection_offset=True)
        self.area.history.checkpoint()
        if untouched:
            self.area.selection = Selection(line_end, result.end_location)
            self.area.scroll_cursor_visible()

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
            self.say(problem.line, problem.severity)  # the line of keys has the one that explains
            self.refresh_bindings()
            if problem.debugger_id is not None:
                self.action_explain()

    def _word_length(self, place: Place) -> int:
        line = self.area.document.get_line(place.row) if place.row < self.area.document.line_count else ""
        length = 0
        while place.column + length < len(line) and (line[place.column + length].isalnum()):
            length += 1
        return max(length, 1)

    def say(self, text: str, severity: Severity | None = None, keys: str = "") -> None:
        """Write something into the line; `keys` tell what can be done about it."""
        self.said = text
        self._status.say(text, severity, keys)

    def _tick(self) -> None:
        if not self._under_way:
            return
        code, began = next(iter(self._under_way.values()))
        waits = len(self._under_way) - 1
        more = f", {waits} more wait" if waits else ""
        where = "" if self.link.online else " (offline: its result comes later)"
        code = printable(" ".join(code.split()), 60)
        self.say(f"◔ running {time.monotonic() - began:.0f} s{more}{where}: {code}", keys="ctrl+c stops")

    def action_explain(self) -> None:
        """Show all of the last failure."""
        problem = self.problem
        if problem is None:
            return

        def answered(wish: str | None) -> None:
            if wish == "debug" and problem.debugger_id is not None:
                self.post_message(self.Debug(problem.debugger_id, problem.title))

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
        self.say("Stopping ...")
        try:
            answer = await self.link.interrupt(tool_id=self.tool_id)
        except ClientError as error:
            self.say(problem_of(error).line, Severity.ERROR)
            return
        reasons = [one.reason for one in answer.evaluations if one.outcome == "not_interrupted" and one.reason]
        if reasons:
            self.say(f"Not stopped: {printable(reasons[0])}", Severity.WARNING)
