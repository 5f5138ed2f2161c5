"""Does a screen look as it did? Pictures are stored as SVG, and compared without what differs from run to run.

    python -m pytest tests/unit/tui/test_snapshots.py --update-snapshots

writes them anew; look at what has changed with `git diff`, or in a browser, before you commit it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "snapshots"

_RANDOM: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(r"terminal-\d+"), "terminal-0"),  # the picture's own name, made of what is in it
    (re.compile(r"(?<=session_\d_\d{10}_)[A-Za-z0-9_-]+"), lambda found: "x" * len(found[0])),
    (re.compile(r"(?<=conn_)[A-Za-z0-9_-]{1,20}"), lambda found: "x" * len(found[0])),
    (re.compile(r"\n\s*@font-face \{.*?\}", re.DOTALL), ""),
]


def picture(app: Any) -> str:  # noqa: ANN401 -- an App of whatever result
    """The screen as SVG."""
    svg = app.export_screenshot(simplify=True)
    for pattern, fixed in _RANDOM:
        svg = pattern.sub(fixed, svg)
    return svg if svg.endswith("\n") else f"{svg}\n"


def check(app: Any, name: str, *, update: bool) -> None:  # noqa: ANN401 -- the same
    """Compare the screen with the stored one."""
    path = FOLDER / f"{name}.svg"
    found = picture(app)
    if update:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(found, "utf-8")
        return
    if not path.exists():
        pytest.fail(f"{path.name} is not there yet: run with --update-snapshots, look at it, commit it")
    if words(found) != words(path.read_text("utf-8")):
        pytest.fail(f"{name} says something else:\n" + _difference(words(path.read_text("utf-8")), words(found)))
    if found != path.read_text("utf-8"):
        pytest.fail(f"{name} says the same in other colours or places: look at it, and run with --update-snapshots")


def words(svg: str) -> list[str]:
    """The lines of text in a picture."""
    return [re.sub(r"&#160;", " ", line) for line in re.findall(r"<text[^>]*>(.*?)</text>", svg)]


def _difference(before: list[str], now: list[str]) -> str:
    import difflib  # noqa: PLC0415 -- only for a failure

    return "\n".join(difflib.unified_diff(before, now, "stored", "now", lineterm="", n=1))
