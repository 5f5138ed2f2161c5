"""Are folders and secret files for their owner alone, and does the unix socket fit?"""

import os
import stat
from pathlib import Path
from shlex import quote

import msgspec

from stui_sessiond.doctor.finding import Finding

SOCKET_PATH_BYTES = 107
"""What fits into a socket address on Linux (macOS: 103)."""

SECRETS = ("tokens.json", "*.key")
"""Files of the data folder that nobody else may read."""


class PathFacts(msgspec.Struct, frozen=True):
    """What the system says of a path."""

    path: Path
    kind: str
    """`folder`, `file`, `socket`, `other`, or `nothing`."""
    mode: int = 0
    """Permission bits."""
    user: int = 0
    usable: bool = False
    """Whether this process may read and write it."""


def look(path: Path) -> PathFacts:
    """Ask the system."""
    try:
        found = path.stat()
    except OSError:
        return PathFacts(path, "nothing")
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISREG, "file"), (stat.S_ISSOCK, "socket"))
    kind = next((name for fits, name in kinds if fits(found.st_mode)), "other")
    wanted = os.R_OK | os.W_OK | (os.X_OK if kind == "folder" else 0)
    return PathFacts(path, kind, stat.S_IMODE(found.st_mode), found.st_uid, os.access(path, wanted))


def judge_private(check: str, facts: PathFacts, me: int, wanted_kind: str) -> Finding:
    """Judge a folder or file that is for its owner alone; `me` is the user who asks."""
    path = quote(str(facts.path))
    if facts.kind == "nothing":
        return Finding("note", check, f"{facts.path} is not there yet", "the daemon makes it at its first start")
    if facts.kind != wanted_kind:
        what = f"{facts.path} is no {wanted_kind}"
        return Finding("problem", check, what, "the daemon cannot start", f"mv {path} {path}.aside")
    if facts.user not in {0, me}:
        what = f"{facts.path} belongs to user {facts.user}"
        meaning = "that user can read and change everything in it"
        return Finding("problem", check, what, meaning, f"chown -R $(id -un) {path}")
    open_bits = facts.mode & (stat.S_IRWXG | stat.S_IRWXO)
    if open_bits:
        wanted = "700" if wanted_kind == "folder" else "600"
        level = "problem" if open_bits & (stat.S_IWGRP | stat.S_IWOTH) or wanted_kind != "folder" else "warning"
        what = f"{facts.path} has mode {facts.mode:o}"
        meaning = "other users of this machine can get at what is in it"
        return Finding("problem" if level == "problem" else "warning", check, what, meaning, f"chmod {wanted} {path}")
    if not facts.usable:
        return Finding(
            "problem", check, f"{facts.path} cannot be written", "the daemon cannot start", f"chmod u+rwX {path}"
        )
    return Finding("ok", check, f"{facts.path}, mode {facts.mode:o}")


def judge_socket_path(path: Path) -> Finding:
    """Judge whether the path fits into a socket address."""
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_BYTES:
        what = f"{path} has {size} bytes, {SOCKET_PATH_BYTES} fit"
        advice = "stui-sessiond serve --runtime-dir /tmp/stui-$(id -u)"
        return Finding("problem", "socket path", what, "the daemon cannot start", advice)
    return Finding("ok", "socket path", f"{size} of {SOCKET_PATH_BYTES} bytes")


def check_folders(data: Path, runtime: Path, socket_path: Path) -> list[Finding]:
    """Look at everything that has permissions."""
    me = os.geteuid()
    found = [judge_private("data folder", look(data), me, "folder")]
    found.append(judge_private("runtime folder", look(runtime), me, "folder"))
    for pattern in SECRETS:
        found += [judge_private(path.name, look(path), me, "file") for path in sorted(data.glob(pattern))]
    found.append(judge_socket_path(socket_path))
    socket_facts = look(socket_path)
    if socket_facts.kind != "nothing":
        found.append(judge_private("socket", socket_facts, me, "socket"))
    return found
