"""The seam between the storage and the disk: every file operation goes through it, so that tests can replace it.

Nothing here decides anything; what has to be synced, and when, is the caller's to say.
"""

import fcntl
import os
import sys
from pathlib import Path
from typing import Protocol


class FileSystem(Protocol):
    """The operations a file storage needs. All of them may raise OSError."""

    def make_folder(self, path: Path) -> bool:
        """Make a folder (mode 0700) unless it is there; tell whether it was made."""

    def names(self, folder: Path) -> list[str]:
        """List a folder, sorted; empty when there is none."""

    def read(self, path: Path) -> bytes | None:
        """Read a file whole; None when there is none."""

    def write_new(self, path: Path, data: bytes) -> None:
        """Create a file (mode 0600) with this content and sync it. A half-written one is removed again."""

    def rename(self, old: Path, new: Path) -> bool:
        """Give a file another name, in place of what has it; False when there is no such file."""

    def remove(self, path: Path) -> bool:
        """Delete a file; False when there is none."""

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""

    def lock(self, path: Path) -> bool:
        """Take a lock that ends with the process; False when another process has it."""

    def unlock(self) -> None:
        """Let go of the lock."""


class LocalFileSystem:
    """The disk of this machine."""

    def __init__(self) -> None:
        self._lock: int | None = None

    def make_folder(self, path: Path) -> bool:
        """Make a folder."""
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            return False
        return True

    def names(self, folder: Path) -> list[str]:
        """List a folder."""
        try:
            return sorted(entry.name for entry in os.scandir(folder))
        except FileNotFoundError:
            return []

    def read(self, path: Path) -> bytes | None:
        """Read a file."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def write_new(self, path: Path, data: bytes) -> None:
        """Create a file."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(descriptor, left) :]
                _sync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def rename(self, old: Path, new: Path) -> bool:
        """Give a file another name."""
        try:
            old.replace(new)
        except FileNotFoundError:
            return False
        return True

    def remove(self, path: Path) -> bool:
        """Delete a file."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def sync_folder(self, path: Path) -> None:
        """Make names durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> bool:
        """Take the lock."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def unlock(self) -> None:
        """Let go."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)
