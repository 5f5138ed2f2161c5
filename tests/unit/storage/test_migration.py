"""A data folder of version 0.1.0 (format 1): does all of it come over, whatever happens on the way?"""

import contextlib
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stui_sessiond.errors import StorageError
from stui_sessiond.ids import ClientId, ImageId, SessionId, ToolId
from stui_sessiond.model.session import History, Session, SessionHeader, StoredContext
from stui_sessiond.storage.backups import Backups
from stui_sessiond.storage.fs import LocalFileSystem
from stui_sessiond.storage.layout import STORE_VERSION, read_identity
from stui_sessiond.storage.migration import BACKUP_NAME
from stui_sessiond.storage.session_file import decode_session
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.tools.check import check_store
from stui_sessiond.storage.tools.restore import restore_store
from tests.unit.bed.stores import FailingDisk, bytes_of, content, flip, let_go, opened, put

FORMAT_1 = Path(__file__).parents[2] / "data" / "format-1" / "store"
BEGIN = 1_763_600_000.0
FILES = 6


def copy_of_format_1(tmp_path: Path, name: str = "data") -> Path:
    """The folder as version 0.1.0 left it."""
    root = tmp_path / name
    shutil.copytree(FORMAT_1, root)
    return root


def session(number: int, client: str, version: int, at: float, **more: Any) -> Session:  # noqa: ANN401 -- any field
    """One of the sessions that are in the folder."""
    header = SessionHeader(
        session_id=SessionId(f"session_{number}_1763600000_format1-{'abc'[number - 1] * 16}"),
        client_id=ClientId(client),
        created_at=BEGIN + number,
        last_modified=BEGIN + at,
        last_activity=BEGIN + at,
        timeout_s=3600.0,
        version=version,
        **more.pop("header", {}),
    )
    made = Session(header=header, **more)
    return msgspec.structs.replace(made, history=History(made.document(), version))


def context(at: float, **sections: Any) -> StoredContext:  # noqa: ANN401 -- any JSON
    """A stored context with its real checksum and size."""
    old = [decode_session(path.read_bytes(), store_id()).session for path in FORMAT_1.glob("sessions/*/*_1_*[!v].json")]
    kept = {each.saved_at: each for one in old for each in one.contexts.values()}[BEGIN + at]
    assert kept.checksum.startswith("sha256:")
    return StoredContext(sections, kept.checksum, BEGIN + at, len(msgspec.json.encode(sections)))


def store_id() -> str:
    """The store that the folder is."""
    return read_identity(FORMAT_1 / "store.json", (FORMAT_1 / "store.json").read_bytes()).store_id


def expected() -> list[Session]:
    """What is in the folder, written down by hand."""
    first = session(
        1,
        "alice",
        3,
        20,
        header={"name": "first steps", "image_id": ImageId("amber-1")},
        state={
            "panels": ["workspace", "inspector"],
            "zoom": 2,
            "null": None,
            "deep": {"a": [{"b": [1, 2.5, True]}]},
        },
        contexts={
            ToolId("default"): context(
                10,
                workspace_context={"x": "7", "text": '3 + 4 "Grüße 🐿"'},
                inspector_state={},
                object_registry={},
            ),
            ToolId("browser"): context(20, workspace_context={"selected": "Counter>>increment"}),
        },
        description="A session",
        client_version="1.2",
        client_info={"platform": "linux"},
        config={"theme": "dark"},
    )
    closed = session(2, "alice", 2, 30, header={"closed_at": BEGIN + 31}, state={"done": True})
    third = session(3, "Bob Grüße 🐿", 2, 40, state={"notes": ["日本語", "a\0b", "/~"]})
    return [first, closed, third]


def kept_files(root: Path) -> dict[str, bytes]:
    """What the backup of the old files has."""
    return {path.name: path.read_bytes() for path in (root / "backups" / BACKUP_NAME / "sessions").glob("*/*")}


def test_format_1_becomes_what_a_fresh_store_with_these_sessions_is(tmp_path: Path) -> None:
    """After the first start every session is equal to the same session in a new store, now and after another start."""
    root, fresh = copy_of_format_1(tmp_path), tmp_path / "fresh"
    opened(root).close()
    new = opened(fresh)
    for each in expected():
        put(new, each)
    new.close()
    assert content(root) == content(fresh) == {each.header.session_id: each for each in expected()}
    opened(root).close()
    assert content(root) == content(fresh)
    identity = read_identity(root / "store.json", (root / "store.json").read_bytes())
    assert (identity.format_version, identity.store_id) == (STORE_VERSION, store_id())


def test_format_1_files_are_in_a_backup_before_anything_changes(tmp_path: Path) -> None:
    """All old files, both generations, are copied byte for byte, before the first one is written anew."""
    root = copy_of_format_1(tmp_path)
    old = {path.name: path.read_bytes() for path in FORMAT_1.glob("sessions/*/*")}

    class Watching(FailingDisk):
        def rename(self, old_path: Path, new: Path) -> bool:
            if new.parent.parent.name == "sessions":
                client = [path.name for path in (FORMAT_1 / "sessions" / new.parent.name).iterdir()]
                kept = root / "backups" / BACKUP_NAME / "sessions" / new.parent.name
                assert {name: (kept / name).read_bytes() for name in client} == {n: old[n] for n in client}
            return super().rename(old_path, new)

    store = Store(root, Watching())
    store.open()
    store.close()
    assert kept_files(root) == old
    assert len(old) == FILES
    info = Backups(Store(root, LocalFileSystem())).verify(BACKUP_NAME)
    assert (info.sessions, info.problems, info.missing) == (3, (), ())


