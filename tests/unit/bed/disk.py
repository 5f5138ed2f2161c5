"""File systems for tests: one that notes what is done, and fails where it is told to."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from stui_sessiond.storage.fs import LocalFileSystem

T = TypeVar("T")


class TestDisk:
    """The real disk, with every call noted; `fail_at` breaks the call of that number, counted from 1."""

    __test__ = False

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fail_at: int | None = None
        self.fail_all = False
        self.error_number = 0
        self._real = LocalFileSystem()

    def fail(self, error_number: int, *, at: int | None = None) -> None:
        """Break the call `at` from now, or all calls; the notes start anew."""
        self.calls.clear()
        self.error_number = error_number
        self.fail_at = at
        self.fail_all = at is None

    def heal(self) -> None:
        """Break nothing any more."""
        self.calls.clear()
        self.fail_at, self.fail_all = None, False

    def _do(self, name: str, path: Path, work: Callable[[], T]) -> T:
        self.calls.append((name, path.name))
        if self.fail_all or len(self.calls) == self.fail_at:
            raise OSError(self.error_number, os.strerror(self.error_number), str(path))
        return work()

    def make_folder(self, path: Path) -> bool:
        """Make a folder."""
        return self._do("make_folder", path, lambda: self._real.make_folder(path))

    def names(self, folder: Path) -> list[str]:
        """List a folder."""
        return self._do("names", folder, lambda: self._real.names(folder))

    def read(self, path: Path) -> bytes | None:
        """Read a file."""
        return self._do("read", path, lambda: self._real.read(path))

    def write_new(self, path: Path, data: bytes) -> None:
        """Create a file."""
        self._do("write_new", path, lambda: self._real.write_new(path, data))

    def rename(self, old: Path, new: Path) -> bool:
        """Give a file another name; the note has the new one."""
        return self._do("rename", new, lambda: self._real.rename(old, new))

    def remove(self, path: Path) -> bool:
        """Delete a file."""
        return self._do("remove", path, lambda: self._real.remove(path))

    def sync_folder(self, path: Path) -> None:
        """Make names durable."""
        self._do("sync_folder", path, lambda: self._real.sync_folder(path))

    def lock(self, path: Path) -> bool:
        """Take the lock."""
        return self._do("lock", path, lambda: self._real.lock(path))

    def unlock(self) -> None:
        """Let go."""
        self._real.unlock()
