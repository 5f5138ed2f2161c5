"""Where do lines of the log go? To standard error, with a priority for the journal where that reads it, or to a file.

A file is opened again when asked, as log rotation wants it. What cannot be written is dropped: a full disk must not end
the daemon by way of its log.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from stui_sessiond.errors import ConfigError

PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""What syslog(3) calls the levels; sd-daemon(3) has them read from `<N>` at the beginning of a line."""


class Sink:
    """One place for the lines of the log.

    Raises:
        ConfigError: the file cannot be opened.
    """

    def __init__(self, file: Path | None = None, *, journal: bool = False) -> None:
        self._path = file
        self._journal = journal and file is None
        self._stream = sys.stderr if file is None else _open(file)

    @classmethod
    def chosen(cls, file: str | None, environment: Mapping[str, str]) -> "Sink":
        """Choose by the settings, and by whether the journal reads our standard error.

        Raises:
            ConfigError: the file cannot be opened.
        """
        return cls(None if file is None else Path(file).absolute(), journal=_is_journal(environment))

    @property
    def kept(self) -> bool:
        """Whether what is written is kept, where others may read it: secrets do not belong there."""
        return self._journal or self._path is not None

    @property
    def colors(self) -> bool:
        """Whether a person sees it."""
        return self._stream.isatty()

    def line(self, text: str, level: str) -> None:
        """Write a line, or several of one entry."""
        if self._journal:
            mark = f"<{PRIORITIES.get(level, 6)}>"
            text = "\n".join(mark + line for line in text.split("\n"))
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()

    def write(self, text: str) -> None:
        """Take what Python's own logging writes: warnings of libraries."""
        if text.rstrip("\n"):
            self.line(text.rstrip("\n"), "warning")

    def flush(self) -> None:
        """Nothing waits."""

    def reopen(self) -> bool:
        """Open the file anew: the one with this name may be another by now. If it cannot be, the old one stays."""
        if self._path is None:
            return False
        try:
            fresh = _open(self._path)
        except ConfigError as error:
            self.line(f"log.not_reopened {error}", "error")
            return False
        old, self._stream = self._stream, fresh
        old.close()
        return True

    def close(self) -> None:
        """Close the file."""
        if self._path is not None:
            self._stream.close()

    def logger(self, *_: object) -> "LevelLogger":
        """Make what structlog writes to."""
        return LevelLogger(self)


class LevelLogger:
    """Takes a rendered entry by its level, as structlog hands it over."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def debug(self, text: str) -> None:
        """Write."""
        self._sink.line(text, "debug")

    def info(self, text: str) -> None:
        """Write."""
        self._sink.line(text, "info")

    def warning(self, text: str) -> None:
        """Write."""
        self._sink.line(text, "warning")

    def error(self, text: str) -> None:
        """Write."""
        self._sink.line(text, "error")

    def critical(self, text: str) -> None:
        """Write."""
        self._sink.line(text, "critical")

    msg = log = info
    warn = warning
    exception = error
    fatal = critical


def _open(file: Path) -> TextIO:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"server.log_file: cannot write {file}: {error.strerror or error}"
        raise ConfigError(msg) from error
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")


def _is_journal(environment: Mapping[str, str]) -> bool:
    """Compare our standard error with JOURNAL_STREAM (systemd.exec(5)): it may have been redirected since."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))
