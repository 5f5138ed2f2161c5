"""Does one subscriber that does not read cost the others anything? Measures with and without; README.md explains it.

    python benchmarks/subscribers.py [--subscribers 100] [--events 300] [--rounds 3]

A real daemon, real sockets. Latency is from the moment the change is sent to the moment a subscriber has its event. The
daemon cuts a subscriber off that has read nothing for 30 seconds, so this takes about a minute.
"""

import argparse
import asyncio
import json
import socket
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.baseline import Daemon, folder

Json = dict[str, Any]

PAD = "x" * 4000
STALL_S = 31.0
"""After so long the daemon has cut it off, and lets it read why for some seconds more."""


class Line:
    """A connection that asks one thing at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._serial = 0

    @classmethod
    async def dial(cls, place: str) -> "Line":
        """Connect."""
        host, _, port = place.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=1 << 22))

    async def result(self, command: str, **parameters: object) -> Json:
        """The result of a command."""
        self._serial += 1
        request_id = str(self._serial)
        message = {"id": request_id, "command": command, "parameters": parameters}
        self.writer.write(json.dumps(message).encode() + b"\n")
        while True:
            answer = json.loads(await self.reader.readline())
            if answer.get("id") == request_id:
                result: Json = answer["result"]
                return result


class Live:
    """A subscriber that reads; it notes when it has the event of each version."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.at: dict[int, float] = {}
        self.heard = asyncio.Event()

    async def read(self) -> None:
        """Read for ever."""
        while line := await self.line.reader.readline():
            if b'"session.updated"' in line:
                now = time.perf_counter()
                self.at[json.loads(line)["data"]["version"]] = now
                self.heard.set()


async def publish(writer: Line, session_id: str, live: list[Live], events: int, pad: str = PAD) -> list[float]:
    """Make changes one after the other; give how late each subscriber heard of each, in milliseconds."""
    sent: dict[int, float] = {}
    for number in range(events):
        began = time.perf_counter()
        told = await writer.result("update_session_state", session_id=session_id, state_data={"n": number, "pad": pad})
        sent[told["version"]] = began
        for each in live:
            while told["version"] not in each.at:
                each.heard.clear()
                await each.heard.wait()
    return [(each.at[version] - began) * 1000 for each in live for version, began in sent.items()]


def show(name: str, late: list[float], cpu_ms: float) -> float:
    """Print a row; give the 99th of a hundred."""
    late.sort()
    p50, p99 = statistics.median(late), late[len(late) * 99 // 100]
    used = f"daemon {cpu_ms:.2f} ms of a core an event"
    print(f"{name:<30}p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   of {len(late):,}   {used}", flush=True)
    return p99


async def measure(daemon: Daemon, subscribers: int, events: int, rounds: int) -> None:
    """Measure in turns: without, then with the stalled one, which is then waited for."""
    lines = daemon.places["lines"]
    writer = await Line.dial(lines)
    session_id = (await writer.result("create_session", client_id="bench"))["session_id"]
    live = []
    for _ in range(subscribers):
        one = Live(await Line.dial(lines))
        await one.line.result("subscribe", session_id=session_id)
        live.append(one)
    reading = [asyncio.create_task(one.read()) for one in live]
    await publish(writer, session_id, live, events)
    rest = daemon.memory_mb()

    async def turns(name: str) -> list[float]:
        found = []
        for _ in range(rounds):
            used = daemon.cpu_s() or 0.0
            late = await publish(writer, session_id, live, events)
            found.append(show(name, late, ((daemon.cpu_s() or 0.0) - used) * 1000 / events))
        return found

    without = await turns("without a stalled subscriber")
    host, _, port = lines.rpartition(":")
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect((host, int(port)))
    other = (await writer.result("create_session", client_id="bench"))["session_id"]
    for each in (session_id, other):
        request = {"id": "1", "command": "subscribe", "parameters": {"session_id": each}}
        stalled.sendall(json.dumps(request).encode() + b"\n")
    began = time.perf_counter()
    await publish(writer, other, [], 70, PAD * 25)  # more than any buffer takes
    end = time.perf_counter() + STALL_S
    full = daemon.memory_mb()
    with_it = await turns("with one that reads nothing")
    while time.perf_counter() < end:
        await publish(writer, session_id, live, 1)
    closing = await asyncio.to_thread(_last_message, stalled)
    print(f"read again after {time.perf_counter() - began:.1f} s, its last message: {closing}")
    while (await writer.result("get_session_statistics"))["connections"]["total"] > subscribers + 1:
        await publish(writer, session_id, live, 1)
    without += await turns("without it again")
    print(f"memory of the daemon: {rest} MB before, {full} MB with the stalled one, {daemon.memory_mb()} MB after it")
    change = statistics.median(with_it) / statistics.median(without)
    print(
        f"p99 with the stalled one is {change:.2f} of that without, which varies by {max(without) / min(without):.2f}"
    )
    stalled.close()
    for task in reading:
        task.cancel()
    for line in (writer, *(one.line for one in live)):
        line.writer.close()


def _last_message(stalled: socket.socket) -> str:
    stalled.settimeout(20)
    kept = b""
    try:
        while data := stalled.recv(1 << 16):
            kept = (kept + data)[-(1 << 16) :]
    except OSError as error:
        return f"{error}"
    return kept.splitlines()[-1].decode()[:200]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with folder() as home, Daemon(home) as daemon:
        asyncio.run(measure(daemon, asked.subscribers, asked.events, asked.rounds))


if __name__ == "__main__":
    main()
