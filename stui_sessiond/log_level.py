"""From which level on does each logger log? Changed while the daemon runs; a logger is called as its module.

What is set for `stui_sessiond.storage` holds for all modules of that room, unless one of them has a level of its own.
Libraries pass from warnings up whatever is set: below that, some of them log what peers send.
"""

import logging
from typing import Literal, get_args

LogLevel = Literal["debug", "info", "warning", "error"]

NUMBERS: dict[str, int] = {name: logging.getLevelNamesMapping()[name.upper()] for name in get_args(LogLevel)}

ROOT = "stui_sessiond"

MAX_RULES = 64
"""Levels that are set for some loggers only; more than there are rooms."""


class Threshold:
    """The level of one logger; its loggers hold this very object."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Levels:
    """The levels of all loggers."""

    def __init__(self) -> None:
        self.default: LogLevel = "info"
        self.rules: dict[str, LogLevel] = {}
        """What is set for some loggers only, by the beginning of their names."""
        self._thresholds: dict[str, Threshold] = {}
        """Of those that have logged: as many as there are modules."""

    def set(self, logger: str | None, level: LogLevel | None) -> None:
        """Set the level of loggers whose names begin so, or of all others; None takes back what was set for some.

        Raises:
            ValueError: too many have levels of their own.
        """
        if logger is None:
            self.default = level or self.default
        elif level is None:
            self.rules.pop(logger, None)
        elif len(self.rules) >= MAX_RULES and logger not in self.rules:
            msg = f"{MAX_RULES} loggers have levels of their own already; take back some"
            raise ValueError(msg)
        else:
            self.rules[logger] = level
        for name, threshold in self._thresholds.items():
            threshold.number = self._number_of(name)

    def threshold_of(self, logger: str) -> Threshold:
        """The threshold of a logger; it changes with what is set."""
        found = self._thresholds.get(logger)
        if found is None:
            found = self._thresholds[logger] = Threshold(self._number_of(logger))
        return found

    def level_of(self, logger: str) -> LogLevel:
        """The level that a logger has."""
        parts = logger.split(".")
        for count in range(len(parts), 0, -1):
            level = self.rules.get(".".join(parts[:count]))
            if level is not None:
                return level
        return self.default

    def _number_of(self, logger: str) -> int:
        number = NUMBERS[self.level_of(logger)]
        return number if logger.partition(".")[0] == ROOT else max(number, logging.WARNING)
