"""The `log-level` command: from which level on does a running daemon log?

Exit codes: 0 good, 1 it was refused, 2 wrong use, 3 no daemon answers.
"""

import json
from typing import Any

import click

from stui_sessiond.cli_ask import AT, JSON, TOKEN, ask, with_tls


@click.command("log-level")
@click.argument("level", required=False, type=click.Choice(["debug", "info", "warning", "error", "default"]))
@click.option("--logger", metavar="NAME", help="A part of the daemon only, such as stui_sessiond.storage.")
@AT
@TOKEN
@JSON
@with_tls
def log_level(level: str | None, logger: str | None, url: str | None, token: str | None, *, as_json: bool) -> None:
    """Tell from which level on the daemon logs, or change it until the daemon ends.

    LEVEL is debug, info, warning or error; `default` with --logger lets that part follow the others again.
    """
    given: dict[str, Any] = {"level": level} if level else {}
    if logger is not None:
        if level is None:
            msg = "--logger takes a LEVEL"
            raise click.UsageError(msg)
        given["logger"] = logger
    found = ask("set_log_level" if level else "get_log_levels", given, url, token, None, as_json=as_json)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    click.echo(f"{found['default']:8} all others" if found["loggers"] else f"{found['default']:8} all")
    for name, own in sorted(found["loggers"].items()):
        click.echo(f"{own:8} {name}")
