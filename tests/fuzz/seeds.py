"""What does a fuzzer begin with? The vectors and transcripts of the protocol, and files that a real daemon wrote."""

import asyncio
import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from stui_sessiond.config import load_settings
from stui_sessiond.daemon import Daemon
from stui_sessiond.testing.link import open_link
from stui_sessiond.testing.patterns import PatternError
from stui_sessiond.testing.transcripts import Send
from stui_sessiond.testing.vectors import encode, load_suite, payload
from stui_sessiond.wire.forms import request_type

MAX_BYTES = 4000
"""Longer seeds only make a fuzzer slow."""

_CONVERSATION: list[tuple[str, dict[str, Any]]] = [
    ("update_session_state", {"state_data": {"theme": "dark", "tabs": ["one"]}}),
    ("update_session_state", {"mode": "merge", "state_data": {"theme": None, "zoom": 2}, "idempotency_key": "k1"}),
    ("save_context", {"tool_id": "w", "context": {"workspace": {"text": "3 + 4"}}}),
    ("snapshot_session", {"name": "s"}),
    ("share_session", {"client_id": "other", "role": "editor"}),
    ("subscribe", {}),
    ("evaluate", {"code": "3 + 4"}),
    ("clear_context", {}),
]


@cache
def messages() -> list[bytes]:
    """All that is said in the vectors and transcripts."""
    suite = load_suite()
    names = {"run": "run", "token": None, "session_id": "session_1_1756550000_aaaaaaaaaaaaaaaaaaaaaa"}
    found = []
    for vector in suite.vectors:
        try:
            found.append(payload(vector, names))
        except PatternError:
            continue
    found += [
        encode(step.message) for transcript in suite.transcripts for step in transcript.steps if isinstance(step, Send)
    ]
    found += [_envelope(data) for data in found]
    return sorted({data for data in found if 0 < len(data) <= MAX_BYTES})


def _envelope(data: bytes) -> bytes:
    """The same request in the other form, where it is one."""
    try:
        tree = json.loads(data)
        inside = {"request_type": request_type(tree["command"]), "params": tree.get("parameters", {})}
        return encode({"id": tree["id"], "version": "1.0.0", "payload": {"type": "Request", "data": inside}})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return b""


@cache
def files() -> dict[str, list[bytes]]:
    """What a daemon leaves on the disk: `journal`, `session`, `index`, `store`, by kind."""
    with tempfile.TemporaryDirectory(prefix="stui") as folder:
        home = Path(folder)
        asyncio.run(_work(home))
        data = home / "data"
        return {
            "journal": [path.read_bytes() for path in sorted((data / "journal").iterdir())],
            "session": [path.read_bytes() for path in sorted((data / "sessions").rglob("*.json"))],
            "index": [path.read_bytes() for path in data.glob("index.json")],
            "store": [(data / "store.json").read_bytes()],
        }


async def _work(home: Path) -> None:
    given = {"data_dir": str(home / "data"), "runtime_dir": str(home / "run"), "auth": "none"}
    for _ in range(2):  # the second start reads what the first has left, and adds to it
        daemon = Daemon(load_settings(None, {}, given))
        ready = await daemon.start()
        link = await open_link(f"unix://{ready.unix}")
        await link.send(encode({"id": "c", "command": "create_session", "parameters": {"client_id": "c", "name": "n"}}))
        session_id = json.loads(await link.receive())["result"]["session_id"]
        for number, (command, parameters) in enumerate(_CONVERSATION):
            wanted = {"session_id": session_id, **parameters}
            await link.send(encode({"id": f"q{number}", "command": command, "parameters": wanted}))
            while json.loads(await link.receive()).get("id") != f"q{number}":
                pass
        await link.close()
        await daemon.stop()


def store_id() -> str:
    """The id of the store that `files` are from."""
    text = files()["store"][0].partition(b"\n")[0]
    return str(json.loads(text)["store_id"])


def sealed(data: bytes) -> bytes:
    """Put the checksum of a small file around it."""
    return data + b"\n" + hashlib.sha256(data).hexdigest().encode() + b"\n"
