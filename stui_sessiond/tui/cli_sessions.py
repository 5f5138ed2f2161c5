"""The `sessions` command: which sessions are there, and how are their images?"""

import asyncio
import getpass
import time
from typing import TYPE_CHECKING

import click

from stui_sessiond import cli_ask as asking

if TYPE_CHECKING:
    from stui_sessiond.tui.session_list import Group


@click.command()
@click.option("--image", metavar="ID", help="Only those of this image.")
@asking.AT
@asking.TOKEN
@click.option("--client-id", metavar="NAME", help="The name to say hello with. Default: your login name.")
@asking.JSON
@asking.with_tls
def sessions(image: str | None, url: str | None, token: str | None, client_id: str | None, *, as_json: bool) -> None:
    """List sessions by image, the one that was used last first.

    \b
    stui sessions
    stui attach "$(stui sessions --json | jq -r '.[0].rows[0].session_id')"
    """  # noqa: D301 -- \b is the character that keeps lines apart
    own = client_id or getpass.getuser()
    with asking.failures_told(as_json=as_json):
        groups = asyncio.run(_ask(asking.address(url), token, own))
    if image is not None:
        groups = [group for group in groups if group.image_id == image]
    if as_json:
        import msgspec  # noqa: PLC0415 -- only needed here

        click.echo(msgspec.json.encode(groups).decode())
        return
    from stui_sessiond.tui.session_list import image_line, row_line  # noqa: PLC0415 -- only needed here

    for group in groups:
        click.echo(image_line(group))
        for row in group.rows:
            click.echo(f"{row_line(row, time.time(), own)}  {row.session_id}")
    if not any(group.rows for group in groups):
        click.echo("no session yet; `stui` starts one")


async def _ask(url: str, token: str | None, own: str) -> "list[Group]":
    from stui_sessiond import client  # noqa: PLC0415 -- `--help` does without
    from stui_sessiond.tui.session_list import group  # noqa: PLC0415 -- the same

    async with client.connect(url, client_id=own, token=token) as connected:
        mine = await connected.list_client_sessions(own, include_inactive=True)
        images = await connected.list_images()
        of_images = await connected.list_image_sessions()
    return group(images.images, of_images.sessions, mine.sessions, own)
