"""The seam between the storage and the disk: every file operation goes through it, so that tests can replace it.

Nothing here decides anything; what has to be synced, and when, is the caller's to say.
"""

import fcntl
import os
import sys
from pathlib import Path
from typing import Protocol


class AppendFile(Protocol):
    """A file that only grows, or is cut. All operations may raise OSError."""

    def write(self, data: bytes | memoryview) -> int:
        """Write at the end; tell how much was taken, which may be less."""

    def sync(self) -> None:
        """Make the content durable. After a failure nothing about the file can be trusted."""

    def truncate(self, size: int) -> None:
        """Cut to this size."""

    def close(self) -> None:
        """Let go of it, without a sync."""


class FileSystem(Protocol):
    """The operations a file storage needs. All of them may raise OSError."""

    def make_folder(self, path: Path) -> bool:
        """Make a folder (mode 0700) unless it is there; tell whether it was made."""

    def names(self, folder: Path) -> list[str]:
        """List a folder, sorted; empty when there is none, or something else has the name."""

    def read(self, path: Path) -> bytes | None:
        """Read a file whole; None when there is none."""

    def write_new(self, path: Path, data: bytes) -> None:
        """Create a file (mode 0600) with this content and sync it. A half-written one is removed again."""

    def append_new(self, path: Path) -> AppendFile:
        """Create a file (mode 0600) to append to."""

    def cut(self, path: Path, size: int) -> None:
        """Truncate a file and sync it."""

    def reserve(self, path: Path, size: int) -> None:
        """Create a file that takes up so much room, or leave none behind."""

    def rename(self, old: Path, new: Path) -> bool:
        """Give a file or folder another name, in place of what has it; False when there is no such file."""

    def link(self, old: Path, new: Path) -> bool:
        """Give a file a second name; False when that cannot be done here."""

    def remove(self, path: Path) -> bool:
        """Delete a file; False when there is none."""

    def remove_tree(self, path: Path) -> None:
        """Delete a folder and everything in it."""

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""

    def lock(self, path: Path) -> bool:
        """Take a lock that ends with the process; False when another process has it."""

    def unlock(self) -> None:
        """Let go of the lock."""


class LocalAppendFile:
    """A file of this machine."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)

    def write(self, data: bytes | memoryview) -> int:
        """Write at the end."""
        return os.write(self._descriptor, data)

    def sync(self) -> None:
        """Make the content durable."""
        if sys.platform == "darwin":
            fcntl.fcntl(self._descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        """Cut to this size."""
        os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


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
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, path: Path) -> bytes | None:
        """Read a file."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def write_new(self, path: Path, data: bytes) -> None:
        """Create a file."""
        file = LocalAppendFile(path)
        try:
            try:
                left = memoryview(data)
                while left:
                    left = left[file.write(left) :]
                file.sync()
            finally:
                file.close()
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def append_new(self, path: Path) -> AppendFile:
        """Create a file to append to."""
        return LocalAppendFile(path)

    def cut(self, path: Path, size: int) -> None:
        """Truncate a file."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def reserve(self, path: Path, size: int) -> None:
        """Take up room."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, size)
            else:
                os.write(descriptor, bytes(size))
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> bool:
        """Give a file another name."""
        try:
            old.replace(new)
        except FileNotFoundError:
            return False
        return True

    def link(self, old: Path, new: Path) -> bool:
        """Give a file a second name."""
        try:
            new.hardlink_to(old)
        except OSError:  # another file system, too many links, not supported: the caller copies
            return False
        return True

    def remove(self, path: Path) -> bool:
        """Delete a file."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def remove_tree(self, path: Path) -> None:
        """Delete a folder."""
        for entry in list(os.scandir(path)):
            if entry.is_dir(follow_symlinks=False):
                self.remove_tree(Path(entry.path))
            else:
                Path(entry.path).unlink()
        path.rmdir()

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
