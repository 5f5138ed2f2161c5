"""The audit log on the disk: written in time, whole after crashes and failures, and altered by nobody unseen."""

import errno
import json
import shutil
import time
from pathlib import Path

import pytest

from stui_sessiond.errors import StorageError
from stui_sessiond.security.audit import Actor, Entry
from stui_sessiond.storage import audit_log
from stui_sessiond.storage.audit_fold import FOLD_FREE
from stui_sessiond.storage.audit_log import AuditRules, FileAudit
from stui_sessiond.storage.fs import LocalFileSystem
from stui_sessiond.storage.tools.audit import AuditReport, Follower, last_entries, read_anchor, verify_audit
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.disk import TestDisk

ADA = Actor(client_id="ada", transport="tcp", address="127.0.0.1:5000")


def write(root: Path, *commands: str, clock: FakeClock | None = None, rules: AuditRules | None = None) -> None:
    """Open the log, write an entry for each command, close it."""
    log = FileAudit(root, LocalFileSystem(), clock or FakeClock(), rules)
    log.open()
    for command in commands:
        log.record("command.ended", ADA, command=command)
    assert log.close()


def check(root: Path, *anchors: str) -> AuditReport:
    """Verify the log."""
    return verify_audit(root, LocalFileSystem(), [read_anchor(anchor) for anchor in anchors])


def entries(root: Path) -> list[Entry]:
    """All entries."""
    return [entry for entry in last_entries(root, LocalFileSystem(), 10_000) if isinstance(entry, Entry)]


def files(root: Path) -> list[Path]:
    """The files of the log."""
    return sorted((root / "audit").glob("*.jsonl"))


@pytest.fixture
def lived(tmp_path: Path) -> Path:
    """A folder whose log was written in three goes, closed, in three files."""
    root = tmp_path / "data"
    for go in range(3):
        write(root, *(f"c{go}{number}" for number in range(4)))
    return root


def killed(root: Path, *commands: str) -> None:
    """Write, and leave it as a killed daemon does: durable, not closed."""
    log = FileAudit(root, LocalFileSystem(), FakeClock())
    log.open()
    for command in commands:
        log.record("command.ended", ADA, command=command)
    assert log.flush()
    copy = root.with_name("killed")
    shutil.copytree(root, copy)
    log.close()
    shutil.rmtree(root)
    copy.rename(root)


# ---- the chain


def test_entries_are_chained_over_files(lived: Path) -> None:
    """Each has the number after, and the hash of, the one before; nobody else may read the files."""
    found = entries(lived)
    assert [entry.seq for entry in found] == list(range(1, 13))
    assert [entry.prev for entry in found[1:]] == [entry.hash for entry in found[:-1]]
    assert len(files(lived)) == 3
    report = check(lived)
    assert (report.sound, report.entries, report.closed, report.findings) == (True, 12, True, ())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (lived / "audit").iterdir())
    assert (lived / "audit.key").stat().st_mode & 0o777 == 0o600
    assert (lived / "audit").stat().st_mode & 0o777 == 0o700


def test_entry_is_durable_within_a_second(tmp_path: Path) -> None:
    """Nobody has to ask for it."""
    log = FileAudit(tmp_path / "data", LocalFileSystem(), FakeClock())
    log.open()
    started = time.monotonic()
    log.record("token.created")
    with log._changed:
        assert log._changed.wait_for(lambda: log._durable == 1, 10)
    assert time.monotonic() - started < 1
    log.close()


