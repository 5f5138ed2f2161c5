"""The `inspect` command: what is inside an object of a live image?"""

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from stui_sessiond import cli_ask as asking
from stui_sessiond import cli_eval

if TYPE_CHECKING:
    from stui_sessiond.wire.messages.development import InspectResult


@click.command()
@click.argument("target")
@click.option("--session", metavar="ID", help="With the variables of this session, in its image.")
@click.option("--tool", metavar="ID", help="The variables of this tool of it.")
@click.option("--image", metavar="ID", help="In this image, in a session of its own that is gone afterwards.")
@click.option("--path", metavar="NAME/NAME", help="From there to the object in this variable of it, and so on.")
@asking.AT
@asking.TOKEN
@click.option("--client-id", help="The name to say hello with.")
@asking.JSON
@asking.with_tls
def inspect(
    target: str,
    session: str | None,
    tool: str | None,
    image: str | None,
    path: str | None,
    url: str | None,
    token: str | None,
    client_id: str | None,
    *,
    as_json: bool,
) -> None:
    """Show the object that the expression TARGET gives, with what is in its variables; `-` reads standard input.

    \b
    stui inspect 'Smalltalk'
    stui inspect account --session session_... --tool workspace-1 --path owner/address
    """  # noqa: D301 -- \b is the character that keeps lines apart
    from stui_sessiond import client  # noqa: PLC0415 -- `--help` does without

    if session is not None and image is not None:
        asking.fail("give one of --session and --image", asking.EXIT_USAGE)
    source = sys.stdin.read() if target == "-" else target
    steps = [] if path is None else path.split("/")

    async def run() -> "InspectResult":
        async with (
            client.connect(asking.address(url), client_id=client_id, token=token) as connected,
            cli_eval.session_for(connected, session, image) as session_id,
        ):
            return await connected.inspect(source, session_id=session_id, tool_id=tool, path=steps)

    with asking.failures_told(as_json=as_json):
        found = asyncio.run(run())
    if as_json:
        cli_eval.print_json(found)
    else:
        _show(found)


def _show(found: "InspectResult") -> None:
    info = found.object_info
    safe = cli_eval.safe
    click.echo(f"{safe(info.class_name)}: {safe(info.string_representation)}")
    for name, variable in found.instance_vars.items():
        shown = "the object itself, again" if variable.cycle is True else variable.string_representation
        click.echo(f"  {safe(name):<20} {safe(variable.class_name)}: {safe(shown)}")
