"""The `eval` command: run code in a live image and print what comes of it.

Exit codes: 0 a value; 1 the code raised an error, or some image did not answer; 130 it was interrupted with Ctrl-C.
"""

import asyncio
import json
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import click

from stui_sessiond import cli_ask as asking

if TYPE_CHECKING:
    from stui_sessiond.client import Client
    from stui_sessiond.wire.messages.development import EvaluateResult, SmalltalkError
    from stui_sessiond.wire.messages.evaluation import AnswerGroup, EvaluateOnResult

EXIT_INTERRUPTED = 130
"""What shells take for Ctrl-C."""


@click.command("eval")
@click.argument("code")
@click.option("--session", metavar="ID", help="With the variables of this session, in its image.")
@click.option("--tool", metavar="ID", help="The variables of this tool of it.")
@click.option("--image", metavar="ID", help="In this image, in a session of its own that is gone afterwards.")
@click.option("--on-all", is_flag=True, help="In every connected image, and group equal answers.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    metavar="SECONDS",
    help="With --on-all: how long to wait for each. [30]",
)
@asking.AT
@asking.TOKEN
@click.option("--client-id", help="The name to say hello with.")
@asking.JSON
@asking.with_tls
def evaluate(
    code: str,
    session: str | None,
    tool: str | None,
    image: str | None,
    timeout: float,
    url: str | None,
    token: str | None,
    client_id: str | None,
    *,
    on_all: bool,
    as_json: bool,
) -> None:
    """Run CODE in a live image and print its value; `-` reads it from standard input.

    Without --session, --image and --on-all: in the only image there is. An error goes to standard error, with its
    stack, and the exit code is 1. Ctrl-C interrupts the code; a second one leaves it to itself.

    \b
    stui-sessiond eval '3 + 4'
    stui-sessiond eval - --session session_... < script.st
    stui-sessiond eval 'Smalltalk version' --on-all
    """  # noqa: D301 -- click reads the \b: these lines stay as they are
    from stui_sessiond import client  # noqa: PLC0415 -- the other commands start faster without

    if (session is not None) + (image is not None) + on_all > 1:
        asking.fail("give one of --session, --image and --on-all", asking.EXIT_USAGE)
    source = sys.stdin.read() if code == "-" else code

    async def run() -> int:
        async with client.connect(asking.address(url), client_id=client_id, token=token) as connected:
            if on_all:
                return _show_groups(await connected.evaluate_on(source, timeout_s=timeout), as_json=as_json)
            async with session_for(connected, session, image, client_id) as session_id:
                return await _evaluate(connected, source, session_id, tool, as_json=as_json)

    with asking.failures_told(as_json=as_json):
        sys.exit(asyncio.run(run()))


@asynccontextmanager
async def session_for(
    client: "Client", session: str | None, image: str | None, client_id: str | None
) -> AsyncIterator[str]:
    """The session that is meant, or one for this purpose: what runs in a session can be interrupted."""
    from stui_sessiond.wire.messages.session import CreateSession  # noqa: PLC0415 -- only needed here

    if session is not None:
        yield session
        return
    asked = CreateSession(client_id or f"eval-{secrets.token_hex(4)}", image_id=image)
    session_id = (await client.create_session(asked)).session_id
    try:
        yield session_id
    finally:
        await client.close_session(session_id, save_state=False)


async def _evaluate(client: "Client", code: str, session_id: str, tool: str | None, *, as_json: bool) -> int:
    name = f"eval-{secrets.token_hex(8)}"
    running = asyncio.ensure_future(client.evaluate(code, session_id=session_id, tool_id=tool, idempotency_key=name))
    stopping: asyncio.Future[None] | None = None
    with _ctrl_c() as pressed:
        try:
            if await _first(running, pressed):
                return _show(running.result(), as_json=as_json)
            click.echo("interrupting; Ctrl-C again leaves it to itself", err=True)
            stopping = asyncio.ensure_future(_interrupt(client, session_id, name))
            if await _first(stopping, pressed) and await _first(running, pressed):
                _show(running.result(), as_json=as_json)
            else:
                click.echo(f"it may still run, as evaluation {name} of session {session_id}", err=True)
            return EXIT_INTERRUPTED
        finally:
            running.cancel()
            if stopping is not None:
                stopping.cancel()


