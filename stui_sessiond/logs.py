"""How does the daemon log? structlog to standard error: for people (console) or for machines (json).

Events are stable `noun.verb` words with ids as fields; never payloads, never secrets. Text from outside cannot forge
lines or steer a terminal: what is not printable is escaped, and the lines of a traceback are indented.
"""

import logging
import traceback
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger

from stui_sessiond.printable import printable, printable_lines
from stui_sessiond.sink import Sink

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


def set_up_logs(log_format: LogFormat, level: LogLevel, sink: Sink | None = None) -> None:
    """Set up structlog, and let the libraries' own logs pass only from warnings up."""
    sink = sink or Sink()
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sink.colors, exception_formatter=_indented_traceback)
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors.append(structlog.processors.dict_tracebacks)
    else:
        processors.append(_escape)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=sink.logger,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sink, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


def _escape(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    return {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}


def _indented_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    text = "".join(traceback.format_exception(*exc_info)).rstrip()
    out.write(f"    {printable_lines(text)}")
