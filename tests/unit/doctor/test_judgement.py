"""What the doctor says of what it has seen."""

import errno
import os
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from stui_sessiond.doctor import examination
from stui_sessiond.doctor.clock import BUILT_AT, ClockFacts, judge_clock, probe_clock
from stui_sessiond.doctor.disk import FULL_BYTES, DiskFacts, file_system, judge_disk, probe_disk
from stui_sessiond.doctor.finding import Finding, Level, worst
from stui_sessiond.doctor.folder import PathFacts, judge_private, judge_socket_path, look
from stui_sessiond.doctor.limit import LimitFacts, judge_limits, probe_limits
from stui_sessiond.doctor.live import ImageFacts, LiveFacts, judge_live, judge_port, probe_live, probe_port
from stui_sessiond.doctor.stored import check_stored, judge_audit, judge_backups
from stui_sessiond.doctor.tls import SOON_S, CertificateFacts, check_tls, judge_certificate, probe_certificate
from stui_sessiond.doctor.version import judge_versions, probe_versions
from stui_sessiond.settings import EncryptionSettings, Settings
from stui_sessiond.storage.api import BackupInfo
from stui_sessiond.storage.tools.audit import AuditReport

PLACE = Path("/srv/stui data")
DISK = DiskFacts(PLACE, 10**11, 10**12, "ext4", 0.002)
NOW = 1_800_000_000.0
LIVE = LiveFacts(socket_path=PLACE, socket="answers", process=7, holder=7, folder_in_use=True, storage="ok")


def levels(found: list[Finding]) -> list[Level]:
    """The levels alone; whatever hurts says what it means and what to do."""
    for finding in found:
        if finding.level in {"warning", "problem"}:
            assert finding.meaning, finding
            assert finding.advice, finding
    return [finding.level for finding in found]


def test_worst_of_findings() -> None:
    """Problems over warnings over notes."""
    found = [Finding(level, "x", "y") for level in ("note", "warning", "ok")]
    assert worst(found) == "warning"
    assert worst([]) == "ok"


@pytest.mark.parametrize(
    ("facts", "kind", "level"),
    [
        (PathFacts(PLACE, "folder", 0o700, 5, usable=True), "folder", "ok"),
        (PathFacts(PLACE, "folder", 0o755, 5, usable=True), "folder", "warning"),
        (PathFacts(PLACE, "folder", 0o770, 5, usable=True), "folder", "problem"),
        (PathFacts(PLACE, "file", 0o640, 5, usable=True), "file", "problem"),
        (PathFacts(PLACE, "folder", 0o700, 6, usable=True), "folder", "problem"),
        (PathFacts(PLACE, "file", 0o700, 5, usable=True), "folder", "problem"),
        (PathFacts(PLACE, "folder", 0o700, 5, usable=False), "folder", "problem"),
        (PathFacts(PLACE, "nothing"), "folder", "note"),
    ],
)
def test_permissions(facts: PathFacts, kind: str, level: Level) -> None:
    """What others can read is a warning for folders and a problem for secrets; the command quotes the path."""
    found = judge_private("x", facts, 5, kind)
    assert levels([found]) == [level]
    if level in {"warning", "problem"}:
        assert "'/srv/stui data'" in (found.advice or "")


def test_permissions_as_they_are(tmp_path: Path) -> None:
    """A real folder, file and socket."""
    tmp_path.chmod(0o750)
    assert (look(tmp_path).kind, look(tmp_path).mode) == ("folder", 0o750)
    assert look(tmp_path / "x").kind == "nothing"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        assert look(tmp_path / "s").kind == "socket"


