"""The `store backup` commands: verified copies, looked at, made and put back. Thin: `storage` does the work."""

import functools
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stui_sessiond.cli_folder import (
    EXIT_CANNOT,
    EXIT_PROBLEMS,
    disk,
    fail,
    note,
    options,
    print_json,
    progress,
    time_text,
)

if TYPE_CHECKING:
    from stui_sessiond.security.sealing import Sealer


@click.group()
def backup() -> None:
    """Look at, make and put back verified copies. A running daemon makes one every hour."""


@backup.command("list")
@options
def list_(root: Path, sealer: "Sealer", *, as_json: bool) -> None:
    """List the backups, the oldest first."""
    backups = _backups(root, sealer)
    found = backups.list()
    if as_json:
        print_json(found)
        return
    for info in found:
        flawed = f"  ({len(info.missing)} sessions were damaged)" if info.missing else ""
        sealed = f"  {' '.join(info.keys)}" if info.keys else ""
        click.echo(
            f"{info.name:36} {time_text(info.made_at)}  {info.sessions:>6} sessions  {info.reason}{sealed}{flawed}"
        )
    if not found:
        click.echo("There are none yet.", err=True)


@backup.command()
@click.argument("name", required=False)
@options
def verify(root: Path, sealer: "Sealer", name: str | None, *, as_json: bool) -> None:
    """Open every file of one backup, or of all."""
    from stui_sessiond.security.sealing import KeyMissingError  # noqa: PLC0415 -- only needed here

    backups = _backups(root, sealer)
    report = progress()
    names = [name] if name else [info.name for info in backups.list()]
    found, locked = [], []
    for each in names:
        try:
            found.append(backups.verify(each, functools.partial(report, each)))
        except KeyMissingError as error:
            locked.append(str(error))
    for text in locked:
        click.echo(text, err=True)
    if as_json:
        print_json(found)
    else:
        for info in found:
            problems = f"{len(info.problems)} problems" if info.problems else "sound"
            click.echo(f"{info.name:36} {info.sessions:>6} sessions  {problems}")
            for problem in info.problems:
                click.echo(f"{'':12} {problem}")
        if not names:
            click.echo("There are none yet.", err=True)
    sys.exit(EXIT_CANNOT if locked else EXIT_PROBLEMS if any(info.problems for info in found) else 0)


@backup.command()
@click.option("--reason", default="manual", help="Part of its name: a-z, 0-9 and -.")
@options
def create(root: Path, sealer: "Sealer", reason: str, *, as_json: bool) -> None:
    """Make a backup of a store that no daemon uses; it is verified at once, and never removed by itself."""
    from stui_sessiond.storage.backups import Backups  # noqa: PLC0415 -- only needed here
    from stui_sessiond.storage.tools.stopped import StoreInUseError, stopped_store  # noqa: PLC0415 -- the same

    try:
        with stopped_store(root, disk(), sealer) as opened:
            info = Backups(opened).create(time.time(), reason)
        note(root, "store backup create", backup=info.name)
    except StoreInUseError as error:
        fail(
            f"{error}.\nThe daemon makes a backup every hour by itself. To have one now, ask it:\n"
            f"    stui-sessiond call create_backup reason={reason}"
        )
    if as_json:
        print_json(info)
    else:
        click.echo(f"{info.name}: {info.sessions} sessions, verified")
        for missing in info.missing:
            click.echo(f"damaged      {missing}")
    sys.exit(EXIT_PROBLEMS if info.missing else 0)


@backup.command()
@click.argument("name", required=False)
@click.option("--session", "session_id", metavar="ID", help="Only this one, as a new version of it.")
@click.option("--undo", is_flag=True, help="Go back from a restore that was interrupted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options
def restore(
    root: Path,
    sealer: "Sealer",
    name: str | None,
    session_id: str | None,
    *,
    undo: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Put a backup back, or one session of it; what is there is kept in replaced/. The daemon has to be stopped."""
    from stui_sessiond.ids import SessionId  # noqa: PLC0415 -- only needed here
    from stui_sessiond.storage.tools import restore as tools  # noqa: PLC0415 -- the same

    if undo:
        kept = tools.undo_restore(root, disk())
        note(root, "store backup restore --undo")
        if as_json:
            print_json({"undone": str(kept)})
        else:
            click.echo("the store is as it was before the restore")
        return
    if name is None:
        raise click.UsageError("name a backup; `store backup list` shows them")  # noqa: TRY003, EM101 -- click's way
    what = f"session {session_id}" if session_id else f"the whole store in {root}"
    _backups(root, sealer).manifest(name)
    if not yes and not click.confirm(f"Put {what} back to backup {name}? What is there now is kept.", err=True):
        fail("nothing was changed")
    if session_id is None:
        done = tools.restore_store(root, disk(), name, time.time(), progress(), sealer)
    else:
        done = tools.restore_session(root, disk(), name, SessionId(session_id), time.time(), sealer)
    note(root, "store backup restore", backup=name, session=session_id, replaced=Path(done.replaced).name)
    if as_json:
        print_json(done)
        return
    if done.version is None:
        click.echo(f"{done.sessions} sessions put back from {done.backup}; the store opens")
        click.echo(f"what was there before is a whole store: {done.replaced}")
    else:
        click.echo(f"session {session_id} is as in {done.backup} again, as version {done.version}")
        click.echo(f"what it was before is in {done.replaced}")
        if done.note is not None:
            click.echo(f"before: {done.note}")


def _backups(root: Path, sealer: "Sealer") -> Any:  # noqa: ANN401 -- Backups, imported late
    from stui_sessiond.storage.backups import Backups  # noqa: PLC0415 -- only needed here
    from stui_sessiond.storage.store import Store  # noqa: PLC0415 -- the same
    from stui_sessiond.storage.tools.view import require_store  # noqa: PLC0415 -- the same

    files = disk()
    if not files.names(root / "backups"):
        require_store(root, files)
    return Backups(Store(root, files, sealer=sealer))
