"""What do tools share that ask the image and show lists? A line that tells how it went, and where failures go."""

from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import msgspec
from textual.binding import Binding, BindingType

from stui_sessiond.client import ClientError
from stui_sessiond.tui.problem.problem import Problem, Severity, problem_of
from stui_sessiond.tui.problem.screen import ProblemScreen
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.tools.pad_tool import PadTool
from stui_sessiond.tui.widgets.outcome_line import OutcomeLine

S = TypeVar("S", bound=msgspec.Struct)


class AskingTool(PadTool[S]):
    """A tool that asks, and says in a line what became of it. Its `compose` has to yield `status`."""

    DEFAULT_CSS = """
    AskingTool OptionList, AskingTool OptionList:focus {
        border: none; padding: 0; text-wrap: nowrap; text-overflow: ellipsis; scrollbar-size-vertical: 1;
    }
    AskingTool VerticalScroll { background: $surface; scrollbar-size-vertical: 1; }
    AskingTool Tree, AskingTool Tree:focus { border: none; padding: 0; scrollbar-size: 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("alt+e", "explain", "Error", show=False)]

    def __init__(self, tool_id: str, link: SessionLink, state: S, title: str) -> None:
        super().__init__(tool_id, link, state, title)
        self.status = OutcomeLine()
        self.said = ""
        """What the line says."""
        self.problem: Problem | None = None
        """The last failure, until something goes well."""

    def say(self, text: str, severity: Severity | None = None, keys: str = "") -> None:
        """Write something into the line; `keys` tell what can be done about it."""
        self.said = text
        self.status.say(text, severity, keys)

    def fail(self, problem: Problem) -> None:
        """Show a failure."""
        self.problem = problem
        self.say(problem.line, problem.severity, "alt+e explains")
        self.refresh_bindings()

    def ask(self, work: Coroutine[Any, Any, None], group: str) -> None:
        """Do what waits for answers, in the place of what was asked before in that group."""
        self.run_worker(self._guarded(work), name=group, group=group, exclusive=True, exit_on_error=False)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (ClientError, OSError) as error:
            if self.is_attached:
                self.fail(problem_of(error))

    def action_explain(self) -> None:
        """Show all of the last failure."""
        if self.problem is not None:
            self.app.push_screen(ProblemScreen(self.problem))
