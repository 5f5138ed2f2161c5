"""What was evaluated, what runs, and what came of it? The list that outlives terminal, daemon and image."""

import time
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.timer import Timer
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from stui_sessiond.client import Gap
from stui_sessiond.printable import printable
from stui_sessiond.tui.problem.problem import problem_of_smalltalk
from stui_sessiond.tui.problem.screen import ProblemScreen
from stui_sessiond.tui.session_link import PAGE_CHARS, SessionLink
from stui_sessiond.tui.tools.asking import AskingTool
from stui_sessiond.tui.tools.debugger_state import DebuggerState
from stui_sessiond.tui.tools.evaluation_text import RUNNING, evaluation_details, evaluation_line
from stui_sessiond.tui.tools.workspace import WorkspaceState
from stui_sessiond.tui.widgets.result_screen import ResultScreen
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages.evaluation import ListedEvaluation

PAGE = 50
"""Evaluations that are asked for at once."""
MAX_SHOWN = 1_000
"""Evaluations in the list, however often somebody asks for more."""
SETTLE_S = 0.2
"""After an event, before the list is asked for: events come in threes."""


class EvaluationsState(msgspec.Struct):
    """Which one was looked at."""

    evaluation: str | None = None


class Evaluations(AskingTool[EvaluationsState]):
    """The evaluations of the session, the newest first."""

    kind: ClassVar[str] = "evaluations"
    label: ClassVar[str] = "Evaluations"
    state_type: ClassVar[type[msgspec.Struct]] = EvaluationsState

    DEFAULT_CSS = """
    Evaluations OptionList { height: 2fr; }
    Evaluations VerticalScroll { height: 1fr; border-top: solid $panel; padding: 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "workspace", "Workspace"),
        Binding("e", "report", "Error"),
        Binding("d", "debug", "Debug"),
        Binding("s", "stop", "Stop"),
        Binding("v", "read", "Whole value"),
        Binding("m", "more", "More"),
    ]

    def __init__(self, tool_id: str, link: SessionLink, state: EvaluationsState, title: str) -> None:
        super().__init__(tool_id, link, state, title)
        self.rows: list[ListedEvaluation] = []
        self._list = OptionList()
        self._details = Static()
        self._wanted = PAGE
        self._more = False
        self._chosen_name = state.evaluation
        self._soon: Timer | None = None

    def compose(self) -> ComposeResult:
        """The list, the one at the cursor, and what became of a wish."""
        yield self._list
        with VerticalScroll(can_focus=False):
            yield self._details
        yield self.status

    def on_mount(self) -> None:
        """Get the list."""
        self.set_interval(1.0, self._tick)
        self.ask(self._fetch(), "list")

    def focus_inside(self) -> None:
        """Put the cursor into the list."""
        self._list.focus()

    def present_state(self) -> EvaluationsState:
        """Tell what has to be kept."""
        return EvaluationsState(self._chosen_name)

    def hear(self, item: EventMessage | Gap) -> None:
        """Get the list again soon after something began or ended."""
        if (isinstance(item, Gap) or item.event.startswith(("evaluation.", "debugger."))) and self._soon is None:
            self._soon = self.set_timer(SETTLE_S, self._fetch_soon)

    def _fetch_soon(self) -> None:
        self._soon = None
        self.ask(self._fetch(), "list")

    async def _fetch(self) -> None:
        answer = await self.link.client.list_evaluations(self.link.session_id, limit=self._wanted)
        self._note_cursor()  # that it has moved may still be on its way here
        self.rows, self._more = answer.evaluations, answer.more
        self._show()

    def _tick(self) -> None:
        if any(one.status in RUNNING for one in self.rows):
            for number, one in enumerate(self.rows):
                if one.status in RUNNING:
                    line = evaluation_line(one, time.time(), plain=self.text_mode)
                    self._list.replace_option_prompt_at_index(number, line)

    def _show(self) -> None:
        now = time.time()
        options = [Option(evaluation_line(one, now, plain=self.text_mode)) for one in self.rows]
        names = [one.evaluation for one in self.rows]
        at = names.index(self._chosen_name) if self._chosen_name in names else 0
        with self.prevent(OptionList.OptionHighlighted):
            self._list.clear_options().add_options(options)
            self._list.highlighted = at if options else None
        self._tell_chosen()
        running = sum(one.status in RUNNING for one in self.rows)
        more = "; m shows older ones" if self._more else ""
        self.say(f"{len(self.rows)} evaluations, {running} not over{more}" if self.rows else "Nothing was run yet.")

    def _chosen(self) -> ListedEvaluation | None:
        at = self._list.highlighted
        return None if at is None or at >= len(self.rows) else self.rows[at]

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show all of it."""
        event.stop()
        self._note_cursor()
        self._tell_chosen()
        self.changed()

    def _note_cursor(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            self._chosen_name = None if self._list.highlighted == 0 else chosen.evaluation  # None: the newest, always

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open its code."""
        event.stop()
        self.action_workspace()

    def _tell_chosen(self) -> None:
        chosen = self._chosen()
        self._details.update("" if chosen is None else evaluation_details(chosen))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done with the one at the cursor."""
        chosen = self._chosen()
        offered = {
            "workspace": chosen is not None and chosen.code is not None,
            "report": chosen is not None and chosen.has_error,
            "debug": chosen is not None and isinstance(chosen.debugger_id, str),
            "stop": chosen is not None and chosen.status in RUNNING,
            "read": chosen is not None and chosen.status == "done" and not chosen.has_error,
            "more": self._more and self._wanted < MAX_SHOWN,
        }
        return offered.get(action, super().check_action(action, parameters))

    # ---- what can be done with one

    def action_workspace(self) -> None:
        """Open a workspace with its code."""
        chosen = self._chosen()
        if chosen is not None and chosen.code is not None:
            self.post_message(self.Open("workspace", WorkspaceState(chosen.code)))

    def action_debug(self) -> None:
        """Open the debugger on the process that waits."""
        chosen = self._chosen()
        if chosen is not None and isinstance(chosen.debugger_id, str):
            self.post_message(self.Open("debugger", DebuggerState(chosen.debugger_id)))

    def action_stop(self) -> None:
        """Interrupt it."""
        chosen = self._chosen()
        if chosen is not None:
            self.ask(self._stop(chosen.evaluation), "stop")

    async def _stop(self, name: str) -> None:
        self.say("Stopping ...")
        answer = await self.link.interrupt(name)
        for one in answer.evaluations:
            self.say(f"{one.outcome.replace('_', ' ')}{': ' + printable(one.reason) if one.reason else ''}")

    def action_report(self) -> None:
        """Show all of its error."""
        chosen = self._chosen()
        if chosen is not None:
            self.ask(self._report(chosen.evaluation), "report")

    async def _report(self, name: str) -> None:
        report = await self.link.client.get_error_report(self.link.session_id, name)
        self.app.push_screen(ProblemScreen(problem_of_smalltalk(report.error, report.code, name)))

    def action_read(self) -> None:
        """Read all of its value."""
        chosen = self._chosen()
        if chosen is not None:
            self.ask(self._read(chosen.evaluation), "read")

    async def _read(self, name: str) -> None:
        page = await self.link.client.get_result_page(self.link.session_id, name, 0, PAGE_CHARS)
        self.app.push_screen(ResultScreen(self.link, name, page.text, page.total_chars))

    def action_more(self) -> None:
        """Get older ones, too."""
        self._wanted = min(self._wanted + PAGE, MAX_SHOWN)
        self.ask(self._fetch(), "list")
