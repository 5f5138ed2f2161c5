"""How does the daemon log? structlog to standard error or a file: for people (console) or for machines (json).

Events are stable `noun.verb` words with ids as fields; never payloads, never secrets. Text from outside cannot forge
lines or steer a terminal: what is not printable is escaped, and the lines of a traceback are indented. A process has
one log, as it has one standard error.
"""

import logging
import os
import sys
import threading
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, Literal, TextIO, get_args

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from stui_sessiond import asking
from stui_sessiond.errors import ConfigError
from stui_sessiond.journal_stream import is_journal, with_priority
from stui_sessiond.log_level import Levels, LogLevel, Threshold
from stui_sessiond.printable import printable, printable_lines

LogFormat = Literal["console", "json"]


class LogTally:
    """How much was logged since the start."""

    __slots__ = ("lines", "lost")

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter(dict.fromkeys(get_args(LogLevel), 0))
        self.lost = 0
        """Lines that could not be written: the disk is full, or nobody reads the pipe any more."""


class Sink:
    """Where lines go. A line that cannot be written is counted, and harms nobody."""

    def __init__(self) -> None:
        self.tally = LogTally()
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._out: TextIO = sys.stderr
        self._journal = False

    @property
    def kept(self) -> bool:
        """Whether lines are kept where others may read them: secrets do not belong there."""
        return self._journal or self._path is not None

    def open(self, path: Path | None, *, journal: bool = False) -> None:
        """Write to a file, at its end; None: to standard error, which `journal` reads or not.

        Raises:
            ConfigError: it cannot be written.
        """
        self._path = path
        self._journal = journal and path is None
        try:
            self.reopen()
        except OSError as error:
            msg = f"server.log_file: {path} cannot be written: {error.strerror or error}"
            raise ConfigError(msg) from None

    def reopen(self) -> None:
        """Open the file again: somebody may have moved the one before away.

        Raises:
            OSError: it cannot be written; lines go on to the one before.
        """
        if self._path is None:
            out: TextIO = sys.stderr
        else:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            out = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
        with self._lock:
            before, self._out = self._out, out
            if before is not out and before is not sys.stderr:
                before.close()

    def write(self, level: str, line: str) -> None:
        """Write a line."""
        with self._lock:
            self.tally.lines[level] += 1
            try:
                self._out.write(f"{with_priority(level, line) if self._journal else line}\n")
                self._out.flush()
            except (OSError, ValueError):
                self.tally.lost += 1


class NamedLogger:
    """What is below structlog's loggers: a name, the level it has at present, and where lines go."""

    __slots__ = ("_sink", "threshold")

    def __init__(self, sink: Sink, threshold: Threshold) -> None:
        self._sink = sink
        self.threshold = threshold

    def debug(self, line: str) -> None:
        """Write a line of this level."""
        self._sink.write("debug", line)

    def info(self, line: str) -> None:
        """Write a line of this level."""
        self._sink.write("info", line)

    def warning(self, line: str) -> None:
        """Write a line of this level."""
        self._sink.write("warning", line)

    def error(self, line: str) -> None:
        """Write a line of this level."""
        self._sink.write("error", line)

    critical = error


class LevelledLogger(structlog.BoundLoggerBase):
    """A logger whose level may change while it is in use: below it nothing is done at all."""

    def debug(self, event: str, **fields: Any) -> None:  # noqa: ANN401 -- whatever can be printed
        """Log for whoever looks for a fault."""
        if self._logger.threshold.number <= logging.DEBUG:
            self._proxy_to_logger("debug", event, **fields)

    def info(self, event: str, **fields: Any) -> None:  # noqa: ANN401 -- whatever can be printed
        """Log what is as it should be."""
        if self._logger.threshold.number <= logging.INFO:
            self._proxy_to_logger("info", event, **fields)

    def warning(self, event: str, **fields: Any) -> None:  # noqa: ANN401 -- whatever can be printed
        """Log what somebody may want to look at."""
        if self._logger.threshold.number <= logging.WARNING:
            self._proxy_to_logger("warning", event, **fields)

    def error(self, event: str, **fields: Any) -> None:  # noqa: ANN401 -- whatever can be printed
        """Log what somebody has to look at."""
        self._proxy_to_logger("error", event, **fields)

    def critical(self, event: str, **fields: Any) -> None:  # noqa: ANN401 -- whatever can be printed
        """Log what ends the daemon."""
        self._proxy_to_logger("critical", event, **fields)

    def exception(self, event: str, **fields: Any) -> None:  # noqa: ANN401 -- whatever can be printed
        """Log an error with the exception that is being handled."""
        self._proxy_to_logger("error", event, **{"exc_info": True, **fields})


LEVELS = Levels()
"""Those of this process."""

SINK = Sink()
"""That of this process."""


def set_up_logs(log_format: LogFormat, level: LogLevel, file: Path | None = None) -> None:
    """Set up structlog, and let the libraries' own logs pass only from warnings up.

    Raises:
        ConfigError: the file cannot be written.
    """
    LEVELS.set(None, level)
    SINK.open(file, journal=is_journal(os.environ))
    renderer: Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        colors = file is None and sys.stderr.isatty()
        renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_indented_traceback)
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors.append(_DICT_TRACEBACKS)
    else:
        processors.append(_escape)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=LevelledLogger,
        logger_factory=_make_logger,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)


def _make_logger(name: str = "stui_sessiond") -> NamedLogger:
    return NamedLogger(SINK, LEVELS.threshold_of(name))


class _LibraryHandler(logging.Handler):
    """Passes on what libraries log, in the form of our own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        tell("library.said", library=record.name, text=record.getMessage(), exc_info=record.exc_info)


_DICT_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # they hold payloads and tokens
)


def _add_request(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Say during which request of whom it happened; what the line says itself goes before."""
    found = asking.fields()
    return {**found, **fields} if found else fields


def _escape(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    return {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}


def _indented_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    text = "".join(traceback.format_exception(*exc_info)).rstrip()
    out.write(f"    {printable_lines(text)}")