def test_entries_that_come_fast_do_not_wait_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When enough for a batch wait, they are written, batch after batch; none is lost."""
    monkeypatch.setattr(audit_log, "GATHER_S", 60.0)
    monkeypatch.setattr(audit_log, "MAX_BATCH", 10)
    log = FileAudit(tmp_path / "data", LocalFileSystem(), FakeClock())
    log.open()
    for number in range(100):
        log.record("command.ended", ADA, command=f"c{number}")
    with log._changed:
        assert log._changed.wait_for(lambda: log._durable == 100, 10)
    log.close()
    assert [entry.command for entry in entries(tmp_path / "data")] == [f"c{number}" for number in range(100)]


@pytest.mark.parametrize("part", ["audit", "audit.key"])
def test_any_flipped_bit_of_any_file_is_found(lived: Path, part: str) -> None:
    """One bit in each byte of entries, head and key."""
    silent = []
    flips = 0
    place = lived / part
    for path in sorted(place.iterdir()) if place.is_dir() else [place]:
        data = path.read_bytes()
        for position in range(len(data)):
            altered = bytearray(data)
            altered[position] ^= 1 << (position % 8)
            path.write_bytes(altered)
            flips += 1
            if check(lived).sound:
                silent.append((path.name, position))
        path.write_bytes(data)
    assert flips >= 32
    assert silent == []


def lines_of(root: Path) -> list[tuple[Path, int]]:
    """Every line, by file and number."""
    return [(path, number) for path in files(root) for number in range(path.read_bytes().count(b"\n"))]


@pytest.mark.parametrize("how", ["removed", "doubled", "swapped", "inserted", "blank"])
def test_any_line_altered_as_a_whole_is_found(lived: Path, how: str) -> None:
    """At every place; an inserted line is a sound one from elsewhere."""
    foreign = lived.with_name("other")
    write(foreign, "x", "y")
    stranger = files(foreign)[0].read_bytes().splitlines(keepends=True)[1]
    for path, number in lines_of(lived):
        data = path.read_bytes()
        lines = data.splitlines(keepends=True)
        if how == "removed":
            del lines[number]
        elif how == "doubled":
            lines.insert(number, lines[number])
        elif how == "swapped":
            other = (number + 1) % len(lines)
            lines[number], lines[other] = lines[other], lines[number]
        else:
            lines.insert(number, stranger if how == "inserted" else b"\n")
        path.write_bytes(b"".join(lines))
        assert not check(lived).sound, (path.name, number)
        path.write_bytes(data)
    assert check(lived).sound


def test_any_file_removed_or_put_in_place_of_another_is_found(lived: Path) -> None:
    """The first, the middle, the last, all of them, and the head."""
    for path in [*files(lived), lived / "audit" / "head.json", lived / "audit.key"]:
        data = path.read_bytes()
        path.unlink()
        assert not check(lived).sound, path.name
        path.write_bytes(data)
    first, second, _ = files(lived)
    first.write_bytes(second.read_bytes())
    assert not check(lived).sound
    for path in files(lived):
        path.unlink()
    assert not check(lived).sound


@pytest.mark.parametrize("closed", [True, False])
def test_end_cut_off_at_any_byte_is_found(tmp_path: Path, closed: bool) -> None:
    """In a log that was closed, and in one whose daemon was killed: what is durable is under the head."""
    root = tmp_path / "data"
    write(root, "a", "b")
    (write if closed else killed)(root, "c", "d", "e")
    path = files(root)[-1]
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert not check(root).sound, size
    path.unlink()
    assert not check(root).sound


def test_end_cut_off_stays_visible_after_the_next_start(lived: Path) -> None:
    """The daemon goes on behind the gap and says what it found; it does not heal the evidence."""
    path = files(lived)[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    write(lived, "later")
    report = check(lived)
    assert not report.sound
    words = " ".join(finding.what for finding in report.findings)
    assert "2 entries before it are missing" in words
    assert "found altered when it was opened" in words
    assert entries(lived)[-1].seq == 14


def test_head_removed_or_forged_stays_visible_after_the_next_start(lived: Path) -> None:
    """Deleting the head together with the end does not help either."""
    path = files(lived)[-1]
    path.unlink()
    (lived / "audit" / "head.json").unlink()
    write(lived, "later")
    assert not check(lived).sound


def test_log_written_anew_with_the_key_is_found_by_an_anchor(lived: Path) -> None:
    """Who can read the key can forge everything but what was told elsewhere before."""
    anchor = f"{check(lived).last_seq}:{check(lived).last_hash}"
    write(lived, "later")
    assert check(lived, anchor, "2:" + entries(lived)[1].hash[:16]).sound
    for path in [*files(lived), lived / "audit" / "head.json"]:
        path.unlink()
    write(lived, *(f"forged{number}" for number in range(13)))
    assert check(lived).sound
    assert not check(lived, anchor).sound
    assert not check(lived, "99:" + "0" * 16).sound


@pytest.mark.parametrize("text", ["", "7", "7:abc", "x:" + "0" * 64, "7:" + "0" * 65])
def test_anchor_that_is_none(text: str) -> None:
    """It has a number and sixteen characters of a hash at least."""
    with pytest.raises(ValueError, match="SEQ:HASH"):
        read_anchor(text)


def test_verify_where_there_is_no_log(tmp_path: Path) -> None:
    """That is said, and is not the same as sound."""
    with pytest.raises(StorageError, match="no audit log"):
        check(tmp_path)


# ---- crashes


def test_crash_in_the_middle_of_a_line_is_reported_and_the_chain_goes_on(tmp_path: Path) -> None:
    """The unfinished line stays as it is; an entry names it, so that altering it later is found."""
    root = tmp_path / "data"
    killed(root, "a", "b")
    path = files(root)[-1]
    path.write_bytes(path.read_bytes() + b'{"seq":3,"at":"20')
    report = check(root)
    assert report.sound
    assert "unfinished line" in report.findings[0].what
    write(root, "c")
    report = check(root)
    assert report.sound
    assert [entry.event for entry in entries(root)] == ["command.ended"] * 2 + ["audit.torn", "command.ended"]
    assert [finding.severity for finding in report.findings] == ["note"]
    for altered in (b'{"seq":3,"at":"21', b'{"seq":3', b""):
        path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:2]) + b"\n" + altered)
        assert not check(root).sound


def test_crashes_one_after_the_other(tmp_path: Path) -> None:
    """Files that hold nothing but an unfinished line are named as well, and empty ones do no harm."""
    root = tmp_path / "data"
    killed(root, "a")
    (root / "audit" / "0000000000000002.000.jsonl").write_bytes(b'{"se')
    (root / "audit" / "0000000000000002.001.jsonl").write_bytes(b'{"seq":')
    (root / "audit" / "0000000000000002.002.jsonl").write_bytes(b"")
    write(root, "b")
    assert check(root).sound
    assert [entry.event for entry in entries(root)].count("audit.torn") == 2


def test_crash_between_entries_and_head(tmp_path: Path) -> None:
    """Entries that the head does not know yet are part of the log."""
    root = tmp_path / "data"
    killed(root, "a")
    before = (root / "audit" / "head.json").read_bytes()
    killed(root, "b")
    (root / "audit" / "head.json").write_bytes(before)
    assert check(root).sound
    write(root, "c")
    assert check(root).sound
    assert [entry.command for entry in entries(root)] == ["a", "b", "c"]


# ---- a disk that fails


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter pauses and a short queue."""
    monkeypatch.setattr(audit_log, "RETRY_S", 0.01)
    monkeypatch.setattr(audit_log, "GATHER_S", 0.01)
    monkeypatch.setattr(audit_log, "MAX_WAITING", 8)


