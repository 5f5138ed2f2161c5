"""Is what is stored sound, is there a backup, and is the audit log unaltered?"""

import os
import time
from pathlib import Path
from shlex import quote

from stui_sessiond.doctor.finding import Finding
from stui_sessiond.errors import ConfigError, StorageError
from stui_sessiond.security.keys import KeySources, gather
from stui_sessiond.storage.api import BackupInfo
from stui_sessiond.storage.backups import Backups
from stui_sessiond.storage.fs import LocalFileSystem
from stui_sessiond.storage.layout import Layout
from stui_sessiond.storage.store import Store
from stui_sessiond.storage.tools.audit import AuditReport, verify_audit
from stui_sessiond.storage.tools.check import CheckReport, check_store

LATE = 3
"""So many intervals without a backup are too many."""


def check_stored(data: Path, backup_interval_s: float, sources: KeySources) -> list[Finding]:
    """Look at the store, its backups and the audit log; `sources` say where the keys of a sealed store are."""
    disk = LocalFileSystem()
    option = f"--data-dir {quote(str(data))}"
    if disk.read(Layout(data).identity) is None:
        return [Finding("note", "store", f"there is none in {data} yet", "the daemon makes it at its first start")]
    found = []
    try:
        sealer = gather(sources, data, os.environ)
        found += judge_store(check_store(data, disk, backups=False, sealer=sealer), option)
        backups = Backups(Store(data, disk, sealer=sealer)).list()
        found.append(judge_backups(backups, time.time(), backup_interval_s, option))
    except ConfigError as error:
        advice = "stui-sessiond doctor --config FILE"
        found.append(Finding("problem", "store", str(error), "with these settings the daemon cannot start", advice))
    except (StorageError, OSError) as error:
        what = error.message if isinstance(error, StorageError) else f"{error.filename}: {error.strerror}"
        found.append(
            Finding("problem", "store", what, "the daemon cannot start", f"stui-sessiond store check {option}")
        )
    try:
        found.append(judge_audit(verify_audit(data, disk), option))
    except StorageError:
        found.append(Finding("note", "audit log", "there is none yet", "the daemon makes it at its next start"))
    except OSError as error:
        advice = "look at its permissions"
        found.append(
            Finding("problem", "audit log", f"{error.filename}: {error.strerror}", "it cannot be checked", advice)
        )
    return found


def judge_store(report: CheckReport, option: str) -> list[Finding]:
    """Summarise what `store check` says."""
    damage = [finding for finding in report.findings if finding.severity == "damage"]
    shown = f"{report.sessions} sessions of {report.clients} clients"
    found = []
    if damage:
        what = f"{len(damage)} damaged places, the first: {damage[0].where}: {damage[0].what}"
        advice = f"stui-sessiond store check {option}"
        found.append(Finding("problem", "store", what, "something that was stored cannot be read", advice))
    else:
        found.append(Finding("ok", "store", f"{shown}, sound"))
    if report.quarantined:
        what = f"{report.quarantined} files were put aside"
        advice = f"ls -l {quote(report.data_dir)}/quarantine"
        found.append(Finding("note", "quarantine", what, "nothing deletes them; look at them once", advice))
    return found


def judge_backups(backups: list[BackupInfo], now: float, interval_s: float, option: str) -> Finding:
    """Judge the age of the newest one."""
    advice = f"stui-sessiond store backup create {option}    # or, asked of a daemon: stui-sessiond call create_backup"
    if not backups:
        return Finding("note", "backups", "there are none yet", "the daemon makes one a minute after its start", advice)
    age = now - backups[-1].made_at
    what = f"{len(backups)}, the newest {age / 3600:.1f} h old"
    if not interval_s:
        return Finding("note", "backups", what, "automatic ones are turned off", advice)
    if age > LATE * interval_s:
        return Finding("warning", "backups", what, "the daemon did not run, or could not make one", advice)
    return Finding("ok", "backups", what)


def judge_audit(report: AuditReport, option: str) -> Finding:
    """Summarise what `audit verify` says."""
    advice = f"stui-sessiond audit verify {option}"
    if not report.sound:
        first = next((f"{f.where}: {f.what}" for f in report.findings if f.severity == "problem"), "")
        what = f"{report.problems} problems, the first: {first}"
        return Finding("problem", "audit log", what, "somebody altered it, or the disk did", advice)
    if report.holes:
        what = f"{report.lost} entries are missing in {report.holes} holes"
        return Finding(
            "warning", "audit log", what, "the disk was full or failed; what happened then is not known", advice
        )
    return Finding("ok", "audit log", f"{report.entries} entries, unaltered")
