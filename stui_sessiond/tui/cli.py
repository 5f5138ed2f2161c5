"""The command line of `stui`: without a command, the terminal front end; else what it does, for scripts.

Only the front end needs Textual. Exit codes are those of `stui-sessiond`: 1 refused, 2 wrong use, 3 no daemon answers.
"""

import sys
from importlib.util import find_spec

import click

from stui_sessiond import __version__, cli_eval
from stui_sessiond import cli_ask as asking
from stui_sessiond.tui.cli_inspect import inspect
from stui_sessiond.tui.cli_sessions import sessions

_CLIENT = click.option("--client-id", metavar="NAME", help="The name to say hello with. Default: your login name.")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--restore", is_flag=True, help="Begin with the last session.")
@click.option("--text", "text_mode", is_flag=True, help="Lists as plain lines, for a screen reader. Stays so.")
@click.option("--theme", metavar="NAME", help="stui-dark, stui-light, stui-contrast, or one of Textual's. Stays so.")
@asking.AT
@asking.TOKEN
@_CLIENT
@click.version_option(__version__, prog_name="stui")
@asking.with_tls
@click.pass_context
def main(
    context: click.Context,
    url: str | None,
    token: str | None,
    client_id: str | None,
    theme: str | None,
    *,
    restore: bool,
    text_mode: bool,
) -> None:
    """Work with live Smalltalk images in a terminal.

    Without a command: the front end, with --url at that daemon.
    """
    if context.invoked_subcommand is None:
        _open(url, token, client_id, None, restore=restore, text_mode=text_mode, theme=theme)


@main.command()
@click.argument("session")
@asking.AT
@asking.TOKEN
@_CLIENT
@asking.with_tls
def attach(session: str, url: str | None, token: str | None, client_id: str | None) -> None:
    """Open the front end on SESSION."""
    _open(asking.address(url), token, client_id, session)


main.add_command(cli_eval.evaluate)
main.add_command(inspect)
main.add_command(sessions)


def _open(
    url: str | None,
    token: str | None,
    client_id: str | None,
    session: str | None,
    *,
    restore: bool = False,
    text_mode: bool = False,
    theme: str | None = None,
) -> None:
    if find_spec("textual") is None:
        asking.fail("the front end needs Textual: pip install 'stui-sessiond[tui]'", asking.EXIT_USAGE)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        asking.fail("the front end needs a terminal; for scripts there are eval, inspect, sessions", asking.EXIT_USAGE)
    from stui_sessiond.tui import opening  # noqa: PLC0415 -- the other commands do without Textual

    wish = opening.Wish(url, token, client_id, session, restore=restore, text_mode=text_mode, theme=theme)
    try:
        told = opening.run(wish)
    except ValueError as error:
        asking.fail(str(error), asking.EXIT_USAGE)
    if told:
        click.echo(told)
