"""How is a data folder read without changing it? By recovering it in memory, with the very code that does it for real.

`open_view` opens a `Store` on a file system that takes all writes to itself: whatever a start of the daemon would make
of the folder, the view shows, and not a byte or name on the disk changes. It takes no lock: beside a running daemon it
shows each session as of some moment while it looked.
"""

import errno
from pathlib import Path

import msgspec

from stui_sessiond.errors import StorageError
from stui_sessiond.security.sealing import CLEAR, Label, Sealer, SealError
from stui_sessiond.storage.fs import AppendFile, FileSystem
from stui_sessiond.storage.layout import SEGMENT_SUFFIX, Layout, unseal_json
from stui_sessiond.storage.recovery import Segment, Verdict, recover
from stui_sessiond.storage.sealed import open_text
from stui_sessiond.storage.store import Store

LOOKS = 5
"""How often a folder is read again when segments go away meanwhile, or when something in it looks damaged."""


class View(msgspec.Struct, frozen=True):
    """A store as it would be after a start."""

    store: Store
    verdict: Verdict
    """What the journal on the disk tells."""
    journal_bytes: int
    recorded: dict[str, str]
    """Sessions that `damaged.json` already names."""

    @property
    def last_lsn(self) -> int:
        """The last LSN in use."""
        return self.verdict.next_lsn - 1


class ViewFileSystem:
    """Reads a file system and keeps every change to itself. A `FileSystem`."""

    def __init__(self, fs: FileSystem) -> None:
        self._fs = fs
        self._files: dict[Path, bytes | None] = {}
        """What differs from the disk; None is a file or folder that is gone."""
        self._folders: set[Path] = set()

    def hold(self, path: Path, data: bytes) -> None:
        """Show a file with this content, whatever becomes of it on the disk."""
        self._files[path] = data

    def make_folder(self, path: Path) -> bool:
        """Note a folder."""
        if path in self._folders or self._fs.names(path) or path.name in self.names(path.parent):
            return False
        self._folders.add(path)
        return True

    def names(self, folder: Path) -> list[str]:
        """List what is on the disk and not gone here, and what is only here."""
        found = {name for name in self._fs.names(folder) if self._files.get(folder / name, b"") is not None}
        found |= {path.name for path, data in self._files.items() if path.parent == folder and data is not None}
        found |= {path.name for path in self._folders if path.parent == folder}
        return sorted(found)

    def read(self, path: Path) -> bytes | None:
        """Read what is here, or on the disk."""
        return self._files[path] if path in self._files else self._fs.read(path)

    def write_new(self, path: Path, data: bytes) -> None:
        """Note a file."""
        self._files[path] = data

    def append_new(self, path: Path) -> AppendFile:
        """Note a file to append to."""
        return _ViewAppendFile(self, path)

    def cut(self, path: Path, size: int) -> None:
        """Note a shorter file."""
        self._files[path] = (self.read(path) or b"")[:size]

    def reserve(self, path: Path, size: int) -> None:
        """Take up no room."""

    def rename(self, old: Path, new: Path) -> bool:
        """Note another name."""
        try:
            data = self.read(old)
        except IsADirectoryError:
            self._files[old] = None
            self._folders.add(new)
            return True
        if data is None:
            return False
        self._files[old] = None
        self._files[new] = data
        return True

    def link(self, old: Path, new: Path) -> bool:
        """Note a second name."""
        data = self.read(old)
        self._files[new] = data
        return data is not None

    def remove(self, path: Path) -> bool:
        """Note that a file is gone."""
        there = self.read(path) is not None
        self._files[path] = None
        return there

    def remove_tree(self, path: Path) -> None:
        """Note that a folder is gone."""
        self._files[path] = None

    def sync_folder(self, path: Path) -> None:
        """Do nothing: nothing here is to last."""

    def lock(self, path: Path) -> bool:  # noqa: ARG002 -- part of the Protocol
        """Take no lock: nothing is changed."""
        return True

    def unlock(self) -> None:
        """Do nothing."""


class _ViewAppendFile:
    def __init__(self, fs: ViewFileSystem, path: Path) -> None:
        self._fs = fs
        self._path = path
        fs.hold(path, b"")

    def write(self, data: bytes | memoryview) -> int:
        self._fs.hold(self._path, (self._fs.read(self._path) or b"") + bytes(data))
        return len(data)

    def sync(self) -> None:
        pass

    def truncate(self, size: int) -> None:
        self._fs.cut(self._path, size)

    def close(self) -> None:
        pass


def open_view(root: Path, fs: FileSystem, sealer: Sealer = CLEAR) -> View:
    """Read a data folder, which stays as it is.

    Raises:
        KeyMissingError: it is sealed with another key.
        StorageError: there is no store, or none that this version can read.
        OSError: it cannot be read now.
    """
    require_store(root, fs)
    view, signature = _look(root, fs, sealer)
    for _ in range(LOOKS):
        if not signature:
            break
        again, before = _look(root, fs, sealer), signature
        view, signature = again
        if signature == before:  # it is the folder, not something that a daemon was just doing
            break
    return view


def require_store(root: Path, fs: FileSystem) -> None:
    """Make sure that there is a store, so that nothing makes an empty one by mistake.

    Raises:
        StorageError: there is none.
        OSError: it cannot be told.
    """
    try:
        data = fs.read(Layout(root).identity)
    except NotADirectoryError:
        data = None
    if data is None:
        msg = f"there is no store in {root}; name its folder with --data-dir or STUI_SESSIOND_DATA_DIR"
        raise StorageError(msg)


def _look(root: Path, fs: FileSystem, sealer: Sealer) -> tuple[View, frozenset[str]]:
    """Read once; also give what looks wrong, to be compared with a second look."""
    layout = Layout(root)
    segments = _segments(layout, fs)  # first: files that are read later are never behind the journal
    shown = ViewFileSystem(fs)
    for segment in segments:
        shown.hold(layout.journal / segment.name, segment.data)
    for name in fs.names(layout.journal):
        if name not in {segment.name for segment in segments}:
            shown.remove(layout.journal / name)
    store = Store(root, shown, sealer=sealer)
    store.open()
    recorded = read_damaged(fs.read(layout.damaged), store) or {}
    floor = max((place.last_lsn for place in store.places.values()), default=0) + 1
    verdict = recover(segments, bytes.fromhex(store.store_id), floor)
    wrong = {f"damaged {name}" for name in store.damaged.keys() - recorded.keys()}
    wrong |= {f"healed {name}" for name in store.healed}
    wrong |= {f"journal {damage.name} {damage.first_lsn}" for damage in verdict.damage}
    size = sum(len(segment.data) for segment in segments)
    return View(store, verdict, size, recorded), frozenset(wrong)


def read_damaged(data: bytes | None, store: Store) -> dict[str, str] | None:
    """Read a store's `damaged.json`, which need not be there; None when it is damaged itself."""
    if data is None:
        return {}
    text = unseal_json(data)
    try:
        listed = None if text is None else open_text(store.sealer, Label(store.store_id, "damaged"), text)
    except SealError:
        listed = None
    return None if listed is None else msgspec.json.decode(listed, type=dict[str, str])


def _segments(layout: Layout, fs: FileSystem) -> list[Segment]:
    for _ in range(LOOKS):
        names = [name for name in fs.names(layout.journal) if name.endswith(SEGMENT_SUFFIX)]
        found = [(name, fs.read(layout.journal / name)) for name in names]
        if all(data is not None for _, data in found):
            return [Segment(name, data) for name, data in found if data is not None]
    raise OSError(errno.EBUSY, "the journal changes faster than it can be read", str(layout.journal))
