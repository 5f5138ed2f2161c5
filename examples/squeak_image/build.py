"""How is the live image made? From Debian's Squeak, once; headless, in some seconds.

    build.sh            make the image if it is not there yet, and print where it is
    build.sh --again    make it in any case

It is kept in `build/`, under a name that tells of the sources and of the packages it was made from.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from examples.squeak_image.graft import ImageFormatError, make_it_load

HERE = Path(__file__).resolve().parent
CACHE = HERE / "build"
STOCK_IMAGE = Path("/usr/share/scratch/Scratch.image")
MACHINES = Path("/usr/lib/squeak")
PACKAGES = "squeak-vm scratch"

SOURCES = (
    "begin",
    "text",
    "json",
    "request",
    "sources",
    "process",
    "run",
    "error",
    "session",
    "image",
    "link",
    "compiler",
    "dispatcher",
    "evaluator",
    "inspector",
    "debugger",
    "browser",
    "coder",
    "system",
    "patches",
    "end",
)
"""The files of `source/`, in the order in which they are loaded."""

ATTEMPTS = 3
TIME_LIMIT_S = 120
"""For one attempt; it takes some seconds."""


class BuildError(Exception):
    """The image could not be made; the text says why and what helps."""


def find_machine() -> Path:
    """The virtual machine.

    Raises BuildError if Squeak is not installed.
    """
    found = sorted(MACHINES.glob("*/squeakvm"))
    if not found or not STOCK_IMAGE.is_file():
        problem = f"Squeak is missing. On Debian and Ubuntu: apt-get install --no-install-recommends {PACKAGES}"
        raise BuildError(problem)
    return found[-1]


def machine_command(machine: Path, image: Path, memory: str = "400m") -> list[str]:
    """The command line that runs an image without a screen and without sound."""
    options = ["-plugins", f"{machine.parent}/", "-vm-display-null", "-vm-sound-null", "-mmap", memory]
    return [str(machine), *options, str(image)]


def load_source() -> bytes:
    """All sources in one, with the line ends of Smalltalk."""
    text = "\n".join((HERE / "source" / f"{name}.st").read_text(encoding="ascii") for name in SOURCES)
    return text.replace("\n", "\r").encode("ascii")


def cache_key(machine: Path, source: bytes) -> str:
    """Changes with everything the image is made from."""
    code = (HERE / "build.py").read_bytes() + (HERE / "graft.py").read_bytes()
    return hashlib.sha256(b"\0".join([str(machine).encode(), STOCK_IMAGE.read_bytes(), source, code])).hexdigest()[:16]


def attempt(machine: Path, source: bytes, folder: Path) -> None:
    """Make `squeak.image` and `squeak.changes` in a folder.

    Raises BuildError if that does not work.
    """
    image = folder / "squeak.image"
    image.write_bytes(make_it_load(STOCK_IMAGE.read_bytes(), "load.st"))
    before = image.stat().st_ino
    (folder / "load.st").write_bytes(source)
    (folder / "squeak.changes").touch()
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    try:
        subprocess.run(  # the virtual machine of the package
            machine_command(machine, image),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        problem = f"loading the sources took longer than {TIME_LIMIT_S} s"
        raise BuildError(problem) from None
    trouble = folder / "build-failed.txt"
    if trouble.exists():
        problem = "the sources do not load: " + trouble.read_text(encoding="latin-1").replace("\r", "\n")
        raise BuildError(problem)
    if image.stat().st_ino == before:
        problem = "the virtual machine ended without writing the image"
        raise BuildError(problem)
    (folder / "load.st").unlink()


def build(*, again: bool = False) -> Path:
    """The folder with the built image; it is made if it is not there.

    Raises BuildError if Squeak is missing or the sources do not load.
    """
    machine = find_machine()
    source = load_source()
    done = CACHE / cache_key(machine, source)
    if done.is_dir() and not again:
        return done
    CACHE.mkdir(exist_ok=True)
    for left in reversed(range(ATTEMPTS)):
        folder = Path(tempfile.mkdtemp(dir=CACHE, prefix="new-"))
        try:
            attempt(machine, source, folder)
        except BuildError:
            if not left:
                raise
        else:
            if again and done.is_dir():
                shutil.rmtree(done)
            try:
                folder.rename(done)
            except OSError:  # Somebody else made it meanwhile.
                if not done.is_dir():
                    raise
            return done
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    problem = "an attempt succeeds or the last one raises"
    raise AssertionError(problem)


def main() -> int:
    """Make it; the exit code."""
    parser = argparse.ArgumentParser(description="Make the live Squeak image.")
    parser.add_argument("--again", action="store_true", help="make it even if it is there")
    options = parser.parse_args()
    try:
        print(build(again=options.again) / "squeak.image")
    except (BuildError, ImageFormatError, OSError) as error:
        print(f"build.sh: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
