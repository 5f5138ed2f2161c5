"""The `token` commands: who may come in from elsewhere, and what for. Works while the daemon runs, and without it."""

import json
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import click

EXIT_CANNOT = 2
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST_S = 100 * 365 * 86400
_DEFAULT_RIGHTS = ("session", "eval", "observe")

_DATA_DIR = click.option("--data-dir", metavar="DIR", help="The daemon's data folder. Default: as for `serve`.")
_CONFIG = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Settings, TOML."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")


@click.group()
def token() -> None:
    """Make, list and revoke tokens. A running daemon notices within a second, for open connections too."""


@token.command()
@click.argument("name")
@click.option(
    "--right",
    "rights",
    multiple=True,
    type=click.Choice(["session", "eval", "observe", "admin", "image"]),
    help="May be given several times. Default: session, eval and observe; with --image: image.",
)
@click.option(
    "--client", "clients", multiple=True, metavar="ID", help="Only for this client id; * and ? are wildcards."
)
@click.option("--image", metavar="ID", help="Only for the image with this id to connect with.")
@click.option("--expires", metavar="30d", help="Not valid after this time: a number with s, m, h, d or w.")
@_CONFIG
@_DATA_DIR
@_JSON
def create(
    name: str,
    rights: tuple[str, ...],
    clients: tuple[str, ...],
    image: str | None,
    expires: str | None,
    config_file: Path | None,
    data_dir: str | None,
    *,
    as_json: bool,
) -> None:
    """Make a token and print it. It is shown once and kept nowhere."""
    from stui_sessiond import errors  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.security import token as tokens  # noqa: PLC0415 -- the same

    now = time.time()
    wish = tokens.Wish(
        name=name,
        rights=rights or (("image",) if image is not None else _DEFAULT_RIGHTS),
        clients=clients,
        image_id=image,
        expires_at=None if expires is None else now + _seconds(expires),
    )
    try:
        made = tokens.create(_folder(config_file, data_dir), wish, now)
    except (errors.ConfigError, OSError) as error:
        _fail(str(error))
    if as_json:
        click.echo(json.dumps({"name": name, "token": made, "rights": sorted(wish.rights)}))
        return
    click.echo(made)
    until = "" if wish.expires_at is None else f", until {_time(wish.expires_at)}"
    click.echo(
        f"Token {name!r} with the rights {', '.join(sorted(wish.rights))}{until}. It is shown only now.", err=True
    )


@token.command("list")
@_CONFIG
@_DATA_DIR
@_JSON
def list_(config_file: Path | None, data_dir: str | None, *, as_json: bool) -> None:
    """List the tokens, without what is secret of them."""
    from stui_sessiond import errors  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.security import token as tokens  # noqa: PLC0415 -- the same

    now = time.time()
    try:
        records = tokens.list_tokens(_folder(config_file, data_dir))
    except errors.ConfigError as error:
        _fail(str(error))
    rows = [
        {
            "id": record.id,
            "name": record.name,
            "state": record.state(now),
            "rights": list(record.rights),
            "clients": list(record.clients),
            "image_id": record.image_id,
            "created_at": _time(record.created_at) if record.created_at else None,
            "expires_at": None if record.expires_at is None else _time(record.expires_at),
        }
        for record in records
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo("There are no tokens. `stui-sessiond token create NAME` makes one.")
    for row in rows:
        bound = "".join(
            [
                *(f" client={client}" for client in row["clients"] or ()),
                f" image={row['image_id']}" if row["image_id"] else "",
            ]
        )
        until = f" until {row['expires_at']}" if row["expires_at"] else ""
        click.echo(f"{row['id']}  {row['state']:<8} {row['name']}  {','.join(row['rights'] or ())}{bound}{until}")


@token.command()
@click.argument("name")
@_CONFIG
@_DATA_DIR
def revoke(name: str, config_file: Path | None, data_dir: str | None) -> None:
    """Revoke a token by its name or id. Its open connections are closed within a second."""
    from stui_sessiond import errors  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.security import token as tokens  # noqa: PLC0415 -- the same

    try:
        revoked = tokens.revoke(_folder(config_file, data_dir), name, time.time())
    except (errors.ConfigError, OSError) as error:
        _fail(str(error))
    if not revoked:
        _fail(f"there is no valid token {name!r}; `stui-sessiond token list` shows them")
    click.echo(f"{revoked} revoked.")


@token.command()
@_CONFIG
@_DATA_DIR
def prune(config_file: Path | None, data_dir: str | None) -> None:
    """Forget tokens that are expired or revoked."""
    from stui_sessiond import errors  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.security import token as tokens  # noqa: PLC0415 -- the same

    try:
        click.echo(f"{tokens.prune(_folder(config_file, data_dir), time.time())} forgotten.")
    except (errors.ConfigError, OSError) as error:
        _fail(str(error))


def _folder(config_file: Path | None, data_dir: str | None) -> Path:
    from stui_sessiond import config, errors  # noqa: PLC0415 -- only needed here

    try:
        settings = config.load_settings(config_file, os.environ, {"data_dir": data_dir})
    except errors.ConfigError as error:
        _fail(str(error))
    return config.data_dir(settings.server)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)([smhdw])", text)
    if found is None:
        _fail(f"--expires: {text!r} is no time such as 12h or 30d")
    seconds = int(found[1]) * _UNITS[found[2]]
    if not 0 < seconds <= _LONGEST_S:
        _fail(f"--expires: {text!r} is not between 1s and 100 years; leave it out for a token that stays valid")
    return seconds


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fail(text: str) -> NoReturn:
    click.echo(f"stui-sessiond: {text}", err=True)
    sys.exit(EXIT_CANNOT)
