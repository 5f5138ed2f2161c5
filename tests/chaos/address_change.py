"""A laptop that changes networks: its old address is gone, nobody is told, and it comes back from another one.

It takes a network namespace of one's own, in which addresses can be taken away; where that is not allowed, it says so.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Json = dict[str, Any]

FIRST, SECOND = "10.77.0.1", "10.77.0.2"
PATIENCE_S = 20.0


def why_not() -> str | None:
    """Why a namespace cannot be had; None when it can."""
    try:
        tried = subprocess.run(
            ["unshare", "-rn", "ip", "address", "add", f"{FIRST}/32", "dev", "lo"],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (tried.stderr.strip() or f"unshare ended with {tried.returncode}") if tried.returncode else None


def prove() -> Json:
    """Run this module in a namespace; give what it found."""
    command = ["unshare", "-rn", sys.executable, str(Path(__file__).with_name("run.py")), "--in-namespace"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        return {"violations": [done.stderr[-2000:] or f"ended with {done.returncode}"]}
    found: Json = json.loads(done.stdout.splitlines()[-1])
    return found


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Line:
    """A connection from an address."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, place: tuple[str, int], source: str) -> "Line":
        """Connect."""
        return cls(*await asyncio.open_connection(*place, local_addr=(source, 0), limit=1 << 24))

    def send(self, request_id: str, command: str, **parameters: object) -> None:
        """Send a request."""
        message = {"id": request_id, "command": command, "parameters": parameters}
        self.writer.write(json.dumps(message).encode() + b"\n")

    async def read(self) -> Json:
        """The next message."""
        async with asyncio.timeout(PATIENCE_S):
            message: Json = json.loads(await self._reader.readline())
        return message

    async def ask(self, request_id: str, command: str, **parameters: object) -> Json:
        """The result of a request, of all that comes."""
        self.send(request_id, command, **parameters)
        while (message := await self.read()).get("id") != request_id:
            pass
        assert message["status"] == "success", message
        result: Json = message["result"]
        return result


async def walk() -> Json:
    """Lose an address with a change, an evaluation and events under way; come back from another."""
    from .process import DaemonProcess  # noqa: PLC0415 -- the namespace has no other use for it

    _ip("link", "set", "lo", "up")
    for address in (FIRST, SECOND):
        _ip("address", "add", f"{address}/32", "dev", "lo")
    violations: list[str] = []
    async with DaemonProcess() as daemon:
        assert daemon.lines is not None
        image = await Line.dial(daemon.lines, "127.0.0.1")
        await image.ask("h", "hello", role="image", identity={"image_id": "im", "instance_id": "1"})
        old = await Line.dial(daemon.lines, FIRST)
        hello = await old.ask("h1", "hello", role="client", client_id="ada")
        made = await old.ask("c1", "create_session", client_id="ada", image_id="im", idempotency_key="c")
        session_id = made["session_id"]
        since = (await old.ask("s1", "subscribe", session_id=session_id))["position"]
        old.send("e1", "evaluate", session_id=session_id, code="slow", idempotency_key="e")
        asked = await image.read()
        _ip("address", "del", f"{FIRST}/32", "dev", "lo")
        old.send("u1", "update_session_state", session_id=session_id, state_data={"a": 1}, idempotency_key="u")
        result = {"result": "7", "result_type": "Number", "execution_time": 1, "has_error": False}
        image.writer.write(json.dumps({"id": asked["id"], "status": "success", "result": result}).encode() + b"\n")
        began = time.perf_counter()
        new = await Line.dial(daemon.lines, SECOND)
        again = {"resume_token": hello["resume_token"], "unanswered": ["e1", "u1"]}
        greeting = await new.ask("h2", "hello", role="client", client_id="ada", **again)
        took = time.perf_counter() - began
        if not greeting["resumed"] or greeting["connection_id"] != hello["connection_id"]:
            violations.append(f"not resumed: {greeting}")
        evaluate = {"session_id": session_id, "code": "slow", "idempotency_key": "e"}
        answer = (
            await new.read()
            if "e1" in greeting["in_flight"]
            else {"result": await new.ask("e1", "evaluate", **evaluate)}
        )
        if answer["result"]["result"] != "7":
            violations.append(f"another outcome: {answer}")
        change = {"session_id": session_id, "state_data": {"a": 1}, "idempotency_key": "u"}
        if (await new.ask("u1", "update_session_state", **change))["version"] != 2:
            violations.append("changed twice")
        told = await new.ask("s2", "subscribe", session_id=session_id, since=since)
        names = [(await new.read()) for _ in range(told["position"]["seq"] - since["seq"])]
        if not told["recovered"] or [each["seq"] for each in names] != list(
            range(since["seq"] + 1, told["position"]["seq"] + 1)
        ):
            violations.append(f"events are missing: {names}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                violations.append(f"the image was asked again: {await image.read()}")
        for line in (image, new, old):
            line.writer.transport.abort()
    return {"violations": violations, "resume_ms": round(took * 1000, 1), "events": len(names)}
