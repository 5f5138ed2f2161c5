"""The `ui` command: a token for the operator's page, and the page in the browser.

The token is printed, not put into the address: what is in an address stays in the history of the browser and can be
read in the list of processes (docs/adr/0021).
"""

import os
import time
import webbrowser
from pathlib import Path
from typing import NoReturn

import click

EXIT_CANNOT = 2
VALID_S = 12 * 3600
"""How long the token is good: a working day, and a forgotten tab is harmless the next."""

LOOK = ("observe",)
STEER = ("observe", "session", "eval", "admin")


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Settings, TOML.")
@click.option("--data-dir", metavar="DIR", help="The daemon's data folder. Default: as for `serve`.")
@click.option("--http", metavar="HOST:PORT", help="Where the daemon listens for HTTP. Default: as in the settings.")
@click.option("--look", is_flag=True, help="The token may look, and do nothing.")
@click.option("--no-open", is_flag=True, help="Only print; open no browser.")
def ui(config_file: Path | None, data_dir: str | None, http: str | None, *, look: bool, no_open: bool) -> None:
    """Open the operator's page, and make a token for it that is good for twelve hours."""
    from stui_sessiond import config, errors  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.security import token as tokens  # noqa: PLC0415 -- the same

    try:
        settings = config.load_settings(config_file, os.environ, {"data_dir": data_dir, "http": http})
        if settings.server.http is None:
            _fail("the daemon listens to no HTTP: start it with --http 127.0.0.1:7448, and say the same here")
        host, port = config.parse_address(settings.server.http, "server.http")
        if not port:
            _fail("say with --http at which port the daemon listens; its ready file tells")
        now = time.time()
        wish = tokens.Wish(name=f"page-{int(now * 1000)}", rights=LOOK if look else STEER, expires_at=now + VALID_S)
        made = tokens.create(config.data_dir(settings.server), wish, now)
    except (errors.ConfigError, OSError) as error:
        _fail(str(error))
    scheme = "http" if settings.tls.certificate is None else "https"
    name = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{name}:{port}/ui/"
    click.echo(url)
    click.echo(made)
    click.echo(f"Paste this token into the page. It may {', '.join(wish.rights)}, for twelve hours.", err=True)
    if not no_open:
        webbrowser.open(url)


def _fail(text: str) -> NoReturn:
    click.echo(f"stui-sessiond: {text}", err=True)
    raise SystemExit(EXIT_CANNOT)
