"""The tools of an operator: check, repair, restore, export, import and history, on folders made for the purpose."""

import contextlib
import json
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from stui_sessiond.errors import SessionNotFoundError, StorageError, VersionNotFoundError
from stui_sessiond.ids import SessionId
from stui_sessiond.model.session import Session
from stui_sessiond.storage.backups import Backups
from stui_sessiond.storage.fs import FileSystem, LocalFileSystem
from stui_sessiond.storage.layout import DATABASE
from stui_sessiond.storage.session_file import decode_session
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.tools.check import CheckReport, check_store
from stui_sessiond.storage.tools.history import read_history, read_version
from stui_sessiond.storage.tools.repair import repair_store
from stui_sessiond.storage.tools.restore import interrupted, restore_session, restore_store, undo_restore
from stui_sessiond.storage.tools.stopped import StoreInUseError
from stui_sessiond.storage.tools.transfer import Exported, export_store, import_sessions, read_export
from tests.crash.crash_states import crash_states
from tests.crash.simulated_fs import Contents, SimulatedFileSystem
from tests.unit.bed.stores import (
    NOW,
    Content,
    FailingDisk,
    bytes_of,
    change,
    content,
    file_of,
    flip,
    let_go,
    name_version,
    new_session,
    opened,
    put,
    same,
)

DISK = LocalFileSystem
ONE, TWO, THREE = (SessionId(new_session(number).header.session_id) for number in (1, 2, 3))


class Bed(NamedTuple):
    """A store that a daemon left behind with kill -9, and a backup from before its last changes."""

    root: Path
    backup: str
    then: Content
    """What is in the backup."""
    now: Content


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    """Three sessions, one of them new since the backup and one removed; the newest changes are only in the journal."""
    root = tmp_path / "data"
    store = opened(root)
    one = change(store, put(store, new_session(1, a=1)), a=2)
    put(store, new_session(2, "bob", b=1))
    store.checkpoint_all()
    note(root, "then")
    backup = Backups(store).create(NOW, "manual").name
    then = content(root)
    note(root, "now")
    one = change(store, one, a=3)
    store.checkpoint_all()
    one = change(store, name_version(store, one, "before lunch"), a=4, c=[1, 2])
    put(store, new_session(3, "Bob Grüße 🐿", x="日本語"))
    let_go(store)
    return Bed(root, backup, then, content(root))