async def _interrupt(client: "Client", session_id: str, name: str) -> None:
    """Interrupt the evaluation, and say so if that does not work."""
    from stui_sessiond.client import CallFailedError  # noqa: PLC0415 -- only needed here

    try:
        told = await client.interrupt_evaluation(session_id, name)
    except CallFailedError as error:
        click.echo(f"stui-sessiond: {safe(error.message)}", err=True)
        return
    for one in told.evaluations:
        if one.reason is not None:
            click.echo(f"stui-sessiond: {safe(one.reason)}", err=True)


@contextmanager
def _ctrl_c() -> Iterator[asyncio.Event]:
    """Have Ctrl-C set an event in the place of ending the program."""
    loop, pressed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, pressed.set)
    try:
        yield pressed
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _first(work: "asyncio.Future[Any]", pressed: asyncio.Event) -> bool:
    """Wait for the end of work; False when Ctrl-C comes first."""
    key = asyncio.ensure_future(pressed.wait())
    try:
        await asyncio.wait((work, key), return_when=asyncio.FIRST_COMPLETED)
        return work.done()
    finally:
        key.cancel()
        pressed.clear()


# ---- what is printed


def _show(result: "EvaluateResult", *, as_json: bool) -> int:
    from msgspec import UNSET  # noqa: PLC0415 -- only needed here

    failed = result.has_error or result.error is not UNSET
    if as_json:
        print_json(result)
    elif result.error is not UNSET:
        _show_error(result.error)
    elif failed:
        click.echo(f"stui-sessiond: {safe(result.result_type or 'an error')}", err=True)
    else:
        _print_value(result.result)
    return asking.EXIT_FAILED if failed else 0


def _show_error(error: "SmalltalkError") -> None:
    click.echo(safe(f"{error.class_}: {error.message or ''}"), err=True)
    for frame in error.stack:
        line = "" if frame.line is None else f" line {frame.line}"
        click.echo(f"  {frame.index:3} {safe(frame.class_ or '?')}>>{safe(frame.selector or '?')}{line}", err=True)


def _show_groups(found: "EvaluateOnResult", *, as_json: bool) -> int:
    failed = any(group.kind != "value" for group in found.groups)
    if as_json:
        print_json(found)
    else:
        for group in found.groups:
            click.echo(f"{', '.join(map(safe, group.image_ids))}:")
            _show_group(group)
    return asking.EXIT_FAILED if failed else 0


def _show_group(group: "AnswerGroup") -> None:
    from msgspec import UNSET  # noqa: PLC0415 -- only needed here

    if group.kind == "failed":
        click.echo(f"  {safe(str(group.message))} [{group.code}]")
    elif group.error is not UNSET:
        click.echo(f"  {safe(group.error.class_)}: {safe(group.error.message or '')}")
    else:
        shown = group.result if isinstance(group.result, str) else json.dumps(group.result, ensure_ascii=False)
        cut = " ..." if group.truncated is True else ""
        click.echo(f"  {safe(shown)}{cut}")


def _print_value(value: object) -> None:
    """Print a value: as it is for another program, escaped for a terminal."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    click.echo(safe(text) if sys.stdout.isatty() else text, color=True)  # click would take escape sequences out


def print_json(result: object) -> None:
    """Print a Struct for another program."""
    import msgspec  # noqa: PLC0415 -- only needed here

    click.echo(msgspec.json.encode(result).decode())


def safe(text: str) -> str:
    """Text of an image, with nothing in it that a terminal obeys."""
    from stui_sessiond.printable import printable_lines  # noqa: PLC0415 -- only needed here

    return printable_lines(text.replace("\r\n", "\n").replace("\r", "\n"))
