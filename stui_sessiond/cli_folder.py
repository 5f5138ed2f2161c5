"""What do the commands share that work on a data folder: its options, its keys, progress, output and ends?

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
from typing import Any, NoReturn, TypeVar

import click

EXIT_PROBLEMS = 1
EXIT_CANNOT = 2

F = TypeVar("F", bound=Callable[..., Any])


def options(command: F) -> F:
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
            fail(str(error))
        except BrokenPipeError:
            raise  # whoever reads what is printed has enough: click ends quietly
        except OSError as error:
            fail(f"{error.filename or 'the store'}: {error.strerror or error}")

    return with_root  # type: ignore[return-value]


def disk() -> Any:  # noqa: ANN401 -- a FileSystem, imported late
    """The file system of this machine."""
    from stui_sessiond.storage.fs import LocalFileSystem  # noqa: PLC0415 -- only needed here

    return LocalFileSystem()


def note(root: Path, tool: str, **details: str | int | None) -> None:
    """Write what was done into the audit log of the folder."""
    from stui_sessiond.storage.audit_log import note_tool  # noqa: PLC0415 -- only needed here

    if not note_tool(root, disk(), tool, details):
        click.echo("stui-sessiond: it was done, but could not be written into the audit log", err=True)


def progress() -> Callable[[str, int, int], None]:
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


def plain(value: object) -> Any:  # noqa: ANN401 -- any JSON
    """Make what `json` writes."""
    import msgspec  # noqa: PLC0415 -- only needed here

    return msgspec.to_builtins(value)


def print_json(value: object) -> None:
    """Print a result for a script."""
    click.echo(json.dumps(plain(value), ensure_ascii=False))


def time_text(at: float) -> str:
    """Write a time for a person."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def fail(text: str) -> NoReturn:
    """End: it could not be done, and why."""
    click.echo(f"stui-sessiond: {text}", err=True)
    sys.exit(EXIT_CANNOT)
