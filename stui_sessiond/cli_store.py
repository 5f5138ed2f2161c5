"""The `store` commands: what an operator does with a data folder. Thin: `storage.tools` does the work.

Exit codes: 0 good, 1 problems were found, 2 wrong use, or the store cannot be opened.
"""

import functools
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from stui_sessiond.security.sealing import Sealer

EXIT_PROBLEMS = 1
EXIT_CANNOT = 2

F = TypeVar("F", bound=Callable[..., Any])


def _options(command: F) -> F:
    """The options of all commands; `root` is the data folder, `sealer` has its keys."""

    @click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Settings, TOML.")
    @click.option("--data-dir", metavar="DIR", help="Where sessions are kept. Default: as for `serve`.")
    @click.option(
        "--key-file", metavar="FILE", help="The key of a sealed store. Default: as in [encryption] of the settings."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")
    @functools.wraps(command)
    def with_root(
        config_file: Path | None,
        data_dir: str | None,
        key_file: str | None,
        **given: Any,  # noqa: ANN401 -- click's
    ) -> None:
        import msgspec  # noqa: PLC0415 -- only needed here
        import structlog  # noqa: PLC0415 -- only needed here

        from stui_sessiond import config, errors  # noqa: PLC0415 -- the other commands start faster without
        from stui_sessiond.security import keys  # noqa: PLC0415 -- the same
        from stui_sessiond.storage.tools.stopped import StoreInUseError  # noqa: PLC0415 -- the same

        # what the log would say is in the reports
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        try:
            settings = config.load_settings(config_file, os.environ, {"data_dir": data_dir})
            root, sources = config.data_dir(settings.server), settings.encryption
            if key_file is not None:
                sources = msgspec.structs.replace(sources, key_file=key_file, key_credential=None, keyring=None)
            command(root=root, sealer=keys.gather(sources, root, os.environ), **given)
        except (errors.ConfigError, errors.StuiError, StoreInUseError) as error:
            _fail(str(error))
        except OSError as error:
            _fail(f"{error.filename or 'the store'}: {error.strerror or error}")

    return with_root  # type: ignore[return-value]


@click.group()
def store() -> None:
    """Look at, mend, back up and move what is stored. No daemon is needed.

    `check`, `history`, `backup list` and `backup verify` change nothing and may run beside a daemon; for the others it
    has to be stopped. Exit codes: 0 good, 1 problems were found, 2 it could not be done.
    """


@store.command()
@click.option("--backups", is_flag=True, help="Open every file of every backup, too.")
@_options
def check(root: Path, sealer: "Sealer", *, backups: bool, as_json: bool) -> None:
    """Tell whether everything stored is sound. Changes nothing."""
    from stui_sessiond.storage.tools.check import check_store  # noqa: PLC0415 -- only needed here

    report = check_store(root, _disk(), backups=backups, progress=_progress(), sealer=sealer)
    if as_json:
        _print_json({**_plain(report), "ok": not report.damaged})
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
@_options
def repair(root: Path, sealer: "Sealer", *, as_json: bool) -> None:
    """Recover what can be recovered and write all files anew. The daemon has to be stopped.

    Deletes nothing: what cannot be read goes to quarantine. Exit code 1: sessions lost acknowledged changes.
    """
    from stui_sessiond.storage.tools.repair import repair_store  # noqa: PLC0415 -- only needed here

    report = repair_store(root, _disk(), _progress(), sealer)
    _note(root, "store repair", sessions=report.sessions, quarantined=report.quarantined, lost=len(report.lost))
    if as_json:
        _print_json(report)
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
@_options
def export_(
    root: Path, sealer: "Sealer", file: Path, sessions: tuple[str, ...], *, clear_text: bool, as_json: bool
) -> None:
    """Write sessions to FILE, or to standard output, as JSON lines. The store stays as it is."""
    from stui_sessiond.ids import SessionId  # noqa: PLC0415 -- only needed here
    from stui_sessiond.storage.tools.transfer import export_store  # noqa: PLC0415 -- only needed here

    ids = [SessionId(name) for name in sessions]

    def export(write: Callable[[bytes], object]) -> Any:  # noqa: ANN401 -- Exported, imported late
        return export_store(root, _disk(), write, time.time(), ids, _progress(), sealer, clear_text=clear_text)

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
            _fail(f"{new} is there: another export is under way, or was interrupted; delete it")
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    if as_json:
        click.echo(json.dumps(_plain(done), ensure_ascii=False), err=str(file) == "-")
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
@_options
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
            _fail(f"{file} has no session {absent[0]}")
        found = [session for session in found if session.header.session_id in sessions]
    done = import_sessions(root, _disk(), found, time.time(), overwrite=overwrite, sealer=sealer)
    _note(root, "store import", added=done.added, replaced=done.replaced)
    if as_json:
        _print_json(done)
        return
    click.echo(f"{done.added} sessions added, {done.replaced} replaced")
    if done.kept_in is not None:
        click.echo(f"what they were before is in {done.kept_in}")


@store.command()
@click.argument("session_id")
@click.option("--at", "version", type=click.IntRange(min=0), metavar="VERSION", help="Print what it was then.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N versions.")
@_options
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
        document = read_version(root, _disk(), SessionId(session_id), version, sealer)
        click.echo(json.dumps(document, ensure_ascii=False, indent=None if as_json else 2))
        return
    found = read_history(root, _disk(), SessionId(session_id), limit, sealer)
    if as_json:
        _print_json(found)
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
        click.echo(f"{row.version:>6}  {_time(row.at)}  {row.size_bytes:>8} bytes  {row.what:16} {who}{named}")
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
        _fail(str(error))


@store.command()
@click.option("--new-key", "new_key", type=click.Path(path_type=Path), metavar="FILE", help="The key from now on.")
@click.option("--clear-text", is_flag=True, help="No key from now on: everything becomes readable.")
@_options
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
        _fail("name the key that is to be used: --key-file or --new-key; or --clear-text for none")
    done = rekey_store(root, _disk(), sealer, _progress())
    if as_json:
        _print_json(done)
        return
    if done.retired:
        click.echo(f"{done.sessions} sessions written anew; everything in the store is under {done.key}")
        click.echo(f"not needed by the store any more: {' '.join(done.retired)}")
    else:
        click.echo(f"nothing to do: everything in the store is under {done.key}")
    if done.backups:
        click.echo(f"{len(done.backups)} backups are as they were; `store backup list` shows the key of each")


@store.group()
def backup() -> None:
    """Look at, make and put back verified copies. A running daemon makes one every hour."""


@backup.command("list")
@_options
def list_(root: Path, sealer: "Sealer", *, as_json: bool) -> None:
    """List the backups, the oldest first."""
    backups = _backups(root, sealer)
    found = backups.list()
    if as_json:
        _print_json(found)
        return
    for info in found:
        flawed = f"  ({len(info.missing)} sessions were damaged)" if info.missing else ""
        sealed = f"  {' '.join(info.keys)}" if info.keys else ""
        click.echo(f"{info.name:36} {_time(info.made_at)}  {info.sessions:>6} sessions  {info.reason}{sealed}{flawed}")
    if not found:
        click.echo("There are none yet.", err=True)


@backup.command()
@click.argument("name", required=False)
@_options
def verify(root: Path, sealer: "Sealer", name: str | None, *, as_json: bool) -> None:
    """Open every file of one backup, or of all."""
    from stui_sessiond.security.sealing import KeyMissingError  # noqa: PLC0415 -- only needed here

    backups = _backups(root, sealer)
    report = _progress()
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
        _print_json(found)
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
@_options
def create(root: Path, sealer: "Sealer", reason: str, *, as_json: bool) -> None:
    """Make a backup of a store that no daemon uses; it is verified at once, and never removed by itself."""
    from stui_sessiond.storage.backups import Backups  # noqa: PLC0415 -- only needed here
    from stui_sessiond.storage.tools.stopped import StoreInUseError, stopped_store  # noqa: PLC0415 -- the same

    try:
        with stopped_store(root, _disk(), sealer) as opened:
            info = Backups(opened).create(time.time(), reason)
        _note(root, "store backup create", backup=info.name)
    except StoreInUseError as error:
        _fail(
            f"{error}.\nThe daemon makes a backup every hour by itself. To have one now, ask it:\n"
            f"    stui-sessiond call create_backup reason={reason}"
        )
    if as_json:
        _print_json(info)
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
@_options
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
        kept = tools.undo_restore(root, _disk())
        _note(root, "store backup restore --undo")
        if as_json:
            _print_json({"undone": str(kept)})
        else:
            click.echo("the store is as it was before the restore")
        return
    if name is None:
        raise click.UsageError("name a backup; `store backup list` shows them")  # noqa: TRY003, EM101 -- click's way
    what = f"session {session_id}" if session_id else f"the whole store in {root}"
    _backups(root, sealer).manifest(name)
    if not yes and not click.confirm(f"Put {what} back to backup {name}? What is there now is kept.", err=True):
        _fail("nothing was changed")
    if session_id is None:
        done = tools.restore_store(root, _disk(), name, time.time(), _progress(), sealer)
    else:
        done = tools.restore_session(root, _disk(), name, SessionId(session_id), time.time(), sealer)
    _note(root, "store backup restore", backup=name, session=session_id, replaced=Path(done.replaced).name)
    if as_json:
        _print_json(done)
        return
    if done.version is None:
        click.echo(f"{done.sessions} sessions put back from {done.backup}; the store opens")
        click.echo(f"what was there before is a whole store: {done.replaced}")
    else:
        click.echo(f"session {session_id} is as in {done.backup} again, as version {done.version}")
        click.echo(f"what it was before is in {done.replaced}")
        if done.note is not None:
            click.echo(f"before: {done.note}")


# ---- inside


def _disk() -> Any:  # noqa: ANN401 -- a FileSystem, imported late
    from stui_sessiond.storage.fs import LocalFileSystem  # noqa: PLC0415 -- only needed here

    return LocalFileSystem()


def _note(root: Path, tool: str, **details: str | int | None) -> None:
    """Write what was done into the audit log of the folder."""
    from stui_sessiond.storage.audit_log import note_tool  # noqa: PLC0415 -- only needed here

    if not note_tool(root, _disk(), tool, details):
        click.echo("stui-sessiond: it was done, but could not be written into the audit log", err=True)


def _backups(root: Path, sealer: "Sealer") -> Any:  # noqa: ANN401 -- Backups, imported late
    from stui_sessiond.storage.backups import Backups  # noqa: PLC0415 -- only needed here
    from stui_sessiond.storage.store import Store  # noqa: PLC0415 -- the same
    from stui_sessiond.storage.tools.view import require_store  # noqa: PLC0415 -- the same

    disk = _disk()
    if not disk.names(root / "backups"):
        require_store(root, disk)
    return Backups(Store(root, disk, sealer=sealer))


def _progress() -> Callable[[str, int, int], None]:
    """Show how far long work is, to a person who is there to see it."""
    if not sys.stderr.isatty():
        return lambda _what, _done, _of: None
    last = 0.0

    def show(what: str, done: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.1 or done == of:  # noqa: PLR2004 -- ten times a second
            last = time.monotonic()
            click.echo(f"\r\x1b[K{what}: {done} of {of}" if done < of else "\r\x1b[K", nl=False, err=True)

    return show


def _plain(value: object) -> Any:  # noqa: ANN401 -- any JSON
    import msgspec  # noqa: PLC0415 -- only needed here

    return msgspec.to_builtins(value)


def _print_json(value: object) -> None:
    click.echo(json.dumps(_plain(value), ensure_ascii=False))


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _fail(text: str) -> NoReturn:
    click.echo(f"stui-sessiond: {text}", err=True)
    sys.exit(EXIT_CANNOT)
