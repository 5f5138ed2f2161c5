"""A live Squeak for stui_sessiond: starts the image and has it dial the daemon.

The token of the daemon comes from the environment variable STUI_SESSIOND_TOKEN. The image gets what it has to know
through a file beside it, which only its owner can read. This program then becomes the virtual machine: it keeps its
process id, and what ends it ends the image.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from examples.squeak_image.build import BuildError, build, find_machine, machine_command
from examples.squeak_image.graft import ImageFormatError

TOKEN_VARIABLE = "STUI_SESSIOND_TOKEN"  # noqa: S105 - where it is, not what it is
WRONG_COMMAND_LINE = 2


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `tcp://HOST:PORT`.

    Raises argparse.ArgumentTypeError, with a text that says what is wrong.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        problem = f"{text}: {error}"
        raise argparse.ArgumentTypeError(problem) from None
    if parts.scheme == "unix":
        problem = f"{text}: this Squeak knows TCP only; serve with --lines HOST:PORT"
        raise argparse.ArgumentTypeError(problem)
    if parts.scheme != "tcp" or not host or not port:
        problem = f"{text} is not of the form tcp://HOST:PORT"
        raise argparse.ArgumentTypeError(problem)
    return host, port


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options; a wrong command line ends the program with status 2 and one line."""
    parser = argparse.ArgumentParser(prog="image.sh", description="Start a live Squeak that dials stui_sessiond.")
    parser.add_argument("--connect", type=parse_address, required=True, metavar="tcp://HOST:PORT", help="the daemon")
    parser.add_argument("--image-id", default="squeak", help="the image's lasting name (default: %(default)s)")
    parser.add_argument("--name", default="Squeak", help="its name for people (default: %(default)s)")
    parser.add_argument(
        "--image",
        type=Path,
        metavar="PATH",
        help="its file, where it is saved; made if it is not there. Without it, a new one in a temporary folder",
    )
    parser.error = fail  # type: ignore[method-assign, assignment]
    return parser.parse_args(arguments)


def fail(text: str) -> None:
    """End with one line: the command line is wrong."""
    print(f"image.sh: {text}", file=sys.stderr)
    raise SystemExit(WRONG_COMMAND_LINE)


def place_image(wanted: Path | None) -> Path:
    """The image file to start; a new one is a copy of the one that was built.

    Raises BuildError, or OSError if it cannot be written.
    """
    image = (wanted or Path(tempfile.mkdtemp(prefix="stui-squeak-")) / "squeak.image").absolute()
    if image.exists():
        return image
    built = build()
    image.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(built / "squeak.changes", image.with_suffix(".changes"))
    fresh = image.with_name(image.name + ".new")
    shutil.copyfile(built / "squeak.image", fresh)
    fresh.rename(image)
    return image


def write_settings(image: Path, options: argparse.Namespace, machine: Path) -> None:
    """What the image reads at its start.

    Raises OSError.
    """
    host, port = options.connect
    address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    settings = {
        "url": f"tcp://{host}:{port}",
        "address": [int(part) for part in str(address).split(".")],
        "port": port,
        "token": os.environ.get(TOKEN_VARIABLE) or None,
        "image_id": options.image_id,
        "name": options.name,
        "vm": f"squeakvm {machine.parent.name}",
        "host": socket.gethostname(),
        "process_id": os.getpid(),
    }
    path = image.with_name(image.name + ".settings")
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps(settings), encoding="ascii")


def main() -> None:
    """Become the virtual machine, or end with status 1 and a line that says why not."""
    options = parse_arguments()
    try:
        machine = find_machine()
        image = place_image(options.image)
        write_settings(image, options, machine)
    except (BuildError, ImageFormatError, OSError) as error:
        print(f"image.sh: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    environment = {name: value for name, value in os.environ.items() if name not in (TOKEN_VARIABLE, "DISPLAY")}
    command = machine_command(machine, image)
    os.chdir(image.parent)
    sys.stdout.flush()
    os.execve(command[0], command, environment)  # noqa: S606 - the virtual machine of the package


if __name__ == "__main__":
    main()