@pytest.mark.usefixtures("quick")
def test_full_disk_leaves_a_counted_hole(tmp_path: Path) -> None:
    """What waits is written when there is room again; what did not fit is counted; nobody was held up."""
    disk = TestDisk()
    log = FileAudit(tmp_path / "data", disk, FakeClock())
    log.open()
    log.record("command.ended", command="before")
    assert log.flush()
    disk.fail(errno.ENOSPC)
    for number in range(20):
        log.record("command.ended", command=f"c{number}")
    assert not log.flush(0.1)
    disk.heal()
    assert log.flush()
    assert log.close()
    report = check(tmp_path / "data")
    assert (report.sound, report.holes, report.lost) == (True, 1, 12)
    assert [entry.command for entry in entries(tmp_path / "data") if entry.command] == [
        "before",
        *(f"c{number}" for number in range(8)),
    ]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_call_that_fails_anywhere_loses_and_doubles_nothing(tmp_path: Path, number: int) -> None:
    """Each call of the disk is broken once, in the middle of the work; the log is whole all the same."""
    for at in range(1, 40):
        root = tmp_path / f"{number}-{at}"
        disk = TestDisk()
        log = FileAudit(root, disk, FakeClock())
        log.open()
        log.record("command.ended", command="a")
        assert log.flush()
        disk.fail(number, at=at)
        log.record("command.ended", command="b")
        assert log.flush()
        log.record("command.ended", command="c")
        assert log.close()
        report = check(root)
        assert report.sound, (at, disk.failed, report.findings)
        assert [entry.command for entry in entries(root) if entry.command] == ["a", "b", "c"], (at, disk.failed)
        if not disk.failed:
            break
    else:
        pytest.fail("the calls do not end")


@pytest.mark.usefixtures("quick")
def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    """The second waits until the first has closed."""
    root = tmp_path / "data"
    first, second = (FileAudit(root, LocalFileSystem(), FakeClock()) for _ in range(2))
    first.open()
    first.record("command.ended", command="a")
    assert first.flush()
    second.open()
    second.record("command.ended", command="b")
    assert not second.flush(0.1)
    assert first.close()
    assert second.close()
    assert check(root).sound
    assert [entry.command for entry in entries(root)] == ["a", "b"]


# ---- bounds


