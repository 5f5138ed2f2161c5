"""A file system in memory that remembers what was synced, so that a power loss can be played at any moment.

What is written reaches the disk for sure only with a sync: of the file for its content, of the folder for its names.
A rename between folders is atomic in that the file keeps at least one of its names. Every step calls `after_step`,
and asks `fault` first, which may raise, or shorten a write.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypeAlias

SECTOR = 512

MAX_PENDING_NAMES = 8
"""A file system does not hold back names for ever: of more than so many in a folder the oldest are on the disk."""

Contents: TypeAlias = dict[str, bytes | None]
"""All that is on a disk: files with their content, folders with None."""


class File:
    """The content of a file: what is synced, and what came since."""

    def __init__(self, content: bytes = b"") -> None:
        self.synced = content
        self.now = content
        self.written: list[tuple[int, bytes]] = []
        """Pieces of at most a sector since the last sync."""
        self.uncut: list[bytes] = []
        """What it was before a truncation that is not synced."""
        self.unsafe = False
        """A sync failed: what was written before it stays unsynced whatever later syncs say."""

    def write(self, data: bytes) -> None:
        offset, self.now = len(self.now), self.now + data
        while data:
            size = SECTOR - offset % SECTOR
            self.written.append((offset, data[:size]))
            offset, data = offset + size, data[size:]

    def truncate(self, size: int) -> None:
        self.uncut.append(self.now)
        self.now = self.now[:size]
        self.synced = self.synced[:size]
        self.written = [(offset, data[: size - offset]) for offset, data in self.written if offset < size]

    def sync(self) -> None:
        if not self.unsafe:
            self.synced, self.written, self.uncut = self.now, [], []


class Folder:
    """The names in a folder: what is synced, and what came since."""

    def __init__(self) -> None:
        self.synced: dict[str, Node] = {}
        self.now: dict[str, Node] = {}
        self.changed: list[Change] = []

    def note(self, change: "Change") -> None:
        self.now = change.applied(self.now)
        self.changed.append(change)
        while len(self.changed) > MAX_PENDING_NAMES:
            self.persist(self.changed[0])

    def persist(self, change: "Change") -> None:
        """Have a change, and all before it, on the disk."""
        while change in self.changed:
            first = self.changed.pop(0)
            if first.needs is not None:
                first.needs.folder.persist(first.needs)
            self.synced = first.applied(self.synced)

    def sync(self) -> None:
        if self.changed:
            self.persist(self.changed[-1])


class Change:
    """Names put into, and taken out of, one folder at once."""

    def __init__(
        self,
        folder: Folder,
        put: "tuple[str, Node] | None" = None,
        drop: str | None = None,
        needs: "Change | None" = None,
    ) -> None:
        self.folder = folder
        self.put = put
        self.drop = drop
        self.needs = needs
        """Never persisted without this one."""

    def applied(self, names: "dict[str, Node]") -> "dict[str, Node]":
        changed = dict(names)
        if self.drop is not None:
            changed.pop(self.drop, None)
        if self.put is not None:
            changed[self.put[0]] = self.put[1]
        return changed


Node: TypeAlias = File | Folder


def chance(seed: int) -> Random:
    """Make chance that is the same in every run."""
    return Random(seed)  # noqa: S311 -- nothing secret


def no_fault(kind: str, path: Path, size: int) -> int:  # noqa: ARG001 -- the shape of a fault
    """Let everything through."""
    return size


class SimulatedFileSystem:
    """The `FileSystem` over that."""

    def __init__(self, contents: Contents | None = None) -> None:
        self.root = Folder()
        self.after_step: Callable[[str], None] = lambda _kind: None
        self.fault: Callable[[str, Path, int], int] = no_fault
        """Asked before each step with its kind, its path and the size of a write; gives the size to write."""
        self.steps = 0
        self.locked = False
        for name, content in sorted((contents or {}).items()):
            folder, base = self._parent(Path(name))
            folder.now[base] = folder.synced[base] = Folder() if content is None else File(content)

    # ---- for tests

    def contents(self) -> Contents:
        """All that a process sees."""
        found: Contents = {}
        _gather("", self.root, found)
        return found

    # ---- the operations

    def make_folder(self, path: Path) -> bool:
        self._before("make_folder", path)
        parent, name = self._parent(path)
        if name in parent.now:
            return False
        parent.note(Change(parent, put=(name, Folder())))
        self._done("make_folder")
        return True

    def names(self, folder: Path) -> list[str]:
        self._before("names", folder)
        node = self._find(folder)
        return sorted(node.now) if isinstance(node, Folder) else []

    def read(self, path: Path) -> bytes | None:
        self._before("read", path)
        node = self._find(path)
        return node.now if isinstance(node, File) else None

    def write_new(self, path: Path, data: bytes) -> None:
        file = self.append_new(path)
        try:
            left = data
            while left:
                left = left[file.write(left) :]
            file.sync()
        except OSError:
            parent, name = self._parent(path)
            parent.note(Change(parent, drop=name))
            raise

    def append_new(self, path: Path) -> "SimulatedAppendFile":
        self._before("create", path)
        parent, name = self._parent(path)
        if name in parent.now:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        file = File()
        parent.note(Change(parent, put=(name, file)))
        self._done("create")
        return SimulatedAppendFile(self, path, file)

    def cut(self, path: Path, size: int) -> None:
        self._before("truncate", path)
        file = self._file(path)
        file.truncate(size)
        self._done("truncate")
        self.sync_file(path, file)

    def reserve(self, path: Path, size: int) -> None:
        self._before("reserve", path, size)
        parent, name = self._parent(path)
        if name not in parent.now:
            parent.note(Change(parent, put=(name, File())))
        self._done("reserve")

    def rename(self, old: Path, new: Path) -> bool:
        self._before("rename", new)
        source, old_name = self._parent(old)
        target, new_name = self._parent(new)
        node = source.now.get(old_name)
        if node is None:
            return False
        if source is target:
            source.note(Change(source, put=(new_name, node), drop=old_name))
        else:
            arrival = Change(target, put=(new_name, node))
            target.note(arrival)
            source.note(Change(source, drop=old_name, needs=arrival))
        self._done("rename")
        return True

    def link(self, old: Path, new: Path) -> bool:
        self._before("link", new)
        node = self._find(old)
        target, name = self._parent(new)
        if node is None or name in target.now:
            return False
        target.note(Change(target, put=(name, node)))
        self._done("link")
        return True

    def remove(self, path: Path) -> bool:
        self._before("remove", path)
        parent, name = self._parent(path)
        if name not in parent.now:
            return False
        parent.note(Change(parent, drop=name))
        self._done("remove")
        return True

    def remove_tree(self, path: Path) -> None:
        node = self._find(path)
        if isinstance(node, Folder):
            for name in sorted(node.now):
                if isinstance(node.now[name], Folder):
                    self.remove_tree(path / name)
                else:
                    self.remove(path / name)
        self.remove(path)

    def sync_folder(self, path: Path) -> None:
        self._before("sync_folder", path)
        node = self._find(path)
        if not isinstance(node, Folder):
            raise _missing(path)
        node.sync()
        self._done("sync_folder")

    def lock(self, path: Path) -> bool:
        self._before("lock", path)
        if self.locked:
            return False
        self.locked = True
        return True

    def unlock(self) -> None:
        self.locked = False

    # ---- steps

    def write_file(self, path: Path, file: File, data: bytes) -> int:
        taken = self._before("write", path, len(data))
        file.write(data[:taken])
        self._done("write")
        return taken

    def truncate_file(self, path: Path, file: File, size: int) -> None:
        self._before("truncate", path)
        file.truncate(size)
        self._done("truncate")

    def sync_file(self, path: Path, file: File) -> None:
        try:
            self._before("sync", path)
        except OSError:
            file.unsafe = True
            raise
        file.sync()
        self._done("sync")

    def _before(self, kind: str, path: Path, size: int = 0) -> int:
        return self.fault(kind, path, size)

    def _done(self, kind: str) -> None:
        self.steps += 1
        self.after_step(kind)

    def _find(self, path: Path) -> Node | None:
        node: Node | None = self.root
        for part in path.parts[1:]:
            node = node.now.get(part) if isinstance(node, Folder) else None
        return node

    def _file(self, path: Path) -> File:
        node = self._find(path)
        if not isinstance(node, File):
            raise _missing(path)
        return node

    def _parent(self, path: Path) -> tuple[Folder, str]:
        node = self._find(path.parent)
        if not isinstance(node, Folder):
            raise _missing(path)
        return node, path.name


class SimulatedAppendFile:
    """The `AppendFile` over that."""

    def __init__(self, fs: SimulatedFileSystem, path: Path, file: File) -> None:
        self._fs = fs
        self._path = path
        self._file = file

    def write(self, data: bytes | memoryview) -> int:
        return self._fs.write_file(self._path, self._file, bytes(data))

    def sync(self) -> None:
        self._fs.sync_file(self._path, self._file)

    def truncate(self, size: int) -> None:
        self._fs.truncate_file(self._path, self._file, size)

    def close(self) -> None:
        pass


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _gather(path: str, folder: Folder, found: Contents) -> None:
    for name, node in folder.now.items():
        found[f"{path}/{name}"] = None if isinstance(node, Folder) else node.now
        if isinstance(node, Folder):
            _gather(f"{path}/{name}", node, found)