def note(root: Path, word: str) -> None:
    """Have one word in the database of images."""
    with contextlib.closing(sqlite3.connect(root / DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS words (word TEXT)")
        database.execute("DELETE FROM words")
        database.execute("INSERT INTO words VALUES (?)", (word,))


def noted(root: Path, fs: FileSystem | None = None) -> str:
    """The word that is in the database of images."""
    data = (fs or DISK()).read(root / DATABASE)
    assert data is not None
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(data)
        return str(database.execute("SELECT word FROM words").fetchone()[0])


def look(root: Path, *, backups: bool = False) -> CheckReport:
    """Check a store."""
    return check_store(root, DISK(), backups=backups)


def damage(report: CheckReport) -> list[str]:
    """What is wrong, and where."""
    return [f"{finding.where}: {finding.what}" for finding in report.findings if finding.severity == "damage"]


def text_of(root: Path, *ids: SessionId) -> tuple[bytes, Exported]:
    """An export."""
    pieces: list[bytes] = []
    done = export_store(root, DISK(), pieces.append, NOW, ids)
    return b"".join(pieces), done


def test_restore_of_a_backup_without_a_database_leaves_the_present_one(bed: Bed) -> None:
    """Backups of earlier versions have none; what is known of images is not given up for that."""
    store = opened(bed.root)
    (bed.root / DATABASE).unlink()
    older = Backups(store).create(NOW + 9, "older").name
    store.close()
    note(bed.root, "present")
    restore_store(bed.root, DISK(), older, NOW + 10)
    assert noted(bed.root) == "present"


# ---- check


def test_check_of_a_sound_store_finds_nothing_and_changes_nothing(bed: Bed) -> None:
    """After kill -9 all is sound: changes that are only in the journal are no problem, and not a byte changes."""
    before = bytes_of(bed.root)
    report = look(bed.root, backups=True)
    assert bytes_of(bed.root) == before
    assert damage(report) == []
    assert (report.sessions, report.clients, report.backups, report.backups_verified) == (3, 3, 1, True)
    assert bed.now[ONE].header.version == 4
    assert bed.now[ONE].state == {"a": 4, "c": [1, 2]}


def test_check_beside_a_running_daemon_takes_no_lock(bed: Bed) -> None:
    """While a store is open and changed, a check sees it sound, and does not get in its way."""
    store = opened(bed.root)
    session = bed.now[ONE]
    for number in range(20):
        session = change(store, session, a=number)
        before = bytes_of(bed.root)
        assert damage(look(bed.root)) == []
        assert bytes_of(bed.root) == before
        assert content(bed.root)[ONE] == session
        if number % 5 == 0:
            store.checkpoint_all()
    store.close()


@pytest.mark.parametrize(
    ("what", "offset", "found"),
    [
        ("store.json", None, None),
        ("index.json", 40, "index.json: damaged"),
        ("sessions/*/*_1_*[!v].json", 200, "sessions/"),
        ("sessions/*/*_1_*.prev.json", 200, "sessions/"),
        ("journal/*", 150, "journal/"),
        ("backups/*/manifest.json", 20, "backups/"),
        ("backups/*/sessions/*/*_1_*.json", 200, "backups/"),
        ("archive/2026-01/*", 100, "archive/"),
        ("damaged.json", 3, "damaged.json"),
    ],
)
def test_check_finds_a_flipped_byte(bed: Bed, what: str, offset: int | None, found: str | None) -> None:
    """A flipped bit in any kind of file is found, told with its place, and the folder stays as it is."""
    store = opened(bed.root)
    store.snapshots.archive(bed.now[TWO], 0, 1_767_300_000.0)
    store.damaged[THREE] = "an earlier loss"
    store.write_damaged()
    change(store, bed.now[ONE], a=5)
    store.writer.seal()
    store.write_index(0)
    let_go(store)
    path = next(iter(sorted(bed.root.glob(what), reverse=what == "journal/*")))
    if offset is None:
        path.write_bytes(b"{}")
        with pytest.raises(StorageError, match=r"store\.json is damaged"):
            look(bed.root)
        return
    flip(path, offset)
    before = bytes_of(bed.root)
    told = damage(look(bed.root, backups=True))
    assert bytes_of(bed.root) == before
    assert found is not None
    assert [text for text in told if text.startswith(found)], told


def test_check_says_what_damage_means_for_the_session(bed: Bed) -> None:
    """A damaged newest file is made up for by the one before and the journal; with both gone the session is lost."""
    store = opened(bed.root)
    store.close()
    flip(file_of(bed.root, bed.now[ONE]))
    told = damage(look(bed.root))
    assert any(
        text.startswith(f"session {ONE}: ") and "nothing that was acknowledged is missing" in text for text in told
    )
    shutil.rmtree(bed.root / "journal")
    flip(file_of(bed.root, bed.now[ONE], ".prev.json"))
    told = damage(look(bed.root))
    assert any(text.startswith(f"session {ONE}: lost") for text in told), told


def test_check_without_a_store_makes_none(tmp_path: Path) -> None:
    """A wrong folder is told; nothing is made there."""
    with pytest.raises(StorageError, match="--data-dir"):
        look(tmp_path)
    with pytest.raises(StorageError, match="--data-dir"):
        look(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_check_notes_what_was_put_aside_and_what_is_unfinished(bed: Bed) -> None:
    """Quarantine, temporary files, unfinished backups and a torn journal are notes, not damage."""
    (bed.root / "quarantine" / "x").write_text("?")
    (bed.root / "tmp" / "y").write_text("?")
    (bed.root / "backups" / "20260101T000000Z-automatic").mkdir()
    segment = max((bed.root / "journal").iterdir())
    segment.write_bytes(segment.read_bytes()[:-5])
    report = look(bed.root)
    assert damage(report) == []
    assert {finding.where.partition("/")[0] for finding in report.findings} >= {
        "quarantine",
        "tmp",
        "backups",
        "journal",
    }


def test_open_without_store_json_does_not_make_another_store_of_the_folder(bed: Bed) -> None:
    """A new identity would make every session file a foreign one: the start is refused, and nothing is put aside."""
    (bed.root / "store.json").unlink()
    store = Store(bed.root, DISK())
    with pytest.raises(StorageError, match="from a backup"):
        store.open()
    store.fs.unlock()
    assert not list((bed.root / "quarantine").iterdir())
    shutil.copy(bed.root / "backups" / bed.backup / "store.json", bed.root)
    assert content(bed.root) == bed.now


# ---- repair


def test_repair_writes_both_files_and_the_index_anew(bed: Bed) -> None:
    """With a damaged file of each kind everything comes back as it was; the damaged ones are in quarantine."""
    store = opened(bed.root)
    store.close()
    flip(file_of(bed.root, bed.now[ONE]))
    flip(file_of(bed.root, bed.now[ONE], ".prev.json"), 300)
    flip(bed.root / "index.json", 50)
    shutil.copy(file_of(bed.root, bed.now[TWO]), file_of(bed.root, bed.now[TWO], ".json").with_suffix(".prev.json"))
    flip(file_of(bed.root, bed.now[TWO], ".prev.json"), 300)
    report = repair_store(bed.root, DISK())
    assert [loss.session_id for loss in report.lost] in ([], [ONE])
    assert same(content(bed.root), bed.now, but=[ONE])
    assert report.quarantined == 4
    after = look(bed.root)
    assert [text for text in damage(after) if not text.startswith("session ")] == []
    for session in content(bed.root).values():
        newest = decode_session(file_of(bed.root, session).read_bytes(), after.store_id).session
        assert newest == decode_session(file_of(bed.root, session, ".prev.json").read_bytes(), after.store_id).session
        assert newest == session


def test_repair_takes_in_a_session_that_the_index_does_not_know(bed: Bed) -> None:
    """A sound file that the index does not list is a session."""
    store = opened(bed.root)
    store.places.pop(TWO)
    store.close()
    assert TWO not in content(bed.root)
    assert any("the index does not know it" in finding.what for finding in look(bed.root).findings)
    report = repair_store(bed.root, DISK())
    assert report.adopted == (TWO,)
    assert content(bed.root) == bed.now


def test_repair_tells_what_is_lost_and_where_it_still_is(bed: Bed) -> None:
    """A session without a readable file is told with the backup that has it; its files are kept."""
    store = opened(bed.root)
    store.close()
    shutil.rmtree(bed.root / "journal")
    (bed.root / "journal").mkdir()
    for path in (bed.root / "sessions").glob(f"*/{TWO}*"):
        flip(path)
    report = repair_store(bed.root, DISK())
    (loss,) = report.lost
    assert (loss.session_id, loss.readable, loss.backup) == (TWO, None, bed.backup)
    assert [path.name for path in (bed.root / "quarantine").iterdir() if TWO in path.name]
    assert same(content(bed.root), bed.now, but=[TWO])
    restored = restore_session(bed.root, DISK(), bed.backup, TWO, NOW + 5)
    assert restored.version == 2
    assert content(bed.root)[TWO].state == {"b": 1}
    assert damage(look(bed.root)) == []


def test_repair_twice_finds_nothing_the_second_time(bed: Bed) -> None:
    """Repair is idempotent."""
    repair_store(bed.root, DISK())
    report = repair_store(bed.root, DISK())
    assert (report.healed, report.adopted, report.lost, report.quarantined) == ({}, (), (), 0)
    assert content(bed.root) == bed.now


def test_repair_interrupted_at_any_call_loses_nothing(bed: Bed, tmp_path: Path) -> None:
    """Whichever call fails, what the store holds is the same, and a second repair completes it."""
    flip(file_of(bed.root, bed.now[ONE]))
    wanted = content(bed.root)
    failed = 0
    for at in range(1, 500):
        root = tmp_path / f"copy-{at}"
        shutil.copytree(bed.root, root)
        disk = FailingDisk(at, dead=True)
        try:
            repair_store(root, disk)
        except (OSError, StorageError):
            failed += 1
        disk.unlock()
        assert content(root) == wanted, at
        if disk.calls < at:
            break
        repair_store(root, DISK())
        assert content(root) == wanted, at
        assert damage(look(root)) == [], at
        shutil.rmtree(root)
    assert failed > 40


# ---- restore


def test_restore_of_the_whole_store_puts_the_backup_in_place_and_keeps_what_was_there(bed: Bed) -> None:
    """After it the store is as in the backup, and what was there before is a whole store in `replaced/`."""
    done = restore_store(bed.root, DISK(), bed.backup, NOW + 5)
    assert content(bed.root) == bed.then
    assert noted(bed.root) == "then"
    assert content(Path(done.replaced)) == bed.now
    assert noted(Path(done.replaced)) == "now"
    assert damage(look(Path(done.replaced))) == []
    assert damage(look(bed.root, backups=True)) == []
    assert not (bed.root / "restoring").exists()
    store = opened(bed.root)
    session = change(store, bed.then[ONE], a="goes on")
    store.close()
    assert content(bed.root)[ONE] == session


@pytest.mark.parametrize("dead", [True, False], ids=["killed", "one_error"])
def test_restore_interrupted_at_any_call_can_be_repeated_or_undone(bed: Bed, tmp_path: Path, dead: bool) -> None:
    """Whichever call fails: the store is as before, or as in the backup, or refused until finished or undone."""
    outcomes = {"before": 0, "backup": 0, "stopped": 0}
    for at in range(1, 500):
        root, other = tmp_path / f"copy-{at}", tmp_path / f"other-{at}"
        shutil.copytree(bed.root, root)
        disk = FailingDisk(at, dead=dead)
        with contextlib.suppress(OSError, StorageError):
            restore_store(root, disk, bed.backup, NOW + 5)
        done = disk.calls < at
        disk.unlock()
        shutil.copytree(root, other)
        name = interrupted(root, DISK())
        if name is None:
            found = content(root)
            assert (found, noted(root)) in ((bed.now, "now"), (bed.then, "then")), at
            outcomes["before" if found == bed.now else "backup"] += 1
        else:
            outcomes["stopped"] += 1
            assert name == bed.backup
            store = Store(root, DISK())
            with pytest.raises(StorageError, match="restore"):
                store.open()
            store.fs.unlock()
            undo_restore(other, DISK())
            assert (content(other), noted(other)) == (bed.now, "now"), at
            assert damage(look(other)) == [], at
        restore_store(root, DISK(), bed.backup, NOW + 6)
        assert (content(root), noted(root)) == (bed.then, "then"), at
        kept = [content(each) for each in (root / "replaced").iterdir() if (each / "store.json").exists()]
        assert bed.now in kept, at
        shutil.rmtree(root)
        shutil.rmtree(other)
        if done:
            break
    assert all(outcomes.values()), outcomes


def test_undo_interrupted_at_any_call_can_be_repeated_or_turned_round(bed: Bed, tmp_path: Path) -> None:
    """From every state a restore can be left in, an undo that fails anywhere can be done again, or the restore can."""
    tried = 0
    for at in range(1, 500):
        half = tmp_path / "half"
        shutil.copytree(bed.root, half)
        disk = FailingDisk(at, dead=True)
        with contextlib.suppress(OSError, StorageError):
            restore_store(half, disk, bed.backup, NOW + 5)
        disk.unlock()
        done = disk.calls < at
        if interrupted(half, DISK()) is not None:
            for undo_at in range(1, 100):
                root, other = tmp_path / "root", tmp_path / "other"
                shutil.copytree(half, root)
                failing = FailingDisk(undo_at, dead=True)
                with contextlib.suppress(OSError):
                    undo_restore(root, failing)
                failing.unlock()
                shutil.copytree(root, other)
                if interrupted(root, DISK()) is not None:
                    undo_restore(root, DISK())
                    restore_store(other, DISK(), bed.backup, NOW + 6)
                    assert (content(other), noted(other)) == (bed.then, "then")
                assert (content(root), noted(root)) == (bed.now, "now"), (at, undo_at)
                tried += 1
                shutil.rmtree(root)
                shutil.rmtree(other)
                if failing.calls < undo_at:
                    break
        shutil.rmtree(half)
        if done:
            break
    assert tried > 100


def test_restore_survives_a_power_loss_after_any_step(bed: Bed) -> None:
    """Whatever of the unsynced names is on the disk: as before, as in the backup, or refused until done or undone."""
    start: Contents = {str(folder): None for folder in (*bed.root.parents, bed.root) if folder.name}
    for path in sorted(bed.root.rglob("*")):
        start[str(path)] = None if path.is_dir() else path.read_bytes()
    outcomes: Counter[str] = Counter()
    seen: set[int] = set()
    random = Random(1)  # noqa: S311 -- a sample that is the same each time
    fs = SimulatedFileSystem(start)

    def attempt(state: Contents) -> None:
        after = SimulatedFileSystem(state)
        if interrupted(bed.root, after) is None:
            found = content(bed.root, after)
            assert (found, noted(bed.root, after)) in ((bed.now, "now"), (bed.then, "then"))
            outcomes["before" if found == bed.now else "backup"] += 1
        else:
            outcomes["stopped"] += 1
            other = SimulatedFileSystem(state)
            with contextlib.suppress(StorageError):
                Store(bed.root, other).open()  # a start that is refused, and leaves empty folders
            other.unlock()
            undo_restore(bed.root, other)
            assert (content(bed.root, other), noted(bed.root, other)) == (bed.now, "now")
        restore_store(bed.root, after, bed.backup, NOW + 6)
        assert (content(bed.root, after), noted(bed.root, after)) == (bed.then, "then")

    def step(_kind: str) -> None:
        for state in crash_states(fs, random):
            key = hash(tuple(state.items()))
            if key not in seen:
                seen.add(key)
                attempt(state)

    fs.after_step = step
    restore_store(bed.root, fs, bed.backup, NOW + 5)
    assert all(outcomes[name] > 10 for name in ("before", "backup", "stopped")), outcomes
    assert content(bed.root, fs) == bed.then


def test_restore_of_a_damaged_backup_changes_nothing(bed: Bed) -> None:
    """Every file of the backup is verified first."""
    flip(next((bed.root / "backups").glob("*/sessions/*/*.json")), 300)
    before = bytes_of(bed.root)
    with pytest.raises(StorageError, match="nothing was changed"):
        restore_store(bed.root, DISK(), bed.backup, NOW + 5)
    assert {name: told for name, told in bytes_of(bed.root).items() if name != "lock"} == {
        name: told for name, told in before.items() if name != "lock"
    }


def test_restore_works_when_store_json_is_damaged_or_gone(bed: Bed) -> None:
    """The backup has its own; the damaged one is kept."""
    (bed.root / "store.json").write_bytes(b"rubbish")
    done = restore_store(bed.root, DISK(), bed.backup, NOW + 5)
    assert content(bed.root) == bed.then
    assert (Path(done.replaced) / "store.json").read_bytes() == b"rubbish"
    (bed.root / "store.json").unlink()
    restore_store(bed.root, DISK(), bed.backup, NOW + 6)
    assert content(bed.root) == bed.then


def test_restore_of_another_backup_while_one_is_unfinished_is_refused(bed: Bed) -> None:
    """The unfinished one is finished or undone first."""
    store = opened(bed.root)
    other = Backups(store).create(NOW + 3, "manual").name
    let_go(store)
    for at in range(1, 300):
        disk = FailingDisk(at, dead=True)
        with contextlib.suppress(OSError, StorageError):
            restore_store(bed.root, disk, bed.backup, NOW + 5 + at)
        disk.unlock()
        if interrupted(bed.root, DISK()):
            break
    with pytest.raises(StorageError, match="--undo"):
        restore_store(bed.root, DISK(), other, NOW + 6)


def test_restore_of_one_session_is_a_change_like_others(bed: Bed) -> None:
    """The session is as in the backup, one version on; its history has both, and the rest of the store is untouched."""
    done = restore_session(bed.root, DISK(), bed.backup, ONE, NOW + 5)
    found = content(bed.root)
    assert same(found, bed.now, but=[ONE])
    now, then = bed.now[ONE], bed.then[ONE]
    assert found[ONE].header.version == now.header.version + 1 == done.version
    assert (found[ONE].state, found[ONE].contexts) == (then.state, then.contexts)
    assert found[ONE].history.document_at(now.header.version) == now.document()
    assert found[ONE].history.document_at(now.header.version + 1) == then.document()
    assert found[ONE].history.entries[-1].what == "restored"
    assert "before lunch" in found[ONE].snapshots
    kept = (Path(done.replaced) / f"{ONE}.json").read_bytes()
    assert decode_session(kept, look(bed.root).store_id).session == now


def test_restore_of_one_session_interrupted_at_any_call_leaves_one_or_the_other(bed: Bed, tmp_path: Path) -> None:
    """Whichever call fails, the session is as before or as restored, and can be restored."""
    seen = set()
    for at in range(1, 500):
        root = tmp_path / f"copy-{at}"
        shutil.copytree(bed.root, root)
        disk = FailingDisk(at, dead=True)
        with contextlib.suppress(OSError, StorageError):
            restore_session(root, disk, bed.backup, ONE, NOW + 5)
        disk.unlock()
        found = content(root)
        assert same(found, bed.now, but=[ONE]), at
        assert found[ONE] == bed.now[ONE] or found[ONE].state == bed.then[ONE].state, at
        seen.add(found[ONE].header.version)
        restore_session(root, DISK(), bed.backup, ONE, NOW + 6)
        assert content(root)[ONE].state == bed.then[ONE].state, at
        shutil.rmtree(root)
        if disk.calls < at:
            break
    assert len(seen) == 2


def test_restore_of_a_session_that_was_removed_brings_it_back(bed: Bed) -> None:
    """One that is not in the store any more comes back under its id."""
    store = opened(bed.root)
    store.note_gone(TWO, store.writer.next_lsn)
    store.delete_leftover(TWO)
    store.close()
    restore_session(bed.root, DISK(), bed.backup, TWO, NOW + 5)
    assert content(bed.root)[TWO].state == {"b": 1}


@pytest.mark.parametrize(("name", "session_id"), [("nothing", ONE), (None, "session_9_9_nobody")])
def test_restore_of_what_is_not_there_says_so(bed: Bed, name: str | None, session_id: str) -> None:
    """A wrong name of a backup or a session is told; the sessions stay as they are."""
    with pytest.raises(StorageError, match=r"no complete backup|not in backup"):
        restore_session(bed.root, DISK(), name or bed.backup, SessionId(session_id), NOW)
    assert content(bed.root) == bed.now


# ---- export and import


def test_export_and_import_bring_everything_to_another_store(bed: Bed, tmp_path: Path) -> None:
    """Sessions with history and names are equal in the other store; the first one is not changed by the export."""
    before = bytes_of(bed.root)
    text, done = text_of(bed.root)
    assert bytes_of(bed.root) == before
    assert (done.sessions, done.damaged, done.missing) == (3, {}, {})
    assert any("journal" in note for note in done.notes)
    assert [set(json.loads(line)) for line in text.splitlines()] == [
        {"format", "format_version", "store_id", "exported_at", "sessions"},
        *[{"session"}] * 3,
        {"sessions", "missing", "checksum"},
    ]
    other = tmp_path / "other"
    opened(other).close()
    imported = import_sessions(other, DISK(), read_export(text), NOW, overwrite=False)
    assert (imported.added, imported.replaced, imported.kept_in) == (3, 0, None)
    assert content(other) == bed.now
    assert damage(look(other)) == []


def test_export_of_a_store_that_was_closed_has_no_notes(bed: Bed) -> None:
    """After a clean end there is nothing to say."""
    store = opened(bed.root)
    store.close()
    assert text_of(bed.root, ONE)[1].notes == ()


def test_export_with_a_damaged_session_says_so(bed: Bed) -> None:
    """What cannot be read is named in the last line; the others are there."""
    store = opened(bed.root)
    store.close()
    shutil.rmtree(bed.root / "journal")
    for path in (bed.root / "sessions").glob(f"*/{TWO}*"):
        flip(path)
    text, done = text_of(bed.root)
    assert list(done.missing) == [TWO]
    assert list(json.loads(text.splitlines()[-1])["missing"]) == [TWO]
    assert len(read_export(text)) == 2


def test_import_refuses_sessions_that_are_there(bed: Bed) -> None:
    """Without `--replace` nothing at all is imported when one of them is there."""
    text, _ = text_of(bed.root)
    extra = [*read_export(text), new_session(7)]
    with pytest.raises(StorageError, match="--replace"):
        import_sessions(bed.root, DISK(), extra, NOW, overwrite=False)
    assert content(bed.root) == bed.now


def test_import_with_replace_keeps_the_present_ones(bed: Bed) -> None:
    """Replaced sessions are a version after the present one, and what they were is in `replaced/`."""
    text, _ = text_of(bed.root, ONE)
    store = opened(bed.root)
    present = change(store, bed.now[ONE], a="later")
    store.close()
    done = import_sessions(bed.root, DISK(), read_export(text), NOW, overwrite=True)
    assert (done.added, done.replaced) == (0, 1)
    found = content(bed.root)[ONE]
    assert (found.state, found.header.version) == (bed.now[ONE].state, present.header.version + 1)
    assert done.kept_in is not None
    kept = (Path(done.kept_in) / f"{ONE}.json").read_bytes()
    assert decode_session(kept, look(bed.root).store_id).session == present


def test_import_refuses_a_session_of_another_client(bed: Bed) -> None:
    """An id that another client has here is not taken over."""
    with pytest.raises(StorageError, match="another client"):
        import_sessions(bed.root, DISK(), [new_session(1, "mallory")], NOW, overwrite=True)
    assert content(bed.root) == bed.now


def test_read_export_refuses_any_flipped_byte(bed: Bed) -> None:
    """The whole file is verified before anything is taken from it."""
    text, _ = text_of(bed.root)
    good = read_export(text)
    for offset in range(0, len(text), 13):
        data = bytearray(text)
        data[offset] ^= 0x01
        with contextlib.suppress(StorageError):
            assert read_export(bytes(data)) == good, offset  # nothing but what does not count
    for size in range(0, len(text), 97):
        with pytest.raises(StorageError):
            read_export(text[:size])


@pytest.mark.parametrize(
    "session",
    [
        new_session(1).header.session_id.replace("session", "../../x"),
        "session_1_1_" + "a" * 65,
        "session_1_1_a/b",
        "",
    ],
)
def test_read_export_refuses_an_id_that_would_be_a_path(tmp_path: Path, session: str) -> None:
    """Ids become names of files: only real ones are taken."""
    root = tmp_path / "data"
    store = opened(root)
    put(store, new_session(1))
    store.close()
    text, _ = text_of(root)
    lines = text.replace(ONE.encode(), session.encode()).splitlines(keepends=True)
    tail = json.loads(lines[-1])
    import hashlib  # noqa: PLC0415 -- only here

    tail["checksum"] = f"sha256:{hashlib.sha256(b''.join(lines[:-1])).hexdigest()}"
    with pytest.raises(StorageError, match="no id of a session"):
        read_export(b"".join(lines[:-1]) + json.dumps(tail).encode() + b"\n")


def test_export_of_a_session_that_is_not_there_says_so(bed: Bed) -> None:
    """A wrong id writes nothing."""
    with pytest.raises(SessionNotFoundError):
        text_of(bed.root, SessionId("session_9_9_nobody"))


# ---- history


def test_history_lists_versions_and_makes_each_of_them(bed: Bed) -> None:
    """All versions are there, the newest first, with names and patches; each document can be made."""
    before = bytes_of(bed.root)
    found = read_history(bed.root, DISK(), ONE)
    assert [row.version for row in found.versions] == [4, 3, 2]
    assert (found.version, found.oldest_version, found.snapshots) == (4, 1, {"before lunch": 3})
    assert {"op": "replace", "path": "/state/a", "value": 4} in found.versions[0].patch
    assert [read_version(bed.root, DISK(), ONE, v)["state"].get("a") for v in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert [row.version for row in read_history(bed.root, DISK(), ONE, 1).versions] == [4]
    assert bytes_of(bed.root) == before


def test_history_of_what_is_not_there_says_so(bed: Bed) -> None:
    """A version or session that is not kept is told."""
    with pytest.raises(VersionNotFoundError, match="1 to 4"):
        read_version(bed.root, DISK(), ONE, 9)
    with pytest.raises(SessionNotFoundError):
        read_history(bed.root, DISK(), SessionId("session_9_9_nobody"))


# ---- with a daemon


def test_tools_that_change_something_refuse_while_a_daemon_runs(bed: Bed) -> None:
    """Repair, restore, import and export say that a daemon uses the folder, and change nothing."""
    store = opened(bed.root)
    before = bytes_of(bed.root)
    session: Session = bed.now[ONE]
    for work in (
        lambda: repair_store(bed.root, DISK()),
        lambda: restore_store(bed.root, DISK(), bed.backup, NOW),
        lambda: undo_restore(bed.root, DISK()),
        lambda: restore_session(bed.root, DISK(), bed.backup, ONE, NOW),
        lambda: import_sessions(bed.root, DISK(), [session], NOW, overwrite=True),
        lambda: text_of(bed.root),
    ):
        with pytest.raises(StoreInUseError, match="stop it first"):
            work()
    assert bytes_of(bed.root) == before
    store.close()
