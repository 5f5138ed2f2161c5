"""The command line. Thin: everything is elsewhere."""

import asyncio
import gc
import json
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from stui_sessiond import (
    __version__,
    cli_audit,
    cli_code,
    cli_doctor,
    cli_eval,
    cli_fuzz,
    cli_image_conformance,
    cli_images,
    cli_log_level,
    cli_service,
    cli_store,
    cli_tls,
    cli_token,
    cli_ui,
)
from stui_sessiond.cli_ask import (
    AT,
    EXIT_FAILED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    JSON,
    TOKEN,
    address,
    ask,
    fail,
    with_tls,
)

T = TypeVar("T")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stui-sessiond")
def main() -> None:
    """The session daemon between live Smalltalk images and their clients."""


main.add_command(cli_store.store)
main.add_command(cli_token.token)
main.add_command(cli_ui.ui)
main.add_command(cli_tls.tls)
main.add_command(cli_audit.audit)
main.add_command(cli_code.code)
main.add_command(cli_eval.evaluate)
main.add_command(cli_doctor.doctor)
main.add_command(cli_images.images)
main.add_command(cli_log_level.log_level)
main.add_command(cli_service.service)
main.add_command(cli_service.restart)
main.add_command(cli_fuzz.fuzz)
main.add_command(cli_fuzz.fuzz_image)
main.add_command(cli_image_conformance.image_conformance)


@main.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Settings, TOML.")
@click.option("--data-dir", metavar="DIR", help="Where sessions are kept.")
@click.option("--runtime-dir", metavar="DIR", help="Where the unix socket is.")
@click.option("--http", metavar="HOST:PORT", help="Listen for WebSocket (at /) and HTTP (/rpc, /events, /healthz).")
@click.option("--lines", metavar="HOST:PORT", help="Listen for one JSON message per line over TCP.")
@click.option("--unix", metavar="PATH", help="The unix socket. Default: in the runtime folder.")
@click.option(
    "--auth",
    metavar="none|token",
    help="Whether peers over TCP and HTTP show a token (default) or not. The unix socket is for your user alone.",
)
@click.option("--tls-certificate", metavar="FILE", help="Speak TLS 1.3 over TCP and HTTP, with this certificate.")
@click.option("--tls-key", metavar="FILE", help="Its key. `stui-sessiond tls init` makes both.")
@click.option("--tls-client-ca", metavar="FILE", help="Let in only clients and images with certificates of this CA.")
@click.option("--ready-file", metavar="FILE", help="Write where the daemon listens, once it does.")
@click.option("--log-format", metavar="console|json", help="For people (default) or for machines.")
@click.option("--log-file", metavar="FILE", help="Log into this file, opened anew at SIGHUP. Default: standard error.")
@click.option("--log-level", metavar="LEVEL", help="debug, info (default), warning or error.")
def serve(config_file: Path | None, **given: str | None) -> None:
    """Run the daemon until SIGTERM or Ctrl-C; at SIGUSR2 another process takes over.

    Every option is also a key of [server] or [tls] in the settings file and a variable STUI_SESSIOND_<OPTION>. Port 0
    takes a free port. A listener that is not named is off, except the unix socket. A certificate that changed is read
    again by itself, and at SIGHUP.
    """
    gc.disable()  # until it has started: there is no garbage in what is imported and read
    _import_structlog()
    from stui_sessiond import errors, process  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.service.succession import Arrival, SuccessionError  # noqa: PLC0415 -- as above

    arrival = None
    try:
        arrival = Arrival.from_environment(os.environ)
        _run(process.serve(process.launch(config_file, given, os.environ, arrival)))
    except (errors.ConfigError, errors.StorageError, SuccessionError) as error:
        if arrival is not None:
            arrival.fail(str(error))
        fail(str(error), EXIT_USAGE)


@main.command(context_settings={"ignore_unknown_options": False})
@click.argument("command")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@AT
@TOKEN
@click.option("--client-id", help="The name to say hello with.")
@JSON
@with_tls
def call(
    command: str,
    parameters: tuple[str, ...],
    url: str | None,
    token: str | None,
    client_id: str | None,
    *,
    as_json: bool,
) -> None:
    """Call a command of the protocol and print its result.

    A value is taken as JSON where the command wants something else than text; `-` reads it from standard input.

    \b
    stui-sessiond call create_session client_id=me
    stui-sessiond call update_session_state session_id=session_... state_data='{"a": 1}'
    echo '3 + 4' | stui-sessiond call evaluate session_id=session_... code=-
    """  # noqa: D301 -- \b is the character that keeps lines apart
    from stui_sessiond.contract import load_contract  # noqa: PLC0415 -- only needed here

    descriptor = load_contract().commands.get(command)
    given: dict[str, Any] = {}
    for parameter in parameters:
        key, equals, text = parameter.partition("=")
        if not equals or not key:
            fail(f"{parameter!r} is no KEY=VALUE", EXIT_USAGE)
        described = descriptor.parameters.get(key, {}) if descriptor else {}
        is_text = described.get("type", "").startswith("string")
        given[key] = sys.stdin.read() if text == "-" else text if is_text else _value(text)
    result = ask(command, given, url, token, client_id, as_json=as_json)
    click.echo(json.dumps(result, ensure_ascii=False, indent=None if as_json else 2))