def test_socket_path_that_does_not_fit() -> None:
    """It is measured in bytes."""
    assert judge_socket_path(Path("/run/ü")).level == "ok"
    assert levels([judge_socket_path(Path("/" + "ü" * 60))]) == ["problem"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (DISK, ["ok", "ok", "ok"]),
        (replace(DISK, free_bytes=FULL_BYTES - 1), ["problem", "ok", "ok"]),
        (replace(DISK, free_bytes=FULL_BYTES + 1), ["warning", "ok", "ok"]),
        (replace(DISK, sync_s=0.06), ["ok", "warning", "ok"]),
        (replace(DISK, sync_s=1.5), ["ok", "problem", "ok"]),
        (replace(DISK, sync_s=None, sync_failure="No space left"), ["ok", "problem", "ok"]),
        (replace(DISK, kind="tmpfs"), ["ok", "ok", "warning"]),
        (replace(DISK, kind="nfs4"), ["ok", "ok", "warning"]),
        (replace(DISK, kind=None), ["ok", "ok", "note"]),
    ],
)
def test_disk(facts: DiskFacts, expected: list[Level]) -> None:
    """Room, time of a sync, and whether a sync can be believed."""
    assert levels(judge_disk(facts)) == expected


def test_disk_as_it_is(tmp_path: Path) -> None:
    """Measured, with nothing left behind; the nearest mount tells the kind."""
    facts = probe_disk(tmp_path)
    assert facts.sync_s is not None
    assert list(tmp_path.iterdir()) == []
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / ext4 rw 0 0\nb {tmp_path} nfs rw 0 0\nc {tmp_path}/other tmpfs rw 0 0\n")
    assert file_system(tmp_path / "x", mounts) == "nfs"
    assert file_system(tmp_path, tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ClockFacts(NOW, NOW - 1, synchronised=True), ["ok"]),
        (ClockFacts(NOW, None, synchronised=None), ["ok"]),
        (ClockFacts(NOW, NOW + 3600, synchronised=True), ["problem"]),
        (ClockFacts(BUILT_AT - 1, None, synchronised=None), ["problem"]),
        (ClockFacts(NOW, None, synchronised=False), ["ok", "note"]),
    ],
)
def test_clock(facts: ClockFacts, expected: list[Level]) -> None:
    """It went back, it was never right, or nobody keeps it right."""
    assert levels(judge_clock(facts)) == expected


def test_clock_against_a_file_of_tomorrow(tmp_path: Path) -> None:
    """The newest file counts."""
    (tmp_path / "index.json").touch()
    facts = probe_clock(tmp_path)
    os.utime(tmp_path / "index.json", (facts.now + 86400, facts.now + 86400))
    assert judge_clock(probe_clock(tmp_path))[0].level == "problem"


def test_limits() -> None:
    """Open files against connections; the backlog is a note."""
    assert levels(judge_limits(LimitFacts(20_000, 4096), 1024)) == ["ok"]
    assert levels(judge_limits(LimitFacts(1024, 128), 1024)) == ["warning", "note"]
    assert levels(judge_limits(LimitFacts(None, None), 1024)) == ["ok"]
    assert probe_limits().files is None or probe_limits().files


def test_versions() -> None:
    """Too old, missing, not there by choice."""
    required = ["websockets>=17.4", "uvloop>=0.22; extra == 'fast'", "pytest>=9; extra == 'dev'", "click>=8.2"]
    sound = {"websockets": "17.10", "uvloop": "0.23.0", "click": "8.2"}
    assert levels(judge_versions(required, sound, (3, 11, 7))) == ["ok", "ok"]
    assert levels(judge_versions(required, {"websockets": "17.3.9", "click": "9"}, (3, 10, 0))) == [
        "problem",
        "warning",
        "note",
        "ok",
    ]
    assert levels(judge_versions(["click>=8.2"], {}, (3, 12, 0))) == ["ok", "problem"]


def test_versions_as_they_are() -> None:
    """The requirements of this package are all understood."""
    required, installed = probe_versions()
    assert {"websockets", "msgspec", "click"} <= installed.keys()
    assert worst(judge_versions(required, installed, (3, 11, 7))) in {"ok", "note"}


