"""Commands of 0.5.0 whose handlers are not there yet. To be deleted with the last of them."""

from collections.abc import Iterable
from typing import Any

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import UnsupportedOperationError
from stui_sessiond.wire.messages import code, image, mirror

_PENDING: tuple[tuple[str, type[Any]], ...] = (
    # images
    ("list_image_sessions", image.ListImageSessions),
    ("get_image_session_stats", image.GetImageSessionStats),
    ("cleanup_image_sessions", image.CleanupImageSessions),
    ("switch_image_context", image.SwitchImageContext),
    ("get_image_connection_status", image.GetImageConnectionStatus),
    # code
    ("list_packages", code.ListPackages),
    ("get_hierarchy", code.GetHierarchy),
    ("find_methods", code.FindMethods),
    ("compile_method", code.CompileMethod),
    ("remove_method", code.RemoveMethod),
    ("define_class", code.DefineClass),
    ("remove_class", code.RemoveClass),
    ("list_code_changes", mirror.ListCodeChanges),
    ("reapply_code_changes", mirror.ReapplyCodeChanges),
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
