"""How does a person work with a process that waits at an error? Stack, source, variables; step, go on, or end it."""

from typing import Any, ClassVar, Literal

import msgspec
from msgspec import UNSET
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from stui_sessiond.client import CallFailedError, Gap
from stui_sessiond.printable import printable
from stui_sessiond.tui.dialogs import Ask, Choose, Confirm
from stui_sessiond.tui.problem.problem import Severity, frame_line, problem_of_smalltalk
from stui_sessiond.tui.problem.screen import ProblemScreen
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.smalltalk.passage import place_of
from stui_sessiond.tui.tools.asking import AskingTool
from stui_sessiond.tui.tools.debug_info import DebugInfo, Frame, read_debug_info
from stui_sessiond.tui.tools.debugger_state import DebuggerState
from stui_sessiond.tui.widgets.code_area import CodeArea
from stui_sessiond.tui.widgets.code_pad import CodePad
from stui_sessiond.tui.widgets.evaluator import CANNOT_SUSPEND, Done
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages.development import Debug, DebugResult, EvaluateResult, StackFrame
from stui_sessiond.wire.messages.kept import ListedDebugger, TakeDebuggerResult

OVER = {"debugger_not_found", "stale_handle", "object_not_found"}
"""Codes that say that the process does not wait any more."""
STEPS = {"StepInto": "stepping in", "StepOver": "stepping over", "StepOut": "stepping out"}


