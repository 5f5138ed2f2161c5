"""`stui-sessiond service ...` and `stui-sessiond restart`: the daemon as a service, and a new process in its place."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import click

from stui_sessiond.cli_ask import AT, EXIT_FAILED, EXIT_USAGE, address, fail, nobody_answers

SYSTEM = click.option("--system", is_flag=True, help="For the machine (as root), not for your user.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only show what would be written and run.")


@click.group()
def service() -> None:
    """Have your service manager (systemd, launchd) run the daemon."""


@service.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE")
@click.option(
    "--listen",
    multiple=True,
    metavar="NAME=PLACE",
    help="Have systemd listen, so that nobody is refused while the daemon is away: unix=PATH, lines=HOST:PORT or "
    "http=HOST:PORT. `unix` alone stands for the usual path.",
)
@SYSTEM
@DRY_RUN
def install(config_file: Path | None, listen: tuple[str, ...], *, system: bool, dry_run: bool) -> None:
    """Write the units and start the daemon; once more, with other options, changes them."""
    from stui_sessiond.errors import ConfigError  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.service import manager, unit  # noqa: PLC0415 -- the same

    config = None if config_file is None else str(config_file.absolute())
    try:
        if system:
            unit.check_reach([*_program(), os.path.realpath(sys.executable)])
        wish = unit.Wish(command=_program(), config=config, listen=_places(listen, system=system), system=system)
        here = manager.manager_here(system=system, environment=os.environ)
        if not dry_run:
            here.check()
        _go(here.install(wish), dry_run=dry_run)
    except ConfigError as error:
        fail(str(error), EXIT_FAILED)
    if not dry_run:
        click.echo("The daemon runs; `stui-sessiond service status` tells how it is.")
        if not system and sys.platform != "darwin":
            click.echo("It ends when you log out, unless lingering is on: loginctl enable-linger")


@service.command()
@SYSTEM
@DRY_RUN
def uninstall(*, system: bool, dry_run: bool) -> None:
    """Stop the daemon and take the units away. Sessions stay."""
    from stui_sessiond.errors import ConfigError  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.service import manager  # noqa: PLC0415 -- the same

    here = manager.manager_here(system=system, environment=os.environ)
    try:
        if not dry_run:
            here.check()
        steps = here.uninstall()
        if not steps:
            click.echo(f"Nothing is installed in {here.folder}.")
        _go(steps, dry_run=dry_run)
    except ConfigError as error:
        fail(str(error), EXIT_FAILED)


@service.command()
@SYSTEM
def status(*, system: bool) -> None:
    """Tell what the service manager says of it."""
    _ask_manager("status", system=system)


@service.command()
@SYSTEM
def logs(*, system: bool) -> None:
    """Show the end of the log."""
    _ask_manager("logs", system=system)


@service.command("restart")
@SYSTEM
def restart_service(*, system: bool) -> None:
    """Stop and start it through the service manager. `stui-sessiond restart` does it without a pause."""
    _ask_manager("restart", system=system)


@click.command()
@AT
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=90.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for it.",
)
def restart(url: str | None, timeout: float) -> None:
    """Have a new process take over from the daemon on this machine; nobody is refused a connection.

    The new process is what is installed now, with the settings as they are now. If it cannot start, the old one serves
    on. Only for the daemon's own user, over its unix socket.
    """
    from stui_sessiond.service import restarting  # noqa: PLC0415 -- the other commands start faster without

    place = address(url)
    if not place.startswith("unix://"):
        fail("a daemon is restarted on its own machine: --url unix:///PATH", EXIT_USAGE)
    try:
        outcome = restarting.restart(Path(place.removeprefix("unix://")), timeout)
    except restarting.NobodyServesError as error:
        nobody_answers(error)
    except restarting.RestartError as error:
        fail(str(error), EXIT_FAILED)
    click.echo(f"Process {outcome.pid} serves; for {(outcome.pause_s or 0.0) * 1000:.0f} ms nobody was served.")


# ---- inside


def _program() -> tuple[str, ...]:
    """This very program, by its whole path."""
    beside = Path(sys.executable).parent / "stui-sessiond"
    if beside.exists():
        return (str(beside),)
    found = shutil.which("stui-sessiond")
    return (found,) if found else (sys.executable, "-m", "stui_sessiond")


def _places(listen: tuple[str, ...], *, system: bool) -> dict[str, str]:
    from stui_sessiond.config import parse_address  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.service.activation import NAMES  # noqa: PLC0415 -- the same

    places: dict[str, str] = {}
    for text in listen:
        name, _, place = text.partition("=")
        if name not in NAMES or (not place and name != "unix"):
            fail(f"--listen {text}: NAME=PLACE, with a name of {', '.join(NAMES)}", EXIT_USAGE)
        if name != "unix":
            parse_address(place, f"--listen {name}")
        places[name] = place or ("/run/stui-sessiond/daemon.sock" if system else address(None).removeprefix("unix://"))
    return places


def _go(steps: "object", *, dry_run: bool) -> None:
    from stui_sessiond.service import manager  # noqa: PLC0415 -- the other commands start faster without

    for step in steps:  # type: ignore[attr-defined]  # steps of the manager
        if step.file is not None:
            click.echo(f"{'remove' if step.text is None else 'write'} {step.file}")
            if dry_run and step.text is not None:
                click.echo("".join(f"    {line}\n" for line in step.text.decode().splitlines()), nl=False)
        if step.command:
            click.echo(f"run {' '.join(step.command)}")
        if not dry_run:
            manager.take(step)


def _ask_manager(what: str, *, system: bool) -> NoReturn:
    from stui_sessiond.errors import ConfigError  # noqa: PLC0415 -- the other commands start faster without
    from stui_sessiond.service import manager  # noqa: PLC0415 -- the same

    here = manager.manager_here(system=system, environment=os.environ)
    command = {"status": here.status, "logs": here.logs, "restart": here.restart}[what]()
    try:
        here.check()
    except ConfigError as error:
        fail(str(error), EXIT_FAILED)
    sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603 -- ours