# ---- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates with keys: one expired, one good for ten years (times of both forms of DER)."""
    folder = tmp_path_factory.mktemp("tls")
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    ]
    for name, days in (("good", "3650"), ("late", "20000"), ("soon", "3")):
        files = ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"]
        subprocess.run([*new, "-days", days, *files], check=True, capture_output=True)
    request = ["openssl", "req", "-new", "-key", f"{folder}/good.key", "-subj", "/CN=x", "-out", f"{folder}/r.csr"]
    subprocess.run(request, check=True, capture_output=True)
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index.txt\nserial={folder}/serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    sign = ["openssl", "ca", "-batch", "-config", f"{folder}/ca.cnf", "-selfsign", "-keyfile", f"{folder}/good.key"]
    times = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z", "-notext"]
    files = ["-in", f"{folder}/r.csr", "-out", f"{folder}/expired.pem"]
    subprocess.run([*sign, *times, *files], check=True, capture_output=True)
    return folder


def test_certificates_as_they_are(certificates: Path) -> None:
    """Good, expiring, expired, without its key, and no certificate at all."""
    key = certificates / "good.key"

    def level(name: str, with_key: Path | None, now: float = NOW) -> Level:
        return levels([judge_certificate("x", probe_certificate(certificates / name, with_key), now)])[0]

    good = probe_certificate(certificates / "good.pem", key)
    assert good.failure is None
    assert good.not_after - good.not_before == 3650 * 86400
    now = good.not_before + 60
    assert level("good.pem", key, now) == "ok"
    assert level("late.pem", certificates / "late.key", now) == "ok"
    assert level("soon.pem", certificates / "soon.key", now) == "warning"
    assert level("expired.pem", key, now) == "problem"
    assert level("good.pem", key, good.not_before - 60) == "problem"
    assert level("good.pem", certificates / "late.key", now) == "problem"
    assert level("good.key", None, now) == "problem"
    assert level("nothing.pem", None, now) == "problem"
    mismatch = probe_certificate(certificates / "good.pem", certificates / "late.key")
    assert "not the one of the certificate" in (mismatch.failure or "")


def test_tls_of_settings_with_and_without_the_section(certificates: Path) -> None:
    """Nothing is said where nothing is set; a key that others can read is a problem."""
    assert check_tls(Settings(), os.geteuid(), NOW) == []
    (certificates / "late.key").chmod(0o644)
    section = SimpleNamespace(
        certificate=str(certificates / "late.pem"),
        key=str(certificates / "late.key"),
        client_ca=str(certificates / "expired.pem"),
    )
    found = check_tls(SimpleNamespace(tls=section), os.geteuid(), NOW)
    assert levels(found) == ["ok", "problem", "problem"]


def test_certificate_that_expires_soon() -> None:
    """Three weeks before, it is time."""
    facts = CertificateFacts(PLACE, None, NOW - 1, NOW + SOON_S - 1)
    assert levels([judge_certificate("x", facts, NOW)]) == ["warning"]