@main.command()
@AT
@TOKEN
@JSON
@with_tls
def status(url: str | None, token: str | None, *, as_json: bool) -> None:
    """Tell how the daemon is."""
    statistics = ask("get_session_statistics", {}, url, token, None, as_json=as_json)
    images = ask("list_images", {}, url, token, None, as_json=as_json)["images"]
    if as_json:
        click.echo(json.dumps({**statistics, "images": images}, ensure_ascii=False))
        return
    storage = statistics["storage"]
    click.echo(f"up           {statistics['uptime_seconds']:.0f} s")
    click.echo(f"sessions     {statistics['total_sessions']} of {statistics['active_clients']} clients")
    click.echo(f"connections  {statistics['connections']['total']}")
    click.echo(f"storage      {storage['kind']}, {storage['status']}, {storage['size_bytes']} bytes")
    if storage["quarantined"]:
        click.echo(f"             {storage['quarantined']} files in quarantine: look at them")
    for image in images:
        what = " ".join(filter(None, (image["dialect"], image["version"])))
        matter = f"{image['status']}, {image['condition']}, {image['session_count']} sessions"
        click.echo(f"image        {image['image_id']} ({what}) {matter}")
    if not images:
        click.echo("image        none yet")


@main.command()
def where() -> None:
    """Print the address of this user's daemon, for clients and images on this machine."""
    click.echo(address(None))


@main.command()
@click.argument("command", required=False)
@JSON
def describe(command: str | None, *, as_json: bool) -> None:
    """Tell what commands there are, or all about one."""
    from stui_sessiond.contract import load_contract  # noqa: PLC0415 -- only needed here

    contract = load_contract()
    if command is not None and command not in contract.commands:
        fail(f"there is no command {command!r}; `stui-sessiond describe` lists them", EXIT_USAGE)
    chosen = [contract.commands[command]] if command else list(contract.commands.values())
    if as_json:
        import msgspec  # noqa: PLC0415 -- only needed here

        click.echo(msgspec.json.encode(chosen[0] if command else chosen).decode())
        return
    if command is None:
        for descriptor in chosen:
            later = "" if descriptor.built else f"  (comes with {descriptor.since})"
            click.echo(f"{descriptor.command:30} {descriptor.doc.split('. ')[0].rstrip('.')}.{later}")
        return
    descriptor = chosen[0]
    click.echo(f"{descriptor.command}  ~  {descriptor.request_type}\n\n{descriptor.doc}\n")
    for title, fields in (("Parameters", descriptor.parameters), ("Returns", descriptor.returns)):
        click.echo(f"{title}:")
        for name, field in fields.items():
            needed = " (required)" if field.get("required") else ""
            click.echo(f"  {name}: {field['type']}{needed}\n      {field['doc']}")
    click.echo("Errors:")
    for code in descriptor.errors:
        click.echo(f"  {code}\n      {contract.errors[code].help}")


@main.command()
@click.option("--image", type=click.Path(path_type=Path), metavar="FILE", help="The image.js of a live Amber.")
def demo(image: Path | None) -> None:
    """Show the main job with a live Smalltalk: work, leave, come back, restart the daemon, find everything."""
    from stui_sessiond import demo as show  # noqa: PLC0415 -- only needed here
    from stui_sessiond.errors import ConfigError  # noqa: PLC0415 -- only needed here

    try:
        asyncio.run(show.run_demo(show.find_image(image)))
    except (show.DemoFailedError, ConfigError) as error:
        fail(str(error), EXIT_FAILED)
    click.echo("All of it held.")


@main.command()
@click.argument("url")
@TOKEN
@click.option("--only", default="*", metavar="PATTERN", help="Only those whose name matches, such as 'invalid/json/*'.")
@JSON
@with_tls
def conformance(url: str, token: str | None, only: str, *, as_json: bool) -> None:
    """Check that the daemon at URL speaks the protocol.

    Plays the vectors and transcripts of protocol/vectors against it (protocol/VECTORS.md). What they open, they close;
    other sessions are left alone. Meant for a daemon with the default limits.
    """
    from stui_sessiond import testing  # noqa: PLC0415 -- only needed here

    try:
        report = asyncio.run(testing.run_conformance(url, token, only=only))
    except testing.UnreachableError as error:
        fail(f"{error}\nStart one with `stui-sessiond serve`.", EXIT_UNREACHABLE)
    except (testing.TokenNeededError, ValueError) as error:
        fail(str(error), EXIT_USAGE)
    if not report.rows:
        fail(f"no vector and no transcript is called {only!r}", EXIT_USAGE)
    click.echo(testing.as_json(report) if as_json else testing.as_table(report))
    sys.exit(EXIT_FAILED if report.failed else 0)


# ---- inside


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _import_structlog() -> None:
    """Import structlog without rich: it is a quarter of a start where it is there, and draws nothing for us."""
    if "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]  # as Python marks what cannot be imported
        try:
            import structlog  # noqa: F401, PLC0415
        finally:
            del sys.modules["rich"]


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 -- optional
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
