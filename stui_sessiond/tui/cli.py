"""The command line of `stui`: without a command, the terminal front end."""

import click

from stui_sessiond import cli_ask as asking


@click.command()
@click.argument("session")
@asking.AT
@asking.TOKEN
@click.option("--client-id", default="stui", help="The name to say hello with.")
@asking.with_tls
def main(session: str, url: str | None, token: str | None, client_id: str) -> None:
    """Work in SESSION."""
    from stui_sessiond.client import LastingClient  # noqa: PLC0415 -- `--help` does without
    from stui_sessiond.tui.app import StuiApp  # noqa: PLC0415 -- the same

    StuiApp(LastingClient(asking.address(url), client_id=client_id, token=token), session).run()
