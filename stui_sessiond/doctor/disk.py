"""Has the disk room, does it sync in time, and can its syncs be believed?"""

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from shlex import quote

import msgspec

from stui_sessiond.doctor.finding import Finding

LOW_BYTES = 1024**3
FULL_BYTES = 64 * 1024**2
"""The ballast, a segment, and a backup."""

SLOW_S = 0.05
VERY_SLOW_S = 1.0
SYNCS = 5

VOLATILE = {"tmpfs": "it is memory: all is gone when the machine restarts", "ramfs": "it is memory"}
DOUBTFUL = {
    "overlay": "in a container it goes away with the container, unless a volume is mounted there",
    "nfs": "its server decides what a sync means, and locks may be lost",
    "nfs4": "its server decides what a sync means, and locks may be lost",
    "cifs": "its server decides what a sync means",
    "9p": "the host decides what a sync means",
    "fuse.sshfs": "a sync does not reach the other machine's disk",
    "vboxsf": "a sync may do nothing",
}


class DiskFacts(msgspec.Struct, frozen=True):
    """What the disk under a folder is like."""

    path: Path
    free_bytes: int
    total_bytes: int
    kind: str | None
    sync_s: float | None
    """Median of a few; None when it could not be tried."""
    sync_failure: str | None = None


def probe_disk(folder: Path) -> DiskFacts:
    """Measure; a file is written to the folder and removed.

    Raises:
        OSError: there is no such folder.
    """
    usage = shutil.disk_usage(folder)
    took = []
    failure = None
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(SYNCS):
                os.write(file.fileno(), bytes(4096))
                started = time.perf_counter()
                os.fsync(file.fileno())
                took.append(time.perf_counter() - started)
    except OSError as error:
        failure = error.strerror or str(error)
    sync_s = statistics.median(took) if took else None
    return DiskFacts(folder, usage.free, usage.total, file_system(folder), sync_s, failure)


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str | None:
    """Name the kind of file system; None where the system does not tell."""
    try:
        rows = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return None
    real = path.resolve()
    places = [(row[1].replace("\\040", " "), row[2]) for row in rows if len(row) > 2]  # noqa: PLR2004 -- device, place, kind
    under = [(len(place), kind) for place, kind in places if real.is_relative_to(place)]
    return max(under, key=lambda each: each[0])[1] if under else None


def judge_disk(facts: DiskFacts) -> list[Finding]:
    """Judge room, speed and kind."""
    return [_room(facts), _sync(facts), _kind(facts)]


def _room(facts: DiskFacts) -> Finding:
    what = f"{facts.free_bytes / 1024**2:.0f} MiB of {facts.total_bytes / 1024**2:.0f} free"
    advice = f"du -xh {quote(str(facts.path))} | sort -h | tail -20"
    if facts.free_bytes < FULL_BYTES:
        return Finding("problem", "free space", what, "changes are refused with storage_full, or soon will be", advice)
    if facts.free_bytes < LOW_BYTES:
        return Finding("warning", "free space", what, "backups and the journal may fill it", advice)
    return Finding("ok", "free space", what)


def _sync(facts: DiskFacts) -> Finding:
    if facts.sync_s is None:
        what = f"a file in {facts.path} cannot be written: {facts.sync_failure}"
        return Finding("problem", "sync time", what, "nothing can be stored", "make room, or look at the permissions")
    what = f"{facts.sync_s * 1000:.1f} ms (median of {SYNCS})"
    meaning = "each durable change waits as long"
    if facts.sync_s >= VERY_SLOW_S:
        return Finding(
            "problem", "sync time", what, meaning, "move the data folder: stui-sessiond serve --data-dir DIR"
        )
    if facts.sync_s >= SLOW_S:
        return Finding("warning", "sync time", what, meaning, "look what else writes: iostat -x 1")
    return Finding("ok", "sync time", what)


def _kind(facts: DiskFacts) -> Finding:
    if facts.kind is None:
        return Finding("note", "file system", "its kind cannot be told here")
    advice = "stui-sessiond serve --data-dir DIR    # on a local disk"
    if facts.kind in VOLATILE:
        return Finding("warning", "file system", facts.kind, VOLATILE[facts.kind], advice)
    if facts.kind in DOUBTFUL:
        return Finding("warning", "file system", facts.kind, DOUBTFUL[facts.kind], advice)
    return Finding("ok", "file system", facts.kind)
