"""Commands of 0.5.0 whose handlers are not there yet. To be deleted with the last of them."""

from collections.abc import Iterable
from typing import Any

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import UnsupportedOperationError
from stui_sessiond.wire.messages import development, evaluation, kept

_PENDING: tuple[tuple[str, type[Any]], ...] = (
    # evaluations
    ("interrupt_evaluation", evaluation.InterruptEvaluation),
    ("list_evaluations", evaluation.ListEvaluations),
    ("get_result_page", evaluation.GetResultPage),
    ("get_error_report", evaluation.GetErrorReport),
    ("evaluate_on", evaluation.EvaluateOn),
    # objects and debuggers
    ("list_handles", kept.ListHandles),
    ("release_handles", development.ReleaseHandles),
    ("list_debuggers", kept.ListDebuggers),
    ("take_debugger", kept.TakeDebugger),
)


class PendingCommands:
    """Answers what is not built."""

    def commands(self) -> Iterable[Command]:
        """List what is answered here."""
        return [Command(name, parameters, _refuse) for name, parameters in _PENDING]


def _refuse(caller: Caller, asked: Any) -> Any:  # noqa: ANN401 -- any command
    del caller, asked
    msg = "not built yet"
    raise UnsupportedOperationError(msg)
