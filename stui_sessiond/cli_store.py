"""The `store` commands: what an operator does with a data folder. Thin: `storage.tools` does the work.

Exit codes: 0 good, 1 problems were found, 2 wrong use, or the store cannot be opened.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stui_sessiond import cli_backup
from stui_sessiond.cli_folder import EXIT_PROBLEMS, disk, fail, note, options, plain, print_json, progress, time_text

if TYPE_CHECKING:
    from stui_sessiond.security.sealing import Sealer


@click.group()
def store() -> None:
    """Look at, mend, back up and move what is stored. No daemon is needed.

    `check`, `history`, `backup list` and `backup verify` change nothing and may run beside a daemon; for the others it
    has to be stopped. Exit codes: 0 good, 1 problems were found, 2 it could not be done.
    """


@store.command()
@click.option("--backups", is_flag=True, help="Open every file of every backup, too.")
@options
def check(root: Path, sealer: "Sealer", *, backups: bool, as_json: bool) -> None:
    """Tell whether everything stored is sound. Changes nothing."""
    from stui_sessiond.storage.tools.check import check_store  # noqa: PLC0415 -- only needed here

    report = check_store(root, disk(), backups=backups, progress=progress(), sealer=sealer)
    if as_json:
        print_json({**plain(report), "ok": not report.damaged})
    else:
        click.echo(f"store        {report.data_dir} ({report.store_id}, format {report.format_version})")
        click.echo(f"sessions     {report.sessions} of {report.clients} clients, in {report.session_files} files")
        click.echo(f"journal      {report.segments} segments, {report.journal_bytes} bytes, up to {report.last_lsn}")
        verified = "verified" if report.backups_verified else "not opened: --backups does that"
        verified += f", but {report.backups_locked} take another key" if report.backups_locked else ""
        click.echo(f"backups      {report.backups}" + (f" ({verified})" if report.backups else ""))
        click.echo(f"kept aside   {report.archived} in archive, {report.quarantined} in quarantine")
        for finding in report.findings:
            click.echo(f"{finding.severity:12} {finding.where}: {finding.what}")
            if finding.advice:
                click.echo(f"{'':12} -> {finding.advice}")
        count = sum(1 for finding in report.findings if finding.severity == "damage")
        click.echo(f"{count} problems" if count else "Everything is sound.")
    sys.exit(EXIT_PROBLEMS if report.damaged else 0)


@store.command()
@options
def repair(root: Path, sealer: "Sealer", *, as_json: bool) -> None:
    """Recover what can be recovered and write all files anew. The daemon has to be stopped.

    Deletes nothing: what cannot be read goes to quarantine. Exit code 1: sessions lost acknowledged changes.
    """
    from stui_sessiond.storage.tools.repair import repair_store  # noqa: PLC0415 -- only needed here

    report = repair_store(root, disk(), progress(), sealer)
    note(root, "store repair", sessions=report.sessions, quarantined=report.quarantined, lost=len(report.lost))
    if as_json:
        print_json(report)
    else:
        click.echo(f"{report.sessions} sessions written anew, {report.quarantined} files put into quarantine")
        for name, why in report.healed.items():
            click.echo(f"healed       {name}: {why}")
        for name in report.adopted:
            click.echo(f"found        {name}: the index did not know it")
        for loss in report.lost:
            left = "nothing is left" if loss.readable is None else f"version {loss.readable} is left"
            click.echo(f"lost         {loss.session_id}: {loss.why}; {left}")
            if loss.backup is not None:
                click.echo(f"{'':12} -> store backup restore {loss.backup} --session {loss.session_id}")
    sys.exit(EXIT_PROBLEMS if report.lost else 0)


@store.command("export")
@click.argument("file", default="-", type=click.Path(path_type=Path))
@click.option("--session", "sessions", multiple=True, metavar="ID", help="Only this one; may be given again.")
@click.option("--clear-text", is_flag=True, help="Needed for a sealed store: an export is never sealed.")
@options
def export_(
    root: Path, sealer: "Sealer", file: Path, sessions: tuple[str, ...], *, clear_text: bool, as_json: bool
) -> None:
    """Write sessions to FILE, or to standard output, as JSON lines. The store stays as it is."""
    from stui_sessiond.ids import SessionId  # noqa: PLC0415 -- only needed here
    from stui_sessiond.storage.tools.transfer import export_store  # noqa: PLC0415 -- only needed here

    ids = [SessionId(name) for name in sessions]

    def export(write: Callable[[bytes], object]) -> Any:  # noqa: ANN401 -- Exported, imported late
        return export_store(root, disk(), write, time.time(), ids, progress(), sealer, clear_text=clear_text)

    if str(file) == "-":
        done = export(sys.stdout.buffer.write)
    else:
        new = file.with_name(f"{file.name}.new")
        try:
            with new.open("xb") as stream:
                done = export(stream.write)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(file)
        except FileExistsError:
            fail(f"{new} is there: another export is under way, or was interrupted; delete it")
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    if as_json:
        click.echo(json.dumps(plain(done), ensure_ascii=False), err=str(file) == "-")
    else:
        for note in done.notes:
            click.echo(note, err=True)
        for name, why in done.damaged.items():
            click.echo(f"damaged      {name}: {why}", err=True)
        for name, why in done.missing.items():
            click.echo(f"missing      {name}: {why}", err=True)
        click.echo(f"{done.sessions} sessions exported", err=True)
    sys.exit(EXIT_PROBLEMS if done.damaged or done.missing else 0)


@store.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--session", "sessions", multiple=True, metavar="ID", help="Only this one; may be given again.")
@click.option("--replace", "overwrite", is_flag=True, help="Put sessions that are there aside, into replaced/.")
@options
def import_(
    root: Path, sealer: "Sealer", file: Path, sessions: tuple[str, ...], *, overwrite: bool, as_json: bool
) -> None:
    """Take in sessions that `store export` wrote. All of FILE (- for standard input) is checked first."""
    from stui_sessiond.storage.tools.transfer import import_sessions, read_export  # noqa: PLC0415 -- only needed here

    data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    found = read_export(data)
    if sessions:
        there = {session.header.session_id for session in found}
        if absent := sorted(set(sessions) - there):
            fail(f"{file} has no session {absent[0]}")
        found = [session for session in found if session.header.session_id in sessions]
    done = import_sessions(root, disk(), found, time.time(), overwrite=overwrite, sealer=sealer)
    note(root, "store import", added=done.added, replaced=done.replaced)
    if as_json:
        print_json(done)
        return
    click.echo(f"{done.added} sessions added, {done.replaced} replaced")
    if done.kept_in is not None:
        click.echo(f"what they were before is in {done.kept_in}")


@store.command()
@click.argument("session_id")
@click.option("--at", "version", type=click.IntRange(min=0), metavar="VERSION", help="Print what it was then.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N versions.")
@options
def history(
    root: Path,
    sealer: "Sealer",
    session_id: str,
    version: int | None,
    limit: int | None,
    *,
    as_json: bool,
) -> None:
    """Show the versions of a session; with --json also what changed in each."""
    from stui_sessiond.ids import SessionId  # noqa: PLC0415 -- only needed here
    from stui_sessiond.storage.tools.history import read_history, read_version  # noqa: PLC0415 -- only needed here

    if version is not None:
        document = read_version(root, disk(), SessionId(session_id), version, sealer)
        click.echo(json.dumps(document, ensure_ascii=False, indent=None if as_json else 2))
        return
    found = read_history(root, disk(), SessionId(session_id), limit, sealer)
    if as_json:
        print_json(found)
        return
    click.echo(f"session {found.session_id} of {found.client_id}, version {found.version}")
    if found.damaged is not None:
        click.echo(f"damaged: {found.damaged}")
    names: dict[int, list[str]] = {}
    for name, number in found.snapshots.items():
        names.setdefault(number, []).append(name)
    for row in found.versions:
        named = "".join(f"  [{name}]" for name in names.get(row.version, []))
        who = row.client_id or "-"
        click.echo(f"{row.version:>6}  {time_text(row.at)}  {row.size_bytes:>8} bytes  {row.what:16} {who}{named}")
    click.echo(f"oldest version that is kept: {found.oldest_version}")


@store.command("new-key")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data-dir", metavar="DIR", help="Where sessions are kept: the key must not lie there.")
def new_key(file: Path, data_dir: str | None) -> None:
    """Make FILE with a new master key, for you alone. Keep a copy: without it nobody reads what is sealed with it."""
    from stui_sessiond import config, errors  # noqa: PLC0415 -- only needed here
    from stui_sessiond.security.keys import new_key_file  # noqa: PLC0415 -- the same

    try:
        folder = config.data_dir(config.load_settings(None, os.environ, {"data_dir": data_dir}).server)
        click.echo(f"{new_key_file(file, folder).id} in {file}")
    except errors.ConfigError as error:
        fail(str(error))


@store.command()
@click.option("--new-key", "new_key", type=click.Path(path_type=Path), metavar="FILE", help="The key from now on.")
@click.option("--clear-text", is_flag=True, help="No key from now on: everything becomes readable.")
@options
def rekey(root: Path, sealer: "Sealer", new_key: Path | None, *, clear_text: bool, as_json: bool) -> None:
    """Write everything anew under the present key, under a new one, or under none. The daemon has to be stopped.

    A daemon does the same in the background when its settings name a new key_file and the old one under
    previous_key_files. Backups stay as they are.
    """
    from stui_sessiond.security.keys import read_key_file  # noqa: PLC0415 -- only needed here
    from stui_sessiond.security.sealing import Sealer  # noqa: PLC0415 -- the same
    from stui_sessiond.storage.tools.rekey import rekey_store  # noqa: PLC0415 -- the same

    if new_key is not None and clear_text:
        raise click.UsageError("--new-key or --clear-text, not both")  # noqa: TRY003, EM101 -- click's way
    present = list(sealer.known.values())
    if new_key is not None:
        current, *others = read_key_file(new_key, root, "--new-key")
        sealer = Sealer(current, [*others, *present])
    elif clear_text:
        sealer = Sealer(None, present)
    elif sealer.current is None:
        fail("name the key that is to be used: --key-file or --new-key; or --clear-text for none")
    done = rekey_store(root, disk(), sealer, progress())
    if as_json:
        print_json(done)
        return
    if done.retired:
        click.echo(f"{done.sessions} sessions written anew; everything in the store is under {done.key}")
        click.echo(f"not needed by the store any more: {' '.join(done.retired)}")
    else:
        click.echo(f"nothing to do: everything in the store is under {done.key}")
    if done.backups:
        click.echo(f"{len(done.backups)} backups are as they were; `store backup list` shows the key of each")


store.add_command(cli_backup.backup)
