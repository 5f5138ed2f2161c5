"""Are Python and the libraries new enough? The bounds are those the package was installed with."""

import re
import sys
from importlib import metadata

from stui_sessiond.doctor.finding import Finding

_REQUIREMENT = re.compile(r"^([A-Za-z0-9_.-]+)\s*(?:\[.*?\])?\s*\(?>=\s*([0-9.]+)\)?\s*(?:;\s*(.*))?$")
MIN_PYTHON = (3, 11)


def probe_versions() -> tuple[list[str], dict[str, str]]:
    """Read the requirements of this package, and which versions are installed."""
    try:
        required = metadata.requires("stui-sessiond") or []
    except metadata.PackageNotFoundError:
        return [], {}
    installed = {}
    for text in required:
        match = _REQUIREMENT.match(text)
        if match is not None:
            try:
                installed[match.group(1)] = metadata.version(match.group(1))
            except metadata.PackageNotFoundError:
                continue
    return required, installed


def judge_versions(required: list[str], installed: dict[str, str], python: tuple[int, int, int]) -> list[Finding]:
    """Compare each `name>=version`; extras but `fast` are not looked at."""
    shown = ".".join(map(str, python))
    found = [Finding("ok", "Python", shown)]
    if python[:2] < MIN_PYTHON:
        found = [Finding("problem", "Python", f"{shown}; 3.11 is needed", "it does not run", "install a newer Python")]
    sound = []
    for text in required:
        match = _REQUIREMENT.match(text)
        if match is None:
            continue
        name, bound, marker = match.groups()
        fast = "fast" in (marker or "")
        if marker and not fast:
            continue
        version = installed.get(name)
        advice = f"{sys.executable} -m pip install '{name}>={bound}'"
        if version is None and fast:
            found.append(Finding("note", name, "not installed", "the daemon is somewhat slower without", advice))
        elif version is None:
            found.append(Finding("problem", name, "not installed", "the daemon does not start", advice))
        elif _numbers(version) < _numbers(bound):
            found.append(
                Finding("warning", name, f"{version}; {bound} is wanted", "older ones have known faults", advice)
            )
        else:
            sound.append(f"{name} {version}")
    if sound:
        found.append(Finding("ok", "libraries", ", ".join(sound)))
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
