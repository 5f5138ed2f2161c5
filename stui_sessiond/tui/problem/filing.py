"""Where does a failure go that a person wants to keep? Into a text file of its own, readable by its owner only."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from stui_sessiond.tui.problem.problem import Problem, write_problem

MAX_NAME_CHARS = 40
"""Of a title in the name of a file."""


def default_folder() -> Path:
    """Where failures are filed unless somebody says otherwise: the user's state folder (XDG Base Directory 0.8)."""
    named = os.environ.get("XDG_STATE_HOME", "")
    state = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return state / "stui" / "problems"


def file_away(problem: Problem, folder: Path, now: datetime | None = None) -> Path:
    """Write a failure into a new file, and give its path.

    Raises:
        OSError: it cannot be written.
    """
    at = now or datetime.now(UTC)
    words = re.sub(r"[^A-Za-z0-9]+", "-", problem.title)[:MAX_NAME_CHARS].strip("-") or "problem"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(1, 1_000):
        path = folder / f"{at:%Y%m%d-%H%M%S}-{words}{'' if number == 1 else f'-{number}'}.txt"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 -- a descriptor
            file.write(write_problem(problem, f"{at:%Y-%m-%dT%H:%M:%SZ}"))
        return path
    msg = f"{folder} has a thousand reports of this second already"
    raise OSError(msg)
