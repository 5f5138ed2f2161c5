"""The `audit` commands: is the log of operations that matter for security whole, and what does it say?

Exit codes: 0 good, 1 it was altered, 2 wrong use, or it cannot be read.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from stui_sessiond.security.audit import Entry

EXIT_ALTERED = 1
EXIT_CANNOT = 2
POLL_S = 0.2

_CONFIG = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Settings, TOML."
)
_DATA = click.option("--data-dir", metavar="DIR", help="Where sessions are kept. Default: as for `serve`.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")


@click.group()
def audit() -> None:
    """Read and check the log of operations that matter for security. Changes nothing; a daemon may run."""


@audit.command()
@click.option(
    "--anchor", "anchors", multiple=True, metavar="SEQ:HASH", help="That this entry is still there; may be given again."
)
@_CONFIG
@_DATA
@_JSON
def verify(anchors: Sequence[str], config_file: Path | None, data_dir: str | None, *, as_json: bool) -> None:
    """Tell whether the log is whole and unaltered.

    Prints the last entry as SEQ:HASH. Kept on another machine, and given as --anchor later, it also proves that nobody
    who could read the key wrote the log anew. Exit codes: 0 unaltered, 1 altered, 2 it cannot be told.
    """
    import msgspec  # noqa: PLC0415 -- the other commands start faster without

    from stui_sessiond.errors import StorageError  # noqa: PLC0415 -- the same
    from stui_sessiond.storage.fs import LocalFileSystem  # noqa: PLC0415 -- the same
    from stui_sessiond.storage.tools.audit import read_anchor, verify_audit  # noqa: PLC0415 -- the same

    try:
        report = verify_audit(
            _root(config_file, data_dir), LocalFileSystem(), [read_anchor(anchor) for anchor in anchors]
        )
    except (StorageError, ValueError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'the log'}: {error.strerror or error}")
    if as_json:
        click.echo(json.dumps({**msgspec.to_builtins(report), "ok": report.sound}, ensure_ascii=False))
    else:
        click.echo(f"log          {report.folder}, {report.files} files")
        click.echo(f"entries      {report.entries}, from {report.first_seq} to {report.last_seq}")
        click.echo(f"anchor       {report.last_seq}:{report.last_hash}")
        click.echo(f"written      {'closed' if report.closed else 'open: a daemon writes it, or was killed'}")
        click.echo(f"holes        {report.holes}, {report.lost} entries lost to the disk")
        for finding in report.findings:
            click.echo(f"{finding.severity:12} {finding.where}: {_shown(finding.what)}")
        click.echo("Unaltered." if report.sound else f"{report.problems} problems: the log was altered.")
    sys.exit(0 if report.sound else EXIT_ALTERED)


@audit.command()
@click.option("-n", "count", type=click.IntRange(min=0), default=20, metavar="N", help="So many entries (20).")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@_CONFIG
@_DATA
@_JSON
def tail(count: int, config_file: Path | None, data_dir: str | None, *, follow: bool, as_json: bool) -> None:
    """Print the newest entries, the oldest first. A line that was altered is marked with `!`."""
    from stui_sessiond.storage.fs import LocalFileSystem  # noqa: PLC0415 -- only needed here
    from stui_sessiond.storage.tools.audit import Follower, last_entries  # noqa: PLC0415 -- the same

    root, disk = _root(config_file, data_dir), LocalFileSystem()
    try:
        follower = Follower(root, disk) if follow else None
        _print(last_entries(root, disk, count), as_json=as_json)
        while follower is not None:
            time.sleep(POLL_S)
            _print(follower.poll(), as_json=as_json)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        raise  # whoever reads what is printed has enough: click ends quietly
    except OSError as error:
        _fail(f"{error.filename or 'the log'}: {error.strerror or error}")


# ---- inside


def _root(config_file: Path | None, data_dir: str | None) -> Path:
    from stui_sessiond import config, errors  # noqa: PLC0415 -- only needed here

    try:
        return config.data_dir(config.load_settings(config_file, os.environ, {"data_dir": data_dir}).server)
    except errors.ConfigError as error:
        _fail(str(error))


def _print(entries: "Iterable[Entry | bytes]", *, as_json: bool) -> None:
    import msgspec  # noqa: PLC0415 -- only needed here

    for entry in entries:
        if isinstance(entry, bytes):
            shown = {"altered": entry.decode(errors="replace")}
            click.echo(json.dumps(shown) if as_json else f"! {_shown(shown['altered'])}")
        elif as_json:
            click.echo(json.dumps(msgspec.to_builtins(entry)))
        else:
            click.echo(_line(entry))
    sys.stdout.flush()


def _line(entry: "Entry") -> str:
    """One entry for a person: when, what, how it ended, who, on what."""
    actor = entry.actor
    who = (
        ""
        if actor is None
        else " ".join(filter(None, (actor.principal, actor.client_id, actor.role, actor.transport, actor.address)))
    )
    about = [f"{name}={getattr(entry, name)}" for name in ("command", "session_id", "image_id") if getattr(entry, name)]
    about += [f"{name}={value}" for name, value in entry.details.items()]
    return _shown(
        f"{entry.seq:>6} {entry.at} {entry.event:18} {entry.outcome:12} [{who or '-'}] {' '.join(about)}".rstrip()
    )


def _shown(text: str) -> str:
    from stui_sessiond.printable import printable  # noqa: PLC0415 -- only needed here

    return printable(text)


def _fail(text: str) -> NoReturn:
    click.echo(f"stui-sessiond: {text}", err=True)
    sys.exit(EXIT_CANNOT)
