"""A sealed data folder: nothing readable in it, no start without its key, damage as ever, and keys that change."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from stui_sessiond.errors import SessionDamagedError, StorageError
from stui_sessiond.ids import ImageId, SessionId, ToolId
from stui_sessiond.model.event import Event, EventLog
from stui_sessiond.model.session import Session
from stui_sessiond.security.sealing import CLEAR, CLEAR_ID, KeyMissingError, Label, MasterKey, Sealer
from stui_sessiond.sessions.transitions import save_context
from stui_sessiond.storage.api import Commit
from stui_sessiond.storage.backups import Backups
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.fs import LocalFileSystem
from stui_sessiond.storage.journal import HEADER_BYTES, RECORD_BYTES, RecordType, decode_header, encode_record
from stui_sessiond.storage.layout import Layout, read_identity
from stui_sessiond.storage.records import UnreadableError
from stui_sessiond.storage.session_file import decode_session, encode_session, key_of_file
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.tools.check import check_store
from stui_sessiond.storage.tools.history import read_history
from stui_sessiond.storage.tools.rekey import RekeyReport, rekey_store
from stui_sessiond.storage.tools.repair import repair_store
from stui_sessiond.storage.tools.restore import restore_session, restore_store
from stui_sessiond.storage.tools.transfer import export_store, import_sessions, read_export
from stui_sessiond.storage.tools.view import open_view
from tests.unit.bed.changes import a_full_session, a_new_session, put_versions, step, whole
from tests.unit.bed.stores import NOW, FailingDisk, bytes_of, change, file_of, flip, let_go, new_session, put

ONE, TWO = MasterKey(b"1" * 32), MasterKey(b"2" * 32)
ID = SessionId(new_session(1).header.session_id)
CANARY = "canary"
FORMAT_1 = Path(__file__).parents[2] / "data" / "format-1" / "store"


def opened(root: Path, sealer: Sealer) -> Store:
    """An open store."""
    store = Store(root, LocalFileSystem(), sealer=sealer)
    store.open()
    return store


def sealed(root: Path, versions: int = 3, sealer: Sealer | None = None, sessions: int = 1) -> list[Session]:
    """Leave a store in which sessions have so many versions, each in a file; give the newest ones."""
    store = opened(root, sealer or Sealer(ONE))
    made = [put(store, new_session(number, n=1)) for number in range(1, sessions + 1)]
    for version in range(2, versions + 1):
        store.checkpoint_all()
        made = [change(store, session, n=version) for session in made]
    store.close()
    return made


def content(root: Path, sealer: Sealer) -> dict[str, Session | None]:
    """All sessions of a store, which stays as it is."""
    store = open_view(root, LocalFileSystem(), sealer).store
    return {str(name): store.load(name) for name in list(store.places)}


def keys(root: Path) -> tuple[str, ...]:
    """The keys that store.json names."""
    path = Layout(root).identity
    return read_identity(path, path.read_bytes()).keys


def readable(root: Path, canary: str = CANARY) -> list[str]:
    """Files whose content or name shows a text."""
    return [
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and (canary.encode() in path.read_bytes() or canary in str(path.relative_to(root)))
    ]


def at(root: Path, sealer: Sealer) -> FileStorage:
    """Make a storage."""
    return FileStorage(root, backup_interval_s=None, segment_bytes=20_000, sealer=sealer)


def full_of_canaries(number: int) -> Session:
    """A session that says `canary` everywhere somebody may put something."""
    session = a_full_session(number)
    header = replace(
        session.header,
        client_id=f"{CANARY}-client",
        name=f"{CANARY} name",
        image_id=ImageId(f"{CANARY}-image"),
        epoch="e1",
        seq=1,
        shares={f"{CANARY}-guest": "viewer"},
        key=f"{CANARY}-key",
    )
    event = Event.of(1, "evaluation.finished", NOW, {"code": f"{CANARY} := 3 + 4", "result": CANARY})
    session = replace(
        session,
        header=header,
        description=CANARY,
        config={CANARY: CANARY},
        client_info={CANARY: CANARY},
        state={"text": f"{CANARY} state", CANARY: 1},
        log=EventLog((event,), 40),
    )
    return save_context(session, ToolId(f"{CANARY}-tool"), {"workspace": {"text": CANARY}}, NOW)


async def lived(root: Path, sealer: Sealer) -> None:
    """Leave all kinds of files that a storage makes: sessions, a journal, an archive, backups, losses."""
    storage = at(root, sealer)
    await storage.open()
    sessions = [full_of_canaries(number) for number in range(1, 7)]
    for session in sessions:
        await storage.commit(whole(session))
    for _ in range(2):
        await storage.checkpoint()
        sessions = [await _changed(storage, session) for session in sessions]
    await storage.archive(sessions[0].header.session_id, NOW)
    await storage.remove(sessions[1].header.session_id)
    await storage.back_up("manual")
    storage._store.damaged[sessions[2].header.session_id] = f"{CANARY} is lost"
    storage._store.write_damaged()
    await _changed(storage, sessions[3])
    await storage.close()


async def _changed(storage: FileStorage, session: Session) -> Session:
    commit = step(session, text=f"{CANARY} {session.header.version}")
    await storage.commit(commit)
    return commit.session


# ---- what can be read without the key


async def test_sealed_folder_shows_no_canary(tmp_path: Path) -> None:
    """No file of the folder and its backups has a text of a session, an event, a client or a name; clear text has."""
    await lived(tmp_path / "clear", CLEAR)
    assert {Path(name).parts[0] for name in readable(tmp_path / "clear")} == {
        "archive",
        "backups",
        "damaged.json",
        "index.json",
        "journal",
        "sessions",
    }
    await lived(tmp_path / "data", Sealer(ONE))
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(files) > 15
    assert readable(tmp_path / "data") == []


async def test_sealed_folder_holds_what_clear_text_holds(tmp_path: Path) -> None:
    """With the key all of it is there."""
    await lived(tmp_path / "clear", CLEAR)
    await lived(tmp_path / "data", Sealer(ONE))
    assert content(tmp_path / "data", Sealer(ONE)) == content(tmp_path / "clear", CLEAR)
    report = check_store(tmp_path / "data", LocalFileSystem(), backups=True, sealer=Sealer(ONE))
    assert [finding.what for finding in report.findings if finding.severity == "damage"] == [f"{CANARY} is lost"]


def test_sealed_session_file_tells_its_key_and_its_session_without_a_key(tmp_path: Path) -> None:
    """An operator sees which key it takes; its checksum can be verified, so damage is told from a missing key."""
    (session,) = sealed(tmp_path / "data")
    data = file_of(tmp_path / "data", session).read_bytes()
    assert key_of_file(data) == ONE.id
    assert keys(tmp_path / "data") == (ONE.id,)
    store_id = opened(tmp_path / "data", Sealer(ONE)).store_id
    with pytest.raises(KeyMissingError, match=ONE.id):
        decode_session(data, store_id, ID)
    flipped = bytearray(data)
    flipped[-100] ^= 1
    with pytest.raises(UnreadableError):
        decode_session(bytes(flipped), store_id, ID)


# ---- no key, no start


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("sealer", [CLEAR, Sealer(TWO)], ids=["no key", "wrong key"])
async def test_sealed_store_without_its_key(tmp_path: Path, sealer: Sealer, index: bool) -> None:
    """The start is refused with the way out; not one file is changed, moved or deleted."""
    root = tmp_path / "data"
    await lived(root, Sealer(ONE))
    if not index:
        (root / "index.json").unlink()
    before = bytes_of(root)
    for _ in range(2):
        storage = at(root, sealer)
        with pytest.raises(KeyMissingError, match=rf"{ONE.id}.*nothing was changed.*\[encryption\].*--key-file"):
            await storage.open()
        await storage.close()
    assert bytes_of(root) == before
    (root / "index.json").unlink(missing_ok=True)
    assert len(content(root, Sealer(ONE))) == 4


def test_sealed_store_whose_identity_came_from_a_clear_backup(tmp_path: Path) -> None:
    """Even when store.json says nothing of keys, a file that takes one is not taken for damaged."""
    root = tmp_path / "data"
    sealed(root)
    store = opened(root, Sealer(ONE))
    store.write_identity((CLEAR_ID,))
    let_go(store)
    sessions = {path: path.read_bytes() for path in root.glob("sessions/*/*")}
    for index in (True, False):
        if not index:
            (root / "index.json").unlink()
        other = Store(root, LocalFileSystem())
        with pytest.raises(KeyMissingError):
            other.open()
        other.fs.unlock()
    assert {path: path.read_bytes() for path in root.glob("sessions/*/*")} == sessions
    assert list((root / "quarantine").iterdir()) == []
    assert list(content(root, Sealer(ONE))) == [ID]


async def test_file_under_a_key_that_is_not_there_while_the_daemon_works(tmp_path: Path) -> None:
    """A file that somebody brought from elsewhere is refused, stays where it is, and ends neither work nor backups."""
    root = tmp_path / "data"
    (session, _) = sealed(root, sessions=2)
    storage = at(root, Sealer(ONE))
    await storage.open()
    path = file_of(root, session)
    foreign = encode_session(session, storage._store.store_id, 99, Sealer(TWO))
    path.write_bytes(foreign)
    with pytest.raises(StorageError, match=TWO.id):
        await storage.load(ID)
    made = await storage.back_up("manual")
    assert made.sessions == 2  # of this one, the file before it
    assert TWO.id in made.missing[0]
    await storage.checkpoint()
    assert path.read_bytes() == foreign
    assert list((root / "quarantine").iterdir()) == []
    await storage.close()


def test_tools_without_the_key_say_what_they_need(tmp_path: Path) -> None:
    """Each names the key, and none changes a byte."""
    root, disk = tmp_path / "data", LocalFileSystem()
    (session,) = sealed(root)
    store = opened(root, Sealer(ONE))
    name = Backups(store).create(NOW, "manual").name
    store.close()
    before = bytes_of(root)
    tools: list[Callable[[], object]] = [
        lambda: check_store(root, disk, backups=True),
        lambda: repair_store(root, disk),
        lambda: read_history(root, disk, ID),
        lambda: export_store(root, disk, lambda _data: None, NOW, clear_text=True),
        lambda: import_sessions(root, disk, [session], NOW, overwrite=True),
        lambda: restore_store(root, disk, name, NOW),
        lambda: restore_session(root, disk, name, ID, NOW),
        lambda: rekey_store(root, disk, Sealer(TWO)),
        lambda: Backups(Store(root, disk)).verify(name),
    ]
    for tool in tools:
        with pytest.raises(KeyMissingError, match=ONE.id):
            tool()
    assert bytes_of(root) == before
    assert [info.keys for info in Backups(Store(root, disk)).list()] == [(ONE.id,)]


# ---- tools with the key


def test_tools_with_the_key(tmp_path: Path) -> None:
    """Repair, backups, restore, history, export and import work as on clear text, and leave nothing readable."""
    root, disk, sealer = tmp_path / "data", LocalFileSystem(), Sealer(ONE)
    store = opened(root, sealer)
    session = put(store, new_session(1, CANARY, text=CANARY))
    store.checkpoint_all()
    name = Backups(store).create(NOW, "manual").name
    change(store, session, text=f"{CANARY} 2")
    store.close()
    flip(file_of(root, session))
    assert repair_store(root, disk, sealer=sealer).lost == ()
    assert Backups(Store(root, disk, sealer=sealer)).verify(name).problems == ()
    assert read_history(root, disk, ID, None, sealer).version == 2
    assert restore_session(root, disk, name, ID, NOW, sealer).version == 3
    with pytest.raises(StorageError, match="--clear-text"):
        export_store(root, disk, lambda _data: None, NOW, (), sealer=sealer)
    pieces: list[bytes] = []
    export_store(root, disk, pieces.append, NOW, (), sealer=sealer, clear_text=True)
    exported = read_export(b"".join(pieces))
    assert CANARY.encode() in b"".join(pieces)
    assert import_sessions(root, disk, exported, NOW, overwrite=True, sealer=sealer).replaced == 1
    done = restore_store(root, disk, name, NOW, sealer=sealer)
    assert content(root, sealer)[ID] == session
    assert content(Path(done.replaced), sealer).keys() == {ID}
    assert readable(root) == []
    assert not check_store(root, disk, backups=True, sealer=sealer).damaged


# ---- damage


@pytest.mark.parametrize("versions", [2, 3])
def test_flipped_byte_in_a_sealed_file(tmp_path: Path, versions: int) -> None:
    """The file before it and the journal make up for it, and the damaged one is kept."""
    root, sealer = tmp_path / "data", Sealer(ONE)
    (session,) = sealed(root, versions)
    size = len(file_of(root, session).read_bytes())
    for place in range(0, size, 97):
        copy = tmp_path / f"copy-{place}"
        shutil.copytree(root, copy)
        flip(file_of(copy, session), place)
        store = opened(copy, sealer)
        assert store.load(ID) == session, place
        assert "nothing that was acknowledged is missing" in store.healed[ID]
        assert len(list((copy / "quarantine").iterdir())) == 1
        store.close()
        assert content(copy, sealer)[ID] == session


def forge(path: Path, lsn: int, payload: bytes) -> None:
    """Replace the payload of a record, with the right checksums, as somebody can who has the disk and not the key."""
    data = path.read_bytes()
    seed = decode_header(data).crc
    made, offset, previous = data[:HEADER_BYTES], HEADER_BYTES, seed
    while offset < len(data):
        length = int.from_bytes(data[offset + 8 : offset + 12], "little")
        kind, at_lsn = data[offset + 12], int.from_bytes(data[offset + 16 : offset + 24], "little")
        durable = int.from_bytes(data[offset + 24 : offset + 32], "little")
        found = data[offset + RECORD_BYTES : offset + RECORD_BYTES + length]
        piece, previous = encode_record(
            RecordType(kind), at_lsn, durable, previous, seed, payload if at_lsn == lsn else found
        )
        made += piece
        offset += RECORD_BYTES + length + -(RECORD_BYTES + length) % 8
    path.write_bytes(made)


def test_forged_journal_record(tmp_path: Path) -> None:
    """A record that was put in the place of another, checksums and all, is damage: told, and kept aside."""
    root, sealer = tmp_path / "data", Sealer(ONE)
    store = opened(root, sealer)
    session = put(store, new_session(1, n=1))
    store.checkpoint_all()
    change(store, session, n=2)
    let_go(store)
    (path,) = (root / "journal").iterdir()
    data = path.read_bytes()
    length = int.from_bytes(data[HEADER_BYTES + 8 : HEADER_BYTES + 12], "little")
    forge(path, 2, data[HEADER_BYTES + RECORD_BYTES : HEADER_BYTES + RECORD_BYTES + length])  # the first again
    store = opened(root, sealer)
    assert "seal is broken" in store.damaged[ID]
    assert store.load(ID) == session
    store.close()
    assert [kept.name.partition("-")[2] for kept in (root / "quarantine").iterdir()] == [f"damaged-{path.name}"]


def test_forged_session_file(tmp_path: Path) -> None:
    """An older file with the number and the checksum of the newest is not taken for it."""
    root, sealer = tmp_path / "data", Sealer(ONE)
    (session,) = sealed(root)
    path = file_of(root, session)
    store_id = opened(root, sealer).store_id
    old = decode_session(file_of(root, session, ".prev.json").read_bytes(), store_id, ID, sealer)

    class Thief(Sealer):
        """Has the bytes of the older file, and no key."""

        def seal(self, label: Label, data: bytes) -> bytes:
            return super().seal(label._replace(lsn=old.lsn), data)

    path.write_bytes(encode_session(old.session, store_id, 3, Thief(ONE)))
    with pytest.raises(UnreadableError, match="seal is broken"):
        decode_session(path.read_bytes(), store_id, ID, sealer)


@pytest.mark.parametrize("name", ["index.json", "damaged.json"])
def test_sealed_small_file_that_is_damaged(tmp_path: Path, name: str) -> None:
    """They are only helps: put aside, and made anew."""
    root, sealer = tmp_path / "data", Sealer(ONE)
    (session,) = sealed(root)
    store = opened(root, sealer)
    store.damaged[SessionId("session_9_9_x")] = CANARY
    store.close()
    assert store.listed_keys == (ONE.id,)
    flip(root / name, 60)
    store = opened(root, sealer)
    assert store.load(ID) == session
    assert any(name in kept.name for kept in (root / "quarantine").iterdir())
    store.close()


# ---- keys that change


async def test_key_that_changes_while_the_daemon_works(tmp_path: Path) -> None:
    """With the old key as previous one all is brought over while changes come in; then the old one is not needed."""
    root = tmp_path / "data"
    made = sealed(root, sessions=30)
    await lived(tmp_path / "with archive", Sealer(ONE))
    shutil.copytree(tmp_path / "with archive" / "archive", root / "archive", dirs_exist_ok=True)
    storage = at(root, Sealer(TWO, [ONE]))
    await storage.open()
    assert keys(root) == (TWO.id, ONE.id)
    assert ONE.id in (storage.status().detail or "")
    backup = await storage.back_up("manual")

    async def work(session: Session) -> Session:
        for number in range(20):
            commit = step(session, n=number)
            await storage.commit(commit)
            session = commit.session
            await asyncio.sleep(0.001)
        return session

    made = list(await asyncio.gather(*map(work, made)))
    for _ in range(100):
        if not storage._store.rekeying:
            break
        await storage.checkpoint()
    assert keys(root) == (TWO.id,)
    assert storage.status().detail == f"only backups may still need {ONE.id}; the store does not"
    assert storage._backups.needing([ONE.id]) in ([backup.name], [])
    await storage.close()
    found = {key_of_file(path.read_bytes()) for path in root.glob("sessions/*/*.json")}
    assert found == {TWO.id}
    assert content(root, Sealer(TWO)) == {session.header.session_id: session for session in made}


async def test_archive_follows_the_key(tmp_path: Path) -> None:
    """What is in the archive is brought over as well."""
    root = tmp_path / "data"
    await lived(root, Sealer(ONE))
    done = rekey_store(root, LocalFileSystem(), Sealer(TWO, [ONE]))
    (path,) = root.glob("archive/*/*.json")
    assert key_of_file(path.read_bytes()) == TWO.id
    assert (done.key, done.retired, done.sessions, len(done.backups)) == (TWO.id, (ONE.id,), 4, 1)
    report = check_store(root, LocalFileSystem(), backups=True, sealer=Sealer(TWO))
    assert (report.archived, report.backups_locked) == (1, 1)
    assert not [finding for finding in report.findings if finding.where.startswith("archive")]


async def test_encryption_that_is_turned_on_and_off(tmp_path: Path) -> None:
    """A clear store becomes a sealed one and back; files of both kinds are read between; what stays is told."""
    root = tmp_path / "data"
    await lived(root, CLEAR)
    before = content(root, CLEAR)
    store = opened(root, Sealer(ONE))
    assert keys(root) == (ONE.id, CLEAR_ID)
    assert {str(name): store.load(name) for name in store.places} == before
    let_go(store)
    assert content(root, Sealer(ONE)) == before
    with pytest.raises(KeyMissingError):
        content(root, CLEAR)
    report = rekey_store(root, LocalFileSystem(), Sealer(ONE))
    assert (report.key, report.retired) == (ONE.id, (CLEAR_ID,))
    assert {name for name in readable(root) if not name.startswith("backups/")} == set()
    assert len(report.backups) == 1  # made before, and clear text
    assert content(root, Sealer(ONE)) == before
    report = rekey_store(root, LocalFileSystem(), Sealer(None, [ONE]))
    assert (report.key, report.retired, keys(root)) == (CLEAR_ID, (ONE.id,), ())
    assert content(root, CLEAR) == before
    assert rekey_store(root, LocalFileSystem(), CLEAR) == RekeyReport(CLEAR_ID, 0, (), ())


def test_rekey_interrupted_at_any_call_is_finished_by_the_next(tmp_path: Path) -> None:
    """Whichever call fails: with both keys all is there, and a second rekey leaves nothing under the old one."""
    sealed(tmp_path / "data", sessions=2)
    (tmp_path / "data" / "archive" / "2026-01").mkdir()
    wanted = content(tmp_path / "data", Sealer(ONE))
    failed = 0
    for number in range(1, 500):
        root = tmp_path / f"copy-{number}"
        shutil.copytree(tmp_path / "data", root)
        disk = FailingDisk(number, dead=True)
        try:
            rekey_store(root, disk, Sealer(TWO, [ONE]))
        except (OSError, StorageError):
            failed += 1
        disk.unlock()
        assert content(root, Sealer(TWO, [ONE])) == wanted, number
        rekey_store(root, LocalFileSystem(), Sealer(TWO, [ONE]))
        assert content(root, Sealer(TWO)) == wanted, number
        assert keys(root) == (TWO.id,)
        shutil.rmtree(root)
        if disk.calls < number:
            break
    assert failed > 40


def test_rekey_of_a_session_that_cannot_be_read_ends(tmp_path: Path) -> None:
    """It is told as ever, its files are kept, and the other sessions come under the new key."""
    root = tmp_path / "data"
    one, two = sealed(root, sessions=2)
    for path in (*root.glob(f"sessions/*/{one.header.session_id}*"), *root.glob("journal/*")):
        path.write_bytes(b"damaged" if path.suffix == ".json" else path.read_bytes()[:64])
    report = rekey_store(root, LocalFileSystem(), Sealer(TWO, [ONE]))
    assert report.retired == (ONE.id,)
    store = open_view(root, LocalFileSystem(), Sealer(TWO)).store
    assert store.load(two.header.session_id) == two
    assert one.header.session_id in store.damaged
    assert len([path for path in (root / "quarantine").iterdir() if "session" in path.name]) == 2


def test_store_of_format_1_that_is_opened_with_a_key(tmp_path: Path) -> None:
    """It is migrated and sealed; only the backup that the migration makes first is clear text, and it says so."""
    root = tmp_path / "data"
    shutil.copytree(FORMAT_1, root)
    before = content(root, CLEAR)
    assert before
    store = opened(root, Sealer(ONE))
    assert keys(root) == (ONE.id, CLEAR_ID)
    store.close()
    assert rekey_store(root, LocalFileSystem(), Sealer(ONE)).backups == ("before-format-2",)
    assert {key_of_file(path.read_bytes()) for path in root.glob("sessions/*/*.json")} == {ONE.id}
    assert {name: session and session.state for name, session in content(root, Sealer(ONE)).items()} == {
        name: session and session.state for name, session in before.items()
    }


def test_older_versions_leave_a_sealed_store_alone(tmp_path: Path) -> None:
    """store.json has another format while something is sealed, which a daemon without encryption refuses to open."""
    root = tmp_path / "data"
    sealed(root)
    assert b'"format":"stui-store-sealed"' in (root / "store.json").read_bytes()


async def test_sealed_storage_keeps_what_the_manager_commits(tmp_path: Path) -> None:
    """Through the threads and the group commit: kill -9 after many changes, and all are there."""
    root, sealer = tmp_path / "data", Sealer(ONE)
    storage = at(root, sealer)
    await storage.open()
    sessions = [a_new_session(number) for number in range(1, 21)]
    await asyncio.gather(*(storage.commit(whole(session)) for session in sessions))
    for number in range(5):
        changes: list[Commit] = [step(session, n=number) for session in sessions]
        await asyncio.gather(*map(storage.commit, changes))
        sessions = [commit.session for commit in changes]
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    await storage.close()
    assert content(copy, sealer) == {session.header.session_id: session for session in sessions}
    with pytest.raises((KeyMissingError, SessionDamagedError)):
        content(copy, CLEAR)


async def test_keys_of_a_session_that_is_deleted_are_forgotten(tmp_path: Path) -> None:
    """Nothing is left of it in memory, also if a backup was made while it was there."""
    sealer = Sealer(ONE)
    storage = at(tmp_path / "data", sealer)
    await storage.open()
    session_id = (await put_versions(storage, 3))[-1].header.session_id
    await storage.back_up("manual")
    assert session_id in {name[1] for name in sealer._writing}
    await storage.remove(session_id)
    assert session_id not in {name[1] for name in sealer._writing}
    assert not sealer._reading
    await storage.close()
