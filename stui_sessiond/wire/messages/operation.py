"""Parameters and results of the commands about how the daemon itself runs."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from stui_sessiond.wire.messages import Text

Level = Literal["debug", "info", "warning", "error"]


class SetLogLevel(Struct):
    """Parameters of `set_log_level`."""

    level: Literal["debug", "info", "warning", "error", "default"]
    logger: Text | UnsetType | None = UNSET


class SetLogLevelResult(Struct):
    """Result of `set_log_level`."""

    default: Level
    loggers: dict[str, Level]


class GetLogLevels(Struct):
    """Parameters of `get_log_levels`: none."""


class GetLogLevelsResult(Struct):
    """Result of `get_log_levels`."""

    default: Level
    loggers: dict[str, Level]