@pytest.mark.parametrize("dead", [True, False], ids=["killed", "one_error"])
def test_migration_interrupted_at_any_call_can_be_repeated(tmp_path: Path, dead: bool) -> None:
    """Whichever call fails, for once or for good, the next start has all sessions, and the backup has all old files."""
    wanted = {each.header.session_id: each for each in expected()}
    old = {path.name: path.read_bytes() for path in FORMAT_1.glob("sessions/*/*")}
    failed = 0
    for at in range(1, 1000):
        root = copy_of_format_1(tmp_path, f"data-{at}")
        disk = FailingDisk(at, dead=dead)
        store = Store(root, disk)
        try:
            store.open()
        except OSError:
            failed += 1
        done = disk.calls < at
        if hasattr(store, "writer"):
            store.writer.close()
        disk.unlock()
        assert content(root) == wanted, at
        opened(root).close()
        assert content(root) == wanted, at
        assert kept_files(root) == old, at
        report = check_store(root, LocalFileSystem(), backups=True)
        assert not report.damaged, (at, report.findings)
        shutil.rmtree(root)
        if done:
            break
    assert failed > 40


def test_format_1_with_a_flipped_byte_anywhere_is_reported(tmp_path: Path) -> None:
    """A flipped bit at any byte of a newest file is told; the file before it stands in, and the damaged one is kept."""
    wanted = {each.header.session_id: each for each in expected()}
    target = session(2, "alice", 2, 30).header.session_id
    path = next(FORMAT_1.glob(f"sessions/*/{target}.json"))
    for offset in range(0, path.stat().st_size, 7):
        root = copy_of_format_1(tmp_path, f"data-{offset}")
        flip(root / path.relative_to(FORMAT_1), offset)
        damaged = (root / path.relative_to(FORMAT_1)).read_bytes()
        store = opened(root)
        let_go(store)
        found = content(root)
        if found == wanted:  # the last byte is a newline
            assert damaged[-1:] != b"\n"
            continue
        assert list(store.damaged) == [target], offset
        assert found[target].header.version == 1
        assert {name: one for name, one in found.items() if name != target} == {
            name: one for name, one in wanted.items() if name != target
        }
        kept = [each.read_bytes() for each in (root / "quarantine").iterdir()]
        assert damaged in kept
        assert kept_files(root)[path.name] == damaged
        shutil.rmtree(root)


def test_check_of_format_1_reports_damage_and_changes_nothing(tmp_path: Path) -> None:
    """Before it is brought over: sound, it says that it will be; with a damaged byte, which file and session."""
    root = copy_of_format_1(tmp_path)
    before = bytes_of(root)
    report = check_store(root, LocalFileSystem(), backups=True)
    assert (report.damaged, report.sessions, report.format_version) == (False, 3, 1)
    assert bytes_of(root) == before
    flip(next(root.glob("sessions/*/*bbb.json")), 300)
    before = bytes_of(root)
    report = check_store(root, LocalFileSystem(), backups=True)
    assert bytes_of(root) == before
    assert {finding.where.partition(" ")[0].partition("/")[0] for finding in report.findings if finding.advice} >= {
        "session",
        "sessions",
    }
    assert report.damaged


def test_store_json_of_format_1_that_is_damaged_stops_the_start(tmp_path: Path) -> None:
    """Without knowing which store it is nothing is touched."""
    root = copy_of_format_1(tmp_path)
    (root / "store.json").write_bytes(b'{"format":"stui-store","format_version":1,"store_')
    store = Store(root, LocalFileSystem())
    with pytest.raises(StorageError, match="damaged"):
        store.open()
    store.fs.unlock()
    assert not list((root / "quarantine").iterdir())


def test_format_1_can_be_had_back_from_its_backup(tmp_path: Path) -> None:
    """The backup made before is one like others: restored, the store is of format 1 again, and comes over again."""
    root = copy_of_format_1(tmp_path)
    opened(root).close()
    wanted = content(root)
    restore_store(root, LocalFileSystem(), BACKUP_NAME, BEGIN)
    assert content(root) == wanted
    assert (root / "replaced").is_dir()


@pytest.mark.parametrize("both", [True, False], ids=["no_file_left", "older_file_left"])
def test_damage_in_format_1_is_remembered_though_the_migration_was_interrupted(tmp_path: Path, both: bool) -> None:
    """Whichever call fails, after the next start the session is known to be damaged, and its files are kept."""
    name = session(2, "alice", 2, 30).header.session_id
    for at in range(1, 1000):
        root = copy_of_format_1(tmp_path, f"data-{at}")
        for path in root.glob(f"sessions/*/{name}.json" if not both else f"sessions/*/{name}*"):
            flip(path)
        disk = FailingDisk(at, dead=True)
        store = Store(root, disk)
        with contextlib.suppress(OSError):
            store.open()
        done = disk.calls < at
        if hasattr(store, "writer"):
            store.writer.close()
        disk.unlock()
        store = opened(root)
        let_go(store)
        assert list(store.damaged) == [name], at
        assert (name in store.places) is not both
        kept = [each for each in (root / "quarantine").iterdir() if f"damaged-{name}" in each.name]
        assert len(kept) == (2 if both else 1)
        shutil.rmtree(root)
        if done:
            break
    assert at > 60