# ---- running daemons


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (LIVE, ["ok"]),
        (replace(LIVE, socket="nothing", folder_in_use=False), ["note"]),
        (replace(LIVE, socket="stale", folder_in_use=False), ["warning"]),
        (replace(LIVE, socket="silent", failure="no answer", folder_in_use=True), ["problem", "warning"]),
        (replace(LIVE, socket="nothing", holder=9), ["note", "warning"]),
        (replace(LIVE, holder=9), ["ok", "warning"]),
        (replace(LIVE, folder_in_use=False), ["ok", "warning"]),
        (replace(LIVE, storage="full"), ["ok", "problem"]),
        (replace(LIVE, ready_file=PLACE, ready_process=7, ready_alive=True), ["ok", "ok"]),
        (replace(LIVE, ready_file=PLACE, ready_process=7, ready_alive=False), ["ok", "warning"]),
        (replace(LIVE, images=(ImageFacts("a", "ready"), ImageFacts("b", "busy"))), ["ok", "ok", "note"]),
        (
            replace(LIVE, images=(ImageFacts("a", "image_timeout"), ImageFacts("b", "image_lost"))),
            ["ok", "warning", "warning"],
        ),
        (replace(LIVE, images=(ImageFacts("a", "disconnected"), ImageFacts("b", "reconnecting"))), ["ok"]),
        (
            replace(LIVE, images=(ImageFacts("a", "orphaned"), ImageFacts("b", "ready", ("two of them",)))),
            ["ok", "warning", "ok", "warning"],
        ),
        (replace(LIVE, images=(ImageFacts("a", "interface_blocked"),)), ["ok", "warning"]),
    ],
)
def test_daemon_and_images(facts: LiveFacts, expected: list[Level]) -> None:
    """Who answers, who has the folder, what the ready file says, and the images."""
    assert levels(judge_live(facts)) == expected


def test_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    """As a killed daemon leaves it, with a ready file that names a process that is gone."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
    ready = tmp_path / "ready.json"
    child = subprocess.Popen(["true"])
    child.wait()
    ready.write_text(f'{{"pid":{child.pid}}}')
    facts = probe_live(tmp_path, tmp_path / "s", ready)
    assert (facts.socket, facts.ready_process, facts.ready_alive) == ("stale", child.pid, False)
    ready.write_text("nonsense")
    assert probe_live(tmp_path, tmp_path / "x", ready).ready_process is None


def test_port_that_is_taken_by_us_by_others_or_no_address() -> None:
    """The process that listens is looked up."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        taken = probe_port("http", "127.0.0.1", port, None)
        assert levels([judge_port(taken)]) == ["problem"]
        assert probe_port("http", "127.0.0.1", port, 1).state == "taken"
        assert probe_port("http", "127.0.0.1", port, os.getpid()).state == "ours"
    assert probe_port("http", "127.0.0.1", 0, None).state == "free"
    assert levels([judge_port(probe_port("http", "192.0.2.1", 80, None))]) == ["problem"]


# ---- what is stored


def test_backups() -> None:
    """None, old, young, and turned off."""
    made = BackupInfo("n", NOW - 7200, "automatic", 1, (), ())
    option = "--data-dir x"
    assert judge_backups([], NOW, 3600, option).level == "note"
    assert judge_backups([made], NOW, 3600, option).level == "ok"
    assert levels([judge_backups([made], NOW, 600, option)]) == ["warning"]
    assert judge_backups([made], NOW, 0, option).level == "note"


def test_audit_log() -> None:
    """Altered is a problem, a hole is a warning."""
    report = AuditReport(
        folder="x",
        files=1,
        entries=1,
        first_seq=1,
        last_seq=1,
        last_hash="",
        closed=True,
        holes=0,
        lost=0,
        problems=0,
        findings=(),
    )
    assert judge_audit(report, "").level == "ok"
    assert levels([judge_audit(replace(report, holes=1, lost=3), "")]) == ["warning"]
    assert levels([judge_audit(replace(report, problems=1), "")]) == ["problem"]


def test_store_that_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    """The first is a note."""
    assert levels(check_stored(tmp_path, 3600, EncryptionSettings())) == ["note"]
    (tmp_path / "store.json").write_text("nonsense")
    assert levels(check_stored(tmp_path, 3600, EncryptionSettings())) == ["problem", "note"]


def test_check_that_breaks_keeps_no_other_from_being_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is reported as a problem itself."""

    def broken(_path: Path) -> DiskFacts:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(examination, "probe_disk", broken)
    settings = Settings()
    settings.server.data_dir = settings.server.runtime_dir = str(tmp_path)
    found = list(examination.examine(settings))
    assert [finding.check for finding in found if finding.level == "problem"] == ["disk"]
    assert "daemon" in [finding.check for finding in found]