class Debugger(AskingTool[DebuggerState]):
    """A process that waits at an error."""

    kind: ClassVar[str] = "debugger"
    label: ClassVar[str] = "Debugger"
    state_type: ClassVar[type[msgspec.Struct]] = DebuggerState

    DEFAULT_CSS = """
    Debugger #upper { height: 3fr; }
    Debugger #lower { height: 2fr; border-top: solid $panel; }
    Debugger #stack, Debugger #locals { width: 2fr; height: 1fr; }
    Debugger Vertical { width: 3fr; border-left: vkey $panel; }
    Debugger #where { height: 1; padding: 0 1; text-style: bold; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "do('StepInto')", "Into"),
        Binding("o", "do('StepOver')", "Over"),
        Binding("u", "do('StepOut')", "Out"),
        Binding("c", "do('Continue')", "Go on"),
        Binding("r", "do('RestartFrame')", "Restart"),
        Binding("v", "return_value", "Return"),
        Binding("x", "terminate", "End"),
        Binding("k", "take", "Take"),
        Binding("k", "release", "Let go"),
        Binding("l", "choose", "List", show=False),
        Binding("e", "report", "Report", show=False),
    ]

    def __init__(self, tool_id: str, link: SessionLink, state: DebuggerState, title: str) -> None:
        super().__init__(tool_id, link, state, title)
        self.debugger_id = state.debugger_id
        self.frame = state.frame
        """The frame that is looked at, 1 the innermost."""
        self.info: DebugInfo | None = None
        """What the image said last."""
        self.holder: str | None = None
        """Who works with it."""
        self.over = state.debugger_id is None
        """Whether it does not wait any more."""
        self.stack = OptionList(id="stack")
        self.locals = OptionList(id="locals")
        self.source = CodeArea(read_only=True)
        self.pad = CodePad(
            link,
            tool_id,
            run=self._run_in_frame,
            hint="Here, code sees what the frame sees: self, arguments, variables.",
        )
        self._where = Static(id="where")

    def compose(self) -> ComposeResult:
        """Stack and source above, variables and code below."""
        with Horizontal(id="upper"):
            yield self.stack
            with Vertical():
                yield self._where
                yield self.source
        with Horizontal(id="lower"):
            yield self.locals
            with Vertical():
                yield self.pad
        yield self.status

    def on_mount(self) -> None:
        """Look at the process, or tell which ones there are."""
        if self.debugger_id is None:
            self.ask(self._look_for_one(), "debug")
        else:
            self.ask(self._open(), "debug")

    def focus_inside(self) -> None:
        """Put the cursor into the stack."""
        self.stack.focus()

    def present_state(self) -> DebuggerState:
        """Tell what has to be kept."""
        return DebuggerState(self.debugger_id, self.initial.error, self.frame)

    def hear(self, item: EventMessage | Gap) -> None:
        """Follow who works with it, and its end."""
        if isinstance(item, Gap) or not isinstance(item.data, dict) or not self.debugger_id:
            return
        if item.data.get("debugger_id") != self.debugger_id:
            return
        if item.event == "debugger.held":
            holder = item.data.get("holder")
            self.holder = holder if isinstance(holder, str) else None
            self._tell()
        elif item.event == "debugger.closed" and not self.over:
            self._end(f"It does not wait any more: {printable(str(item.data.get('how', 'ended')))}.")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to work with it while it waits."""
        if action in {"do", "return_value", "terminate"}:
            return not self.over
        if action in {"take", "release"}:
            return not self.over and self.mine == (action == "release")
        return super().check_action(action, parameters)

    @property
    def mine(self) -> bool:
        """Whether the one at this terminal works with it; that does not end with the terminal."""
        return self.holder is not None and self.holder == self.link.own

    # ---- which one

    async def _look_for_one(self) -> None:
        answer = await self.link.client.list_debuggers(self.link.session_id)
        waiting = [one for one in answer.debuggers if one.state != "lost"]
        if not waiting:
            self.say(f"No process waits at an error. {await self._reason()}".strip())
            return
        self.say(f"{len(waiting)} wait at an error; l chooses one.")
        rows = [(one.debugger_id, _listed(one, self.link.own)) for one in waiting]

        def answered(name: str | None) -> None:
            if name is not None:
                self.debugger_id, self.frame, self.over = name, 1, False
                self.changed()
                self.ask(self._open(), "debug")

        self.app.push_screen(Choose("Processes that wait at an error", rows), answered)

    async def _reason(self) -> str:
        """Tell why there can be none, if the image cannot keep any."""
        images = (await self.link.client.list_images()).images
        here = next((one for one in images if one.image_id == self.link.image_id), None)
        return CANNOT_SUSPEND if here is not None and here.capabilities and "suspend" not in here.capabilities else ""

    def action_choose(self) -> None:
        """Choose another one."""
        self.ask(self._look_for_one(), "debug")

    # ---- asking

    async def _debug(self, operation: str, *, frame: int | None = None, expression: str | None = None) -> DebugResult:
        asked = Debug(
            session_id=self.link.session_id,
            tool_id=self.tool_id,
            debugger_id=self.debugger_id or UNSET,
            operation=operation,
            frame=frame or UNSET,
            expression=expression or UNSET,
        )
        return await self.link.client.ask(asked, DebugResult)

    async def _open(self) -> None:
        self.say("Looking ...")
        listed = await self.link.client.list_debuggers(self.link.session_id)
        mine = next((one for one in listed.debuggers if one.debugger_id == self.debugger_id), None)
        self.holder = None if mine is None else mine.holder
        try:
            self._take(await self._debug("GetLocalVars", frame=self.frame if self.frame > 1 else None))
        except CallFailedError as error:
            if error.code not in OVER:
                raise
            self._end("It does not wait any more; e shows the report of its error.")

    def action_do(self, operation: str) -> None:
        """Step, go on, or begin a frame anew."""
        self.ask(self._do(operation), "debug")

    async def _do(self, operation: str, expression: str | None = None) -> None:
        of_frame = operation in {"RestartFrame", "ReturnValue", "StepOut"}
        self.say(f"{STEPS.get(operation, operation)} ...")
        try:
            answer = await self._debug(operation, frame=self.frame if of_frame else None, expression=expression)
            self.holder = self.link.own or self.holder  # who works with it holds it
            self._take(answer)
        except CallFailedError as error:
            if error.code in OVER:
                self._end("It does not wait any more; e shows the report of its error.")
                return
            if error.code == "debugger_held":
                holder = error.details.get("holder")
                self.holder = holder if isinstance(holder, str) else self.holder
                until = printable(str(error.details.get("lease_ends_at", "")))
                self.say(f"{self.holder} works with it, until {until}; k takes it over.", Severity.WARNING)
                return
            raise

    def _take(self, answer: DebugResult) -> None:
        """Show what the image says of the process."""
        info = read_debug_info(answer.debug_info)
        self.info = info
        self.problem = None
        if info.state != "suspended":
            became = info.outcome
            said = "" if became is None else f": {printable(str(became.result), 200)}"
            if became is not None and isinstance(became.error, msgspec.Struct):
                said = f": {problem_of_smalltalk(became.error).line}"
            self._end(f"It has {info.state}{said}")
            return
        self.frame = info.frame.index if info.frame is not None else 1
        with self.prevent(OptionList.OptionHighlighted):
            self.stack.clear_options().add_options([Option(Text(frame_line(one), no_wrap=True)) for one in info.stack])
            self.stack.highlighted = _row_of(info.stack, self.frame)
        self._show_frame(info)
        if info.error is not None:
            self.fail(problem_of_smalltalk(info.error))
        else:
            self._tell()
        self.changed()
        self.refresh_bindings()

    def _show_frame(self, info: DebugInfo) -> None:
        frame = info.frame or Frame()
        self._where.update(
            Text(
                f"{printable(frame.class_ or '?')}>>{printable(frame.selector or '?')}",
                no_wrap=True,
                overflow="ellipsis",
            )
        )
        source = frame.source or "(its source is not known)"
        self.source.load_text(source)
        if frame.start is not None and frame.stop is not None and frame.start >= 1:
            first, last = place_of(source, frame.start - 1), place_of(source, frame.stop)
            self.source.mark((first, last))
            self.source.move_cursor(first, center=True)
        elif frame.line is not None:
            self.source.move_cursor((max(frame.line - 1, 0), 0), center=True)
        rows = []
        for name, value in info.locals.items():
            row = Text(printable(name, 30), "bold", no_wrap=True)
            rows.append(Option(row.append(f" {printable(value.string_representation, 200)}", "not bold")))
        self.locals.clear_options().add_options(rows)

    def _tell(self) -> None:
        if self.over:
            return
        held = _held(self.holder, self.link.own)
        self.say(f"{printable(self.initial.error or 'suspended')}: waits; {held}. The marked part is next.")
        self.refresh_bindings()

    def _end(self, text: str) -> None:
        self.over = True
        self.say(text)
        self.refresh_bindings()
        self.changed()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Look at another frame."""
        event.stop()
        if event.option_list is self.stack and self.info is not None and not self.over:
            index = self.info.stack[event.option_index].index
            if index != self.frame:
                self.frame = index
                self.ask(self._look(index), "debug")

    async def _look(self, index: int) -> None:
        answer = await self._debug("GetLocalVars", frame=index)
        info = read_debug_info(answer.debug_info)
        if info.state == "suspended":
            self._show_frame(info)
            self.changed()

    # ---- with a question

    def action_return_value(self) -> None:
        """Ask for the value that the frame is to return."""

        def answered(expression: str | None) -> None:
            if expression:
                self.ask(self._do("ReturnValue", expression), "debug")

        self.app.push_screen(Ask(f"Return from frame {self.frame} the value of", "nil"), answered)

    def action_terminate(self) -> None:
        """Ask whether the process is to be ended."""

        def answered(yes: bool | None) -> None:  # noqa: FBT001 -- the answer of a dialog
            if yes:
                self.ask(self._do("Terminate"), "debug")

        self.app.push_screen(
            Confirm("End this process?", ["Its ensure: blocks are run. It cannot go on then."]), answered
        )

    def action_take(self) -> None:
        """Take it into one's own hands."""
        self.ask(self._custody("take"), "custody")

    def action_release(self) -> None:
        """Let go of it."""
        self.ask(self._custody("release"), "custody")

    async def _custody(self, action: Literal["take", "release"]) -> None:
        if self.debugger_id is None:
            return
        try:
            self._taken(await self.link.client.take_debugger(self.link.session_id, self.debugger_id, action))
        except CallFailedError as error:
            if error.code != "debugger_held":
                raise
            holder = printable(str(error.details.get("holder", "somebody")))

            def answered(yes: bool | None) -> None:  # noqa: FBT001 -- the answer of a dialog
                if yes:
                    self.ask(self._take_over(), "custody")

            lines = [f"{holder} works with this process.", "Whoever takes it over decides what becomes of it."]
            self.app.push_screen(Confirm(f"Take it over from {holder}?", lines, dangerous=True), answered)

    async def _take_over(self) -> None:
        if self.debugger_id is not None:
            client = self.link.client
            self._taken(await client.take_debugger(self.link.session_id, self.debugger_id, "take_over"))

    def _taken(self, answer: TakeDebuggerResult) -> None:
        self.holder = answer.holder
        self._tell()

    def action_report(self) -> None:
        """Show the report of the error, which stays when the process is gone."""
        self.ask(self._report(), "report")

    async def _report(self) -> None:
        if self.debugger_id is not None:
            client, session_id = self.link.client, self.link.session_id
            report = await client.get_error_report(session_id, debugger_id=self.debugger_id)
            self.app.push_screen(ProblemScreen(problem_of_smalltalk(report.error, report.code, report.evaluation)))

    # ---- code in the frame

    async def _run_in_frame(self, code: str, name: str, *, keep: bool) -> Done:
        del keep
        answer = await self._debug("EvaluateInFrame", frame=self.frame, expression=code)
        info = read_debug_info(answer.debug_info)
        if info.error is not None:
            return Done(name, EvaluateResult(None, info.error.class_, 0, has_error=True, error=info.error))
        result: Any = answer.result
        return Done(name, EvaluateResult(result, None, 0, has_error=False))

    def on_code_pad_inspect(self, wish: CodePad.Inspect) -> None:
        """Say that there is no way to keep a value of a frame."""
        wish.stop()
        self.pad.say("The value of code in a frame is printed; only what a workspace evaluates can be inspected.")

    def on_code_pad_debug(self, wish: CodePad.Debug) -> None:
        """Stay here."""
        wish.stop()
        self.pad.say("The code waits at an error of its own: l lists it.")


def _held(holder: str | None, own: str | None) -> str:
    if holder is None:
        return "nobody works with it"
    return "you work with it" if holder == own else f"held by {printable(holder)}"


def _listed(one: ListedDebugger, own: str | None) -> str:
    held = _held(one.holder, own)
    return f"{printable(one.error_class)}: {printable(one.error_message or '', 60)}  {printable(one.state)}, {held}"


def _row_of(stack: list[StackFrame], index: int) -> int | None:
    return next((row for row, one in enumerate(stack) if one.index == index), 0 if stack else None)
