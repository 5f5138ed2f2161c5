"""Data folders for tests: made without a daemon, on a disk that fails where it is told to."""

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from msgspec.structs import replace

from stui_sessiond.ids import ClientId, SessionId, ToolId
from stui_sessiond.model.session import History, NamedSnapshot, Session, SessionHeader, StoredContext
from stui_sessiond.sessions.history import HistoryRules, advance
from stui_sessiond.storage.change_record import encode_change
from stui_sessiond.storage.fs import AppendFile, FileSystem, LocalFileSystem
from stui_sessiond.storage.records import ChangeRecord
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.tools.view import open_view
from stui_sessiond.storage.translation import entry_record, header_record, to_record

P = ParamSpec("P")
T = TypeVar("T")

NOW = 1_763_700_000.0
Content = dict[str, Session]


class FailingDisk(LocalFileSystem):
    """The real disk, until call `at`: that one fails, and with `dead` every later one, as if the process had ended."""

    def __init__(self, at: int = 0, *, dead: bool = False, number: int = errno.EIO) -> None:
        super().__init__()
        self.calls = 0
        self.at, self.dead, self.number = at, dead, number

    def tick(self) -> None:
        """Count a call, and fail if it is its turn."""
        self.calls += 1
        if self.calls == self.at or (self.dead and 0 < self.at < self.calls):
            raise OSError(self.number, os.strerror(self.number))

    def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.tick()
        return work(*args, **kwargs)

    def make_folder(self, path: Path) -> bool:
        return self._do(super().make_folder, path)

    def names(self, folder: Path) -> list[str]:
        return self._do(super().names, folder)

    def read(self, path: Path) -> bytes | None:
        return self._do(super().read, path)

    def write_new(self, path: Path, data: bytes) -> None:
        self._do(super().write_new, path, data)

    def append_new(self, path: Path) -> AppendFile:
        return _FailingFile(self, self._do(super().append_new, path))

    def cut(self, path: Path, size: int) -> None:
        self._do(super().cut, path, size)

    def rename(self, old: Path, new: Path) -> bool:
        return self._do(super().rename, old, new)

    def link(self, old: Path, new: Path) -> bool:
        return self._do(super().link, old, new)

    def remove(self, path: Path) -> bool:
        return self._do(super().remove, path)

    def remove_tree(self, path: Path) -> None:
        self._do(super().remove_tree, path)

    def sync_folder(self, path: Path) -> None:
        self._do(super().sync_folder, path)

    def lock(self, path: Path) -> bool:
        return self._do(super().lock, path)


class _FailingFile:
    def __init__(self, disk: FailingDisk, file: AppendFile) -> None:
        self._disk, self._file = disk, file

    def write(self, data: bytes | memoryview) -> int:
        self._disk.tick()
        return self._file.write(data)

    def sync(self) -> None:
        self._disk.tick()
        self._file.sync()

    def truncate(self, size: int) -> None:
        self._disk.tick()
        self._file.truncate(size)

    def close(self) -> None:
        self._file.close()


def new_session(number: int, client: str = "alice", **state: Any) -> Session:  # noqa: ANN401 -- any JSON
    """A session as `create_session` makes it."""
    header = SessionHeader(
        session_id=SessionId(f"session_{number}_1763600000_{'abcdefgh'[number % 8] * 24}"),
        client_id=ClientId(client),
        created_at=NOW,
        last_modified=NOW,
        last_activity=NOW,
        timeout_s=3600.0,
        version=1,
        name=f"number {number}",
    )
    context = StoredContext({"workspace_context": {"text": "Grüße 🐿"}}, "sha256:0", NOW, 40)
    session = Session(header=header, state=state, contexts={ToolId("default"): context})
    return replace(session, history=History(session.document(), 1))


def put(store: Store, session: Session) -> Session:
    """Make a new session durable."""
    header = session.header
    record = ChangeRecord(header.session_id, 0, header_record(header), full=to_record(session))
    store.note_change(session, store.writer.append([encode_change(record)]), 100)
    return session


def change(store: Store, session: Session, **state: Any) -> Session:  # noqa: ANN401 -- any JSON
    """Make a new version of it durable."""
    base = session.header.version
    made, entry = advance(session, replace(session, state=state), NOW + base, "alice", "state", HistoryRules())
    record = ChangeRecord(made.header.session_id, base, header_record(made.header), entry_record(entry))
    store.note_change(made, store.writer.append([encode_change(record)]), 100)
    return made


def name_version(store: Store, session: Session, name: str) -> Session:
    """Give the present version a name."""
    kept = NamedSnapshot(session.header.version, NOW, session.document(), 10)
    return put(store, replace(session, snapshots={**session.snapshots, name: kept}))


def opened(root: Path) -> Store:
    """An open store on the real disk."""
    store = Store(root, LocalFileSystem())
    store.open()
    return store


def let_go(store: Store) -> None:
    """End it as kill -9 does."""
    store.writer.close()
    store.fs.unlock()


def content(root: Path, fs: FileSystem | None = None) -> Content:
    """All sessions of a store, which stays as it is."""
    store = open_view(root, fs or LocalFileSystem()).store
    found = {str(name): store.load(name) for name in list(store.places)}
    return {name: session for name, session in found.items() if session is not None}


def bytes_of(root: Path) -> dict[str, str]:
    """Every file and folder, with a hash of what is in it and the times that a change would change."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path.relative_to(root))] = f"{digest} {path.stat().st_mtime_ns}"
    return found


def flip(path: Path, offset: int = -20) -> None:
    """Damage one byte of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x01
    path.write_bytes(data)


def file_of(root: Path, session: Session, suffix: str = ".json") -> Path:
    """The file of a session."""
    return next(iter((root / "sessions").glob(f"*/{session.header.session_id}{suffix}")))


def same(one: Content, other: Content, but: Sequence[str] = ()) -> bool:
    """Whether two stores hold the same sessions."""
    return {k: v for k, v in one.items() if k not in but} == {k: v for k, v in other.items() if k not in but}
