"""Does a daemon answer here, is it alone, and do its images answer?"""

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any, Literal

import msgspec

from stui_sessiond.client import CallFailedError, Client, ConnectionLostError, connect
from stui_sessiond.doctor.finding import Finding
from stui_sessiond.storage.fs import LocalFileSystem

CONNECT_S = 5.0
PING_S = 3.0
"""How long an image gets to answer."""

MAX_IMAGES = 64
"""So many are asked, all at once."""


class ImageFacts(msgspec.Struct, frozen=True):
    """What became of a ping: `ready`, `busy`, or the error code."""

    image_id: str
    answer: str
    """To a ping, if it is connected; else its status."""
    conflicts: tuple[str, ...] = ()
    """Why it may not be the image it says it is."""


class LiveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of running daemons."""

    socket_path: Path
    socket: Literal["nothing", "stale", "silent", "answers"]
    """`stale`: nobody listens. `silent`: somebody accepts and says nothing."""
    process: int | None = None
    """Of the daemon on the socket."""
    holder: int | None = None
    """Of the daemon that has the data folder, where the system tells."""
    folder_in_use: bool = False
    ready_file: Path | None = None
    ready_process: int | None = None
    """Which process the ready file names."""
    ready_alive: bool = False
    storage: str | None = None
    images: tuple[ImageFacts, ...] = ()
    failure: str | None = None


def probe_live(data: Path, socket_path: Path, ready_file: Path | None) -> LiveFacts:
    """Connect, ask, and look who has the folder."""
    state, process = _try_socket(socket_path)
    in_use, holder = _folder(data)
    ready_process = _ready(ready_file)
    facts = LiveFacts(
        socket_path=socket_path,
        socket=state,
        process=process,
        holder=holder,
        folder_in_use=in_use,
        ready_file=ready_file,
        ready_process=ready_process,
        ready_alive=ready_process is not None and _alive(ready_process),
    )
    return asyncio.run(_ask(facts)) if state == "answers" else facts


def _try_socket(path: Path) -> tuple[Literal["nothing", "stale", "answers"], int | None]:
    if not path.exists():
        return "nothing", None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_S)
        try:
            probe.connect(str(path))
        except OSError:
            return "stale", None
        if not hasattr(socket, "SO_PEERCRED"):
            return "answers", None
        size = struct.calcsize("3i")
        process, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return "answers", process


def _folder(data: Path) -> tuple[bool, int | None]:
    lock = data / "lock"
    if not lock.exists():
        return False, None
    disk = LocalFileSystem()
    try:
        if disk.lock(lock):
            disk.unlock()
            return False, None
        inode = lock.stat().st_ino
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return True, None
    holders = [int(row[4]) for row in rows if len(row) > 5 and row[5].endswith(f":{inode}")]  # noqa: PLR2004 -- as in proc(5)
    return True, holders[0] if holders else None


def _ready(path: Path | None) -> int | None:
    if path is None:
        return None
    try:
        return int(msgspec.json.decode(path.read_bytes())["pid"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _ask(facts: LiveFacts) -> LiveFacts:
    try:
        async with (
            connect(f"unix://{facts.socket_path}", timeout_s=CONNECT_S) as client,
            asyncio.timeout(4 * CONNECT_S),
        ):
            statistics = await client.call("get_session_statistics", {})
            rows = (await client.call("list_images", {}))["images"]
            images = await asyncio.gather(*(_look(client, row) for row in rows[-MAX_IMAGES:]))
            storage: str = statistics["storage"]["status"]
            return msgspec.structs.replace(facts, storage=storage, images=tuple(images))
    except (ConnectionLostError, TimeoutError) as error:
        return msgspec.structs.replace(facts, socket="silent", failure=str(error) or "no answer")
    except CallFailedError as error:
        return msgspec.structs.replace(facts, failure=error.message)


async def _look(client: Client, row: dict[str, Any]) -> ImageFacts:
    connected = row["status"] == "connected"
    answer = await _ping(client, row["image_id"]) if connected else str(row["status"])
    return ImageFacts(row["image_id"], answer, tuple(one["text"] for one in row["conflicts"]))


async def _ping(client: Client, image_id: str) -> str:
    try:
        async with asyncio.timeout(2 * PING_S):
            answer: Any = await client.call("ping", {"image_id": image_id, "timeout": PING_S})
    except CallFailedError as error:
        return error.code
    except TimeoutError:
        return "image_timeout"
    return str(answer.get("status", "ready"))


# ---- judgement


def judge_live(facts: LiveFacts) -> list[Finding]:
    """Judge the daemon, who else is there, and its images."""
    return [_daemon(facts), *_others(facts), *_storage(facts), *_images(facts)]


def _daemon(facts: LiveFacts) -> Finding:
    path = facts.socket_path
    if facts.socket == "answers":
        if facts.failure is not None:
            return Finding("warning", "daemon", f"it refuses: {facts.failure}", "this could not be looked at", None)
        return Finding("ok", "daemon", f"process {facts.process} answers on {path}")
    if facts.socket == "silent":
        what = f"process {facts.process} accepts on {path} and does not answer: {facts.failure}"
        meaning = "it hangs, or was stopped with SIGSTOP"
        advice = f"kill -CONT {facts.process}; sleep 5; stui-sessiond doctor || kill {facts.process}"
        return Finding("problem", "daemon", what, meaning, advice)
    if facts.socket == "stale":
        meaning = "a daemon was killed; the next start removes the socket"
        return Finding("warning", "daemon", f"nobody listens on {path}", meaning, "stui-sessiond serve")
    return Finding("note", "daemon", "none runs here", "clients find nobody", "stui-sessiond serve")


def _others(facts: LiveFacts) -> list[Finding]:
    found = []
    holder = f"process {facts.holder}" if facts.holder is not None else "another process"
    if facts.folder_in_use and (facts.socket != "answers" or (facts.holder or facts.process) != facts.process):
        what = f"{holder} has the data folder, and is not the daemon on this socket"
        meaning = "no daemon can start on this folder with these settings"
        advice = (
            f"ps -fp {facts.holder}" if facts.holder is not None else "look for another daemon: pgrep -af stui-sessiond"
        )
        found.append(Finding("warning", "other daemons", what, meaning, advice))
    elif facts.socket == "answers" and not facts.folder_in_use:
        what = f"the daemon on {facts.socket_path} works on another data folder"
        meaning = "what is looked at here is not what it works with"
        found.append(Finding("warning", "other daemons", what, meaning, "give the settings that it was started with"))
    if facts.ready_file is not None and facts.ready_process is not None:
        if facts.ready_alive:
            found.append(Finding("ok", "ready file", f"{facts.ready_file} names process {facts.ready_process}"))
        else:
            what = f"{facts.ready_file} names process {facts.ready_process}, which is gone"
            meaning = "who waits for this file is misled; the next start removes it"
            found.append(Finding("warning", "ready file", what, meaning, f"rm {quote(str(facts.ready_file))}"))
    return found


def _storage(facts: LiveFacts) -> list[Finding]:
    if facts.storage in {None, "ok"}:
        return []
    what = f"the daemon says `{facts.storage}`"
    return [Finding("problem", "storage", what, "changes are refused", "stui-sessiond status    # and make room")]


def _images(facts: LiveFacts) -> Iterator[Finding]:
    for image in facts.images:
        if image.answer not in {"disconnected", "reconnecting", "unknown"}:  # it went, as images do
            yield _image(image)
        for text in image.conflicts:
            meaning = "work may be lost, or go to another image than is meant"
            yield Finding("warning", f"image {image.image_id}", text, meaning, "stui-sessiond images")


def _image(facts: ImageFacts) -> Finding:
    check = f"image {facts.image_id}"
    if facts.answer == "ready":
        return Finding("ok", check, "answers")
    if facts.answer == "busy":
        return Finding("note", check, "says that it is busy", "it runs code; what is asked now waits")
    if facts.answer == "interface_blocked":
        meaning = "a person at it can do nothing; code that is asked for may still run"
        return Finding("warning", check, "says that its user interface is blocked", meaning, "look at its window")
    if facts.answer in {"orphaned", "failed"}:
        what = "has been gone for long, and sessions wait for it" if facts.answer == "orphaned" else "was refused"
        meaning = "its sessions can run nothing"
        return Finding("warning", check, what, meaning, f"stui-sessiond images    # {facts.image_id}")
    if facts.answer == "image_timeout":
        what = f"did not answer within {PING_S:g} s"
        meaning = "it runs code that does not end, or its process is stopped; what is asked waits"
        return Finding(
            "warning", check, what, meaning, "look at the image's own window, or: ps -o pid,stat,args -A | grep -i T"
        )
    return Finding(
        "warning",
        check,
        f"a ping ended with {facts.answer}",
        "requests for it may fail the same way",
        "stui-sessiond status",
    )


# ---- ports


class PortFacts(msgspec.Struct, frozen=True):
    """Who has a port."""

    name: str
    place: str
    state: Literal["free", "ours", "taken", "unusable"]
    """`ours`: held by the daemon on our socket."""
    why: str = ""


def probe_port(name: str, host: str, port: int, daemon: int | None) -> PortFacts:
    """Try to take the port; where it is taken, look whether process `daemon` has it."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if port and daemon is not None and port in _listening(daemon):
                return PortFacts(name, place, "ours")
            in_use = error.errno == errno.EADDRINUSE
            return PortFacts(name, place, "taken" if in_use else "unusable", error.strerror or str(error))
    return PortFacts(name, place, "free")


def _listening(process: int) -> set[int]:
    """The TCP ports a process listens on, as far as the system tells."""
    inodes = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
    ports = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                row = line.split()
                if row[3] == "0A" and row[9] in inodes:  # LISTEN; the inode
                    ports.add(int(row[1].rpartition(":")[2], 16))
    return ports


def judge_port(facts: PortFacts) -> Finding:
    """Judge whether the daemon has the port, or can have it."""
    check = f"port {facts.name}"
    if facts.state in {"free", "ours"}:
        return Finding("ok", check, f"{facts.place} {'is free' if facts.state == 'free' else 'is held by our daemon'}")
    if facts.state == "taken":
        port = facts.place.rpartition(":")[2]
        meaning = "the daemon cannot start with these settings"
        return Finding(
            "problem", check, f"{facts.place} is taken by another process", meaning, f"ss -ltnp 'sport = :{port}'"
        )
    return Finding(
        "problem",
        check,
        f"{facts.place} cannot be used: {facts.why}",
        "the daemon cannot start",
        "choose another address",
    )
