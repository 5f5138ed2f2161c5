"""How is a small file of the user's kept? Written whole or not at all; one that cannot be read is put aside."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

MAX_BYTES = 1_000_000
"""A file of preferences or connections is some kilobytes; a larger one is none of ours."""

MAX_ASIDE = 100
"""Unreadable files that are kept beside each other; then the last one is replaced."""


def load_file(path: Path, wanted: type[T], default: T) -> tuple[T, str]:
    """Read a JSON file; what is missing, or cannot be read, is the default.

    Returns:
        The value, and what was wrong, for a person; empty if nothing was.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            return default, _aside(path, f"it is larger than {MAX_BYTES} bytes")
        return msgspec.json.decode(data, type=wanted), ""
    except FileNotFoundError:
        return default, ""
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return default, _aside(path, str(error))
    except OSError as error:
        return default, f"{path} cannot be read: {error.strerror or error}"


def store_file(path: Path, value: object) -> None:
    """Write a JSON file, readable for its owner alone: after a crash there is the old one or the new one.

    Raises:
        OSError: it could not be written; the old one is still there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power loss, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _aside(path: Path, reason: str) -> str:
    place = path
    for number in range(1, MAX_ASIDE + 1):
        place = path.with_name(f"{path.name}.unreadable-{number}")
        if not place.exists():
            break
    try:
        path.replace(place)
    except OSError as error:
        return f"{path} cannot be read ({reason}), nor put aside: {error.strerror or error}"
    return f"{path.name} cannot be read ({reason}); it is kept as {place.name}"