def test_rotation_by_day_and_size_keeps_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new day and a long file begin another one."""
    monkeypatch.setattr(audit_log, "FILE_BYTES", 600)
    clock = FakeClock()
    log = FileAudit(tmp_path / "data", LocalFileSystem(), clock)
    log.open()
    for _ in range(6):
        log.record("command.ended", ADA, command="evaluate")
        assert log.flush()
    count = len(files(tmp_path / "data"))
    assert count >= 3
    clock.pass_time(86400)
    log.record("command.ended", ADA, command="evaluate")
    assert log.close()
    assert len(files(tmp_path / "data")) == count + 1
    report = check(tmp_path / "data")
    assert (report.sound, report.entries) == (True, 7)


def test_retention_by_size_lets_go_of_the_oldest_and_says_so(tmp_path: Path) -> None:
    """The rest still verifies, an entry tells what is gone, and deleting one more file is found."""
    root = tmp_path / "data"
    for go in range(12):
        write(root, f"c{go}", rules=AuditRules(max_bytes=2000))
    report = check(root)
    assert report.sound, report.findings
    assert sum(path.stat().st_size for path in files(root)) < 4000
    assert report.first_seq is not None
    assert report.first_seq > 1
    assert any(entry.event == "audit.dropped" for entry in entries(root))
    files(root)[0].unlink()
    assert not check(root).sound


def test_retention_by_age(tmp_path: Path) -> None:
    """What is older than the settings allow goes when a file begins; what is younger stays."""
    root, clock = tmp_path / "data", FakeClock()
    rules = AuditRules(max_age_s=10 * 86400)
    write(root, "old", clock=clock, rules=rules)
    clock.pass_time(6 * 86400)
    write(root, "young", clock=clock, rules=rules)
    clock.pass_time(6 * 86400)
    write(root, "new", clock=clock, rules=rules)
    assert [entry.command for entry in entries(root) if entry.command] == ["young", "new"]
    assert check(root).sound


def test_crash_before_an_old_file_is_deleted(tmp_path: Path) -> None:
    """The head has let go of it already: that is no alteration, and the next start deletes it."""
    root = tmp_path / "data"
    rules = AuditRules(max_bytes=1500)
    for go in range(3):
        write(root, f"c{go}", rules=rules)
    old = files(root)[0]
    data = old.read_bytes()
    for go in range(6):
        write(root, f"d{go}", rules=rules)
    assert not old.exists()
    old.write_bytes(data)
    write(root, "e", rules=rules)
    assert not old.exists()
    assert check(root).sound


def test_refusals_without_end_share_an_entry(tmp_path: Path) -> None:
    """A stranger who tries a thousand times makes a few entries, one of which tells how often."""
    root = tmp_path / "data"
    log = FileAudit(root, LocalFileSystem(), FakeClock())
    log.open()
    for port in range(1000):
        log.record("peer.refused", Actor(transport="tcp", address=f"127.0.0.1:{port}"), outcome="authentication_failed")
    log.record("peer.refused", Actor(transport="tcp", address="127.0.0.2:1"), outcome="authentication_failed")
    assert log.close()
    found = entries(root)
    assert len(found) == FOLD_FREE + 2
    assert found[-1].details == {"repeated": 1000 - FOLD_FREE}


def test_entries_that_wait_are_bounded(tmp_path: Path) -> None:
    """Before the disk is there at all, too."""
    log = FileAudit(tmp_path / "data", LocalFileSystem(), FakeClock())
    for _ in range(audit_log.MAX_WAITING + 10):
        log.record("command.ended")
    assert len(log._waiting) == audit_log.MAX_WAITING
    log.open()
    assert log.close()
    assert check(tmp_path / "data").lost == 10


# ---- reading


def test_follower_gives_what_is_new_over_files(lived: Path) -> None:
    """And nothing of what was there before."""
    follower = Follower(lived, LocalFileSystem())
    assert list(follower.poll()) == []
    write(lived, "n1", "n2")
    write(lived, "n3")
    found = [entry.command for entry in follower.poll() if isinstance(entry, Entry)]
    assert found == ["n1", "n2", "n3"]
    assert list(follower.poll()) == []


def test_last_entries_marks_altered_lines(lived: Path) -> None:
    """They come as bytes, in their place."""
    path = files(lived)[-1]
    path.write_bytes(path.read_bytes().replace(b"c23", b"c99"))
    *_, before, last = last_entries(lived, LocalFileSystem(), 5)
    assert isinstance(before, Entry)
    assert isinstance(last, bytes)
    assert json.loads(last)["command"] == "c99"
