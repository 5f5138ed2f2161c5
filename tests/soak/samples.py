"""How is the daemon just now? Figures from outside (the system's) and from inside (`inside.py`), over time."""

import asyncio
import json
import os
import time
from pathlib import Path

from tests.chaos.process import DaemonProcess

Sample = dict[str, float]

_SIZES = {"journal_mib": "journal", "sessions_mib": "sessions", "backups_mib": "backups", "audit_mib": "audit"}
"""Figures, and the folders (or files that begin so) in the data folder that they are the sizes of."""


def _memory(pid: int) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    found = {"rss_mib": int(status.partition("VmRSS:")[2].split()[0]) / 1024}
    found["threads"] = int(status.partition("Threads:")[2].split()[0])
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except OSError:  # some kernels have none
        return found
    return found | {"pss_mib": int(rollup.partition("\nPss:")[2].split()[0]) / 1024}


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _size_mib(place: Path) -> float:
    """Of all files there. One may vanish while it is looked at."""
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                total += (Path(folder) / name).lstat().st_size
            except OSError:
                continue
    return total / 2**20


def take(daemon: DaemonProcess, inside: Path) -> Sample:
    """Look once."""
    found: Sample = {"descriptors": daemon.descriptors(), "cpu_s": _processor_s(daemon.pid), **_memory(daemon.pid)}
    data = daemon.folder / "data"
    for figure, start in _SIZES.items():
        found[figure] = sum(
            _size_mib(place) if place.is_dir() else place.stat().st_size / 2**20 for place in data.glob(f"{start}*")
        )
    if inside.exists():
        known = json.loads(inside.read_text("utf-8"))
        found |= {name: value for name, value in known.items() if isinstance(value, int | float)}
    return found


class Sampler:
    """Samples a daemon until it is cancelled."""

    def __init__(self, daemon: DaemonProcess, inside: Path, every_s: float) -> None:
        self.samples: list[Sample] = []
        self.began = time.perf_counter()
        self._daemon = daemon
        self._inside = inside
        self._every_s = every_s

    async def run(self) -> None:
        """Sample, in a thread: looking at files must not hold up the clients."""
        while True:
            found = await asyncio.to_thread(take, self._daemon, self._inside)
            self.samples.append({"at_s": round(time.perf_counter() - self.began, 3), **found})
            await asyncio.sleep(self._every_s)

    def points(self, figure: str, since_s: float) -> list[tuple[float, float]]:
        """Give a figure as seconds and values."""
        return [(each["at_s"], each[figure]) for each in self.samples if each["at_s"] >= since_s and figure in each]
