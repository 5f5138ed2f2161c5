"""The commands about how the daemon itself runs: from which level on it logs."""

import sys
from collections.abc import Iterable

import structlog

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import ParameterError
from stui_sessiond.log_level import ROOT, Levels
from stui_sessiond.wire.messages import operation as wire

_log = structlog.get_logger(__name__)


class OperationCommands:
    """Carries out `set_log_level` and `get_log_levels`."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("set_log_level", wire.SetLogLevel, self.set_log_level),
            Command("get_log_levels", wire.GetLogLevels, self.get_log_levels),
        )

    def set_log_level(self, caller: Caller, asked: wire.SetLogLevel) -> wire.SetLogLevelResult:
        """Carry out `set_log_level`.

        Raises:
            ParameterError: there is no such logger, or too many have levels of their own.
        """
        logger = asked.logger or None
        if logger is None and asked.level == "default":
            msg = "set_log_level: `default` takes a `logger` that is to follow the others again"
            raise ParameterError(msg, field="logger")
        if logger is not None and (logger.partition(".")[0] != ROOT or logger not in sys.modules):
            msg = f"set_log_level: no part of the daemon is called {logger[:100]!r}; {ROOT}.storage is one"
            raise ParameterError(msg, field="logger")
        try:
            self._levels.set(logger, None if asked.level == "default" else asked.level)
        except ValueError as error:
            msg = f"set_log_level: {error}"
            raise ParameterError(msg, field="logger") from None
        _log.info("log.level_set", level=asked.level, logger=logger, client_id=caller.client_id)
        return wire.SetLogLevelResult(self._levels.default, dict(self._levels.rules))

    def get_log_levels(self, caller: Caller, asked: wire.GetLogLevels) -> wire.GetLogLevelsResult:
        """Carry out `get_log_levels`."""
        del caller, asked
        return wire.GetLogLevelsResult(self._levels.default, dict(self._levels.rules))
