"""What do the commands share that ask a running daemon? Where it is, who asks, and what a failure prints.

Exit codes: 1 it was refused, 2 wrong use, 3 no daemon answers.
"""

import asyncio
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
"""No daemon answers."""

HINTS = {
    "authentication_failed": "`stui-sessiond token create NAME` on its machine makes one, for STUI_SESSIOND_TOKEN.",
    "client_not_allowed": "Say as which client you come with --client-id.",
}
"""What helps, where the command line knows more than the protocol."""

AT = click.option(
    "--url",
    envvar="STUI_SESSIOND_URL",
    metavar="URL",
    help="Where the daemon is: wss://HOST:PORT/, tls://HOST:PORT, ws://HOST:PORT/, tcp://HOST:PORT or unix:///PATH. "
    "Default: this user's socket.",
)
TOKEN = click.option(
    "--token", envvar="STUI_SESSIOND_TOKEN", metavar="TOKEN", help="Better given as STUI_SESSIOND_TOKEN."
)


def with_tls(command: F) -> F:
    """The options of TLS; they go into the address."""

    @click.option("--ca-file", envvar="STUI_SESSIOND_CA_FILE", metavar="FILE", help="With TLS: the CA to trust.")
    @click.option("--cert-file", envvar="STUI_SESSIOND_CERT_FILE", metavar="FILE", help="The certificate to show.")
    @click.option("--key-file", envvar="STUI_SESSIOND_KEY_FILE", metavar="FILE", help="Its key.")
    @functools.wraps(command)
    def with_files(
        url: str | None, ca_file: str | None, cert_file: str | None, key_file: str | None, **given: object
    ) -> None:
        if url is not None:
            from stui_sessiond.security import client_tls  # noqa: PLC0415 -- only needed here

            files = client_tls.ClientTlsFiles(ca_file=ca_file, cert_file=cert_file, key_file=key_file)
            url = client_tls.with_files(url, files)
        command(url=url, **given)

    return with_files  # type: ignore[return-value]


JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")


def address(url: str | None) -> str:
    """The address that is given, or that of this user's daemon."""
    if url is not None:
        return url
    from stui_sessiond import config  # noqa: PLC0415 -- only needed here

    settings = config.load_settings(None, os.environ, {})
    return f"unix://{config.unix_path(settings.server)}"


def ask(
    command: str,
    parameters: dict[str, Any],
    url: str | None,
    token: str | None,
    client_id: str | None,
    *,
    as_json: bool,
) -> Any:  # noqa: ANN401 -- any JSON
    """Call a command and give its result; a failure is printed and ends the process."""
    from stui_sessiond import client  # noqa: PLC0415 -- `serve` and `describe` do without

    async def asking() -> Any:  # noqa: ANN401 -- any JSON
        async with client.connect(address(url), client_id=client_id, token=token) as connected:
            return await connected.call(command, parameters)

    with failures_told(as_json=as_json):
        return asyncio.run(asking())


@contextmanager
def failures_told(*, as_json: bool) -> Iterator[None]:
    """Tell of a call that fails, and end with its exit code."""
    from stui_sessiond import client  # noqa: PLC0415 -- `serve` and `describe` do without

    try:
        yield
    except client.CallFailedError as error:
        if as_json:
            shown = {
                "error": error.message,
                "error_type": error.error_type,
                "code": error.code,
                "retryable": error.retryable,
                "details": error.details,
            }
            click.echo(json.dumps(shown, ensure_ascii=False))
            sys.exit(EXIT_FAILED)
        hint = HINTS.get(error.code)
        fail(f"{error.message} [{error.code}]" + (f"\n{hint}" if hint else ""), EXIT_FAILED)
    except client.ConnectionLostError as error:
        if error.ending is not None and not error.ending.reconnect:  # somebody is there, and the text says what helps
            fail(str(error), EXIT_UNREACHABLE)
        nobody_answers(error)
    except ValueError as error:
        fail(str(error), EXIT_USAGE)


def nobody_answers(error: Exception) -> NoReturn:
    """Tell that there is no daemon where one was looked for, and what helps; end."""
    fail(f"{error}\nStart one with `stui-sessiond serve`, or say where it is with --url.", EXIT_UNREACHABLE)


def fail(text: str, code: int) -> NoReturn:
    """Tell what went wrong, and end."""
    click.echo(f"stui-sessiond: {text}", err=True)
    sys.exit(code)
