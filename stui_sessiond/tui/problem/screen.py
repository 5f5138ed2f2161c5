"""How is a failure shown? One screen for all of them: how bad, what, where, the stack, and what helps."""

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from stui_sessiond.tui.problem.filing import default_folder, file_away
from stui_sessiond.tui.problem.problem import Problem, Severity, write_problem
from stui_sessiond.tui.widgets.key_line import KeyLine

MARKS = {Severity.ERROR: "✖", Severity.WARNING: "▲", Severity.NOTE: "●"}
"""Before the word, for those who look; the word is for everybody."""


class ProblemScreen(ModalScreen[str | None]):
    """A failure. Its result is `debug` if the person wants the debugger, else None.

    Args:
        problem: the failure.
        folder: where it is filed away.
    """

    DEFAULT_CSS = """
    ProblemScreen { align: center middle; }
    ProblemScreen > Vertical {
        width: 90%; max-width: 110; height: auto; max-height: 90%;
        border: round $error; background: $surface; padding: 0 1;
    }
    ProblemScreen.-warning > Vertical { border: round $warning; }
    ProblemScreen.-note > Vertical { border: round $primary; }
    ProblemScreen VerticalScroll { height: auto; max-height: 100%; }
    ProblemScreen .title { text-style: bold; }
    ProblemScreen .part { margin-top: 1; text-style: bold; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close", key_display="esc"),
        Binding("d", "debug", "Debug"),
        Binding("c", "copy", "Copy"),
        Binding("f", "file_away", "File away"),
    ]

    def __init__(self, problem: Problem, folder: Path | None = None) -> None:
        super().__init__(classes=f"-{problem.severity}")
        self.problem = problem
        self.folder = folder or default_folder()

    def compose(self) -> ComposeResult:
        """Write the parts that there are."""
        problem = self.problem
        with Vertical() as box, VerticalScroll(can_focus=True):
            box.border_title = Text(f"{MARKS[problem.severity]} {problem.severity.upper()}")
            yield Static(Text(problem.title), classes="title")
            if problem.message:
                yield Static(Text(problem.message))
            if problem.suggestion:
                yield Static(Text("What to do"), classes="part")
                yield Static(Text(problem.suggestion))
            if problem.place is not None:
                yield Static(Text("Where"), classes="part")
                yield Static(Text("\n".join(problem.place.excerpt())))
            if problem.stack:
                yield Static(Text("Stack"), classes="part")
                yield Static(Text("\n".join(problem.stack)))
            rows = ([f"code: {problem.code}"] if problem.code else []) + list(problem.details)
            if rows:
                yield Static(Text("Details"), classes="part")
                yield Static(Text("\n".join(rows)))
        yield KeyLine()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the debugger only for a process that waits."""
        del parameters
        return action != "debug" or self.problem.debugger_id is not None

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_debug(self) -> None:
        """Go on in the debugger."""
        self.dismiss("debug")

    def action_copy(self) -> None:
        """Put all of it onto the clipboard, by way of the terminal (OSC 52)."""
        self.app.copy_to_clipboard(write_problem(self.problem))
        self.notify("Copied, if your terminal allows it.")

    def action_file_away(self) -> None:
        """Write it into a file."""
        try:
            path = file_away(self.problem, self.folder)
        except OSError as error:
            self.notify(str(error), title="Not filed", severity="error", markup=False)
            return
        self.notify(str(path), title="Filed away", markup=False)
