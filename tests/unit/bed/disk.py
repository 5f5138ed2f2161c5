"""File systems for tests: one that notes what is done, and fails where it is told to."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from stui_sessiond.storage.fs import AppendFile, LocalFileSystem

T = TypeVar("T")


class TestDisk(LocalFileSystem):
    """The real disk, with every call noted; `fail_at` breaks the call of that number, counted from 1."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.failed: list[str] = []
        """The names of the calls that were broken."""
        self.fail_at: int | None = None
        self.fail_all = False
        self.spare: frozenset[str] = frozenset()
        """Calls that are neither counted nor broken."""
        self.error_number = 0
        self.gate: threading.Event | None = None
        """While it is there and not set, syncs of files that grow wait for it."""
        self._mutex = threading.Lock()

    def fail(self, error_number: int, *, at: int | None = None, spare: frozenset[str] = frozenset()) -> None:
        """Break the call `at` from now, or all calls; the notes start anew."""
        self.calls.clear()
        self.failed.clear()
        self.error_number = error_number
        self.spare = spare
        self.fail_at = at
        self.fail_all = at is None

    def heal(self) -> None:
        """Break nothing any more."""
        self.calls.clear()
        self.fail_at, self.fail_all = None, False

    def note(self, name: str, path: Path, work: Callable[[], T]) -> T:
        """Note a call, and break it or carry it out."""
        with self._mutex:
            if name not in self.spare:
                self.calls.append((name, path.name))
                if self.fail_all or len(self.calls) == self.fail_at:
                    self.failed.append(name)
                    raise OSError(self.error_number, os.strerror(self.error_number), str(path))
        return work()

    def make_folder(self, path: Path) -> bool:
        return self.note("make_folder", path, lambda: super(TestDisk, self).make_folder(path))

    def names(self, folder: Path) -> list[str]:
        return self.note("names", folder, lambda: super(TestDisk, self).names(folder))

    def read(self, path: Path) -> bytes | None:
        return self.note("read", path, lambda: super(TestDisk, self).read(path))

    def write_new(self, path: Path, data: bytes) -> None:
        self.note("write_new", path, lambda: super(TestDisk, self).write_new(path, data))

    def append_new(self, path: Path) -> AppendFile:
        file = self.note("append_new", path, lambda: super(TestDisk, self).append_new(path))
        return _TestFile(self, file, path)

    def cut(self, path: Path, size: int) -> None:
        self.note("cut", path, lambda: super(TestDisk, self).cut(path, size))

    def reserve(self, path: Path, size: int) -> None:
        self.note("reserve", path, lambda: super(TestDisk, self).reserve(path, size // 1024))

    def rename(self, old: Path, new: Path) -> bool:
        return self.note("rename", new, lambda: super(TestDisk, self).rename(old, new))

    def link(self, old: Path, new: Path) -> bool:
        return self.note("link", new, lambda: super(TestDisk, self).link(old, new))

    def remove(self, path: Path) -> bool:
        return self.note("remove", path, lambda: super(TestDisk, self).remove(path))

    def remove_tree(self, path: Path) -> None:
        self.note("remove_tree", path, lambda: super(TestDisk, self).remove_tree(path))

    def sync_folder(self, path: Path) -> None:
        self.note("sync_folder", path, lambda: super(TestDisk, self).sync_folder(path))

    def lock(self, path: Path) -> bool:
        return self.note("lock", path, lambda: super(TestDisk, self).lock(path))


class _TestFile:
    def __init__(self, disk: TestDisk, file: AppendFile, path: Path) -> None:
        self._disk, self._file, self._path = disk, file, path

    def write(self, data: bytes | memoryview) -> int:
        return self._disk.note("write", self._path, lambda: self._file.write(data))

    def sync(self) -> None:
        if self._disk.gate is not None:
            self._disk.gate.wait(20)
        self._disk.note("sync", self._path, self._file.sync)

    def truncate(self, size: int) -> None:
        self._disk.note("truncate", self._path, lambda: self._file.truncate(size))

    def close(self) -> None:
        self._file.close()
