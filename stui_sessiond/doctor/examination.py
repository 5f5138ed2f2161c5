"""In which order is everything looked at? No check keeps another from being made."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from stui_sessiond import config
from stui_sessiond.doctor.clock import judge_clock, probe_clock
from stui_sessiond.doctor.disk import judge_disk, probe_disk
from stui_sessiond.doctor.finding import Finding
from stui_sessiond.doctor.folder import check_folders
from stui_sessiond.doctor.limit import judge_limits, probe_limits
from stui_sessiond.doctor.live import judge_live, judge_port, probe_live, probe_port
from stui_sessiond.doctor.stored import check_stored
from stui_sessiond.doctor.tls import check_tls
from stui_sessiond.doctor.version import judge_versions, probe_versions
from stui_sessiond.settings import Settings


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything that these settings name; findings come as they are made."""
    server = settings.server
    data, socket_path = config.data_dir(server), config.unix_path(server)
    ready = None if server.ready_file is None else Path(server.ready_file)
    checks: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        ("versions", lambda: judge_versions(*probe_versions(), sys.version_info[:3])),
        ("folders", lambda: check_folders(data, socket_path.parent, socket_path)),
        ("TLS", lambda: check_tls(settings, os.geteuid(), time.time())),
        ("disk", lambda: judge_disk(probe_disk(_nearest(data)))),
        ("clock", lambda: judge_clock(probe_clock(data))),
        ("limits", lambda: judge_limits(probe_limits(), settings.limits.max_connections)),
        ("store", lambda: check_stored(data, settings.backups.interval, settings.encryption)),
        ("daemon", lambda: _live(settings, data, socket_path, ready)),
    )
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 -- what is broken enough to break a check is what a doctor is called for
            what = f"this could not be looked at: {type(error).__name__}: {error}"
            yield Finding("problem", name, what, "something else is wrong with it", "look at the place the text names")


def _live(settings: Settings, data: Path, socket_path: Path, ready: Path | None) -> list[Finding]:
    facts = probe_live(data, socket_path, ready)
    found = judge_live(facts)
    for name, place in (("http", settings.server.http), ("lines", settings.server.lines)):
        if place is not None:
            host, port = config.parse_address(place, f"server.{name}")
            found.append(judge_port(probe_port(name, host, port, facts.process)))
    return found


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())
