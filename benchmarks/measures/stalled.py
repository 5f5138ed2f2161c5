"""Does one subscriber that does not read cost the others anything? Measures with and without.

A real daemon, real sockets. Latency is from the moment the change is sent to the moment a subscriber has its event. The
daemon cuts a subscriber off that has read nothing for 30 seconds, so this takes about a minute.
"""

import asyncio
import json
import socket
import statistics
import time
from typing import Any

from benchmarks.harness.daemon import Daemon, fresh_daemon
from benchmarks.harness.plan import Run

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
    async def dial(cls, daemon: Daemon) -> "Line":
        """Connect, and say who is there."""
        line = cls(*await asyncio.open_connection("127.0.0.1", daemon.lines_port, limit=1 << 22))
        await line.result("hello", role="client", token=daemon.token, client_id="bench")
        return line

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


class Turn:
    """How late events were, and what each of them cost the daemon."""

    def __init__(self, late: list[float], cpu_ms: float) -> None:
        late.sort()
        self.p50, self.p99, self.cpu_ms = statistics.median(late), late[len(late) * 99 // 100], cpu_ms


async def compare(daemon: Daemon, subscribers: int, events: int, rounds: int) -> list[str]:
    """Measure in turns: without, then with the stalled one, which is then waited for. Gives lines to print."""
    writer = await Line.dial(daemon)
    session_id = (await writer.result("create_session", client_id="bench"))["session_id"]
    live = []
    for _ in range(subscribers):
        one = Live(await Line.dial(daemon))
        await one.line.result("subscribe", session_id=session_id)
        live.append(one)
    reading = [asyncio.create_task(one.read()) for one in live]
    await publish(writer, session_id, live, events)
    rest = daemon.memory_bytes()

    async def turns() -> list[Turn]:
        found = []
        for _ in range(rounds):
            used = daemon.cpu_s()
            late = await publish(writer, session_id, live, events)
            found.append(Turn(late, (daemon.cpu_s() - used) * 1000 / events))
        return found

    without = await turns()
    other = (await writer.result("create_session", client_id="bench"))["session_id"]
    stalled = stall(daemon, (session_id, other))
    began = time.perf_counter()
    await publish(writer, other, [], 70, PAD * 25)  # more than any buffer takes
    full = daemon.memory_bytes()
    with_it = await turns()
    while time.perf_counter() < began + STALL_S:
        await publish(writer, session_id, live, 1)
    closing = await asyncio.to_thread(_last_message, stalled)
    waited = time.perf_counter() - began
    while (await writer.result("get_session_statistics"))["connections"]["total"] > subscribers + 1:
        await publish(writer, session_id, live, 1)
    without += await turns()
    stalled.close()
    for task in reading:
        task.cancel()
    for line in (writer, *(one.line for one in live)):
        line.writer.close()
    memory = ", ".join(f"{size / 2**20:.1f}" for size in (rest, full, daemon.memory_bytes()))
    heads = [f"| {subscribers} subscribers, medians of turns | p50 ms | p99 ms | ms of the daemon's core an event |"]
    rows = [row("without a stalled one", without), row("with one that reads nothing", with_it)]
    after = f"Memory before, with and after it: {memory} MiB. It read again after {waited:.0f} s, at last: `{closing}`"
    return [*heads, "|---|--:|--:|--:|", *rows, "", after]


def row(name: str, turns: list[Turn]) -> str:
    """A row of the table."""
    medians = (statistics.median(values) for values in zip(*((t.p50, t.p99, t.cpu_ms) for t in turns), strict=True))
    return f"| {name} | {' | '.join(f'{value:.2f}' for value in medians)} |"


def stall(daemon: Daemon, sessions: tuple[str, ...]) -> socket.socket:
    """A subscriber with a small buffer that reads nothing."""
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", daemon.lines_port))
    hello = {"role": "client", "token": daemon.token, "client_id": "bench"}
    asked = [("hello", hello), *(("subscribe", {"session_id": each}) for each in sessions)]
    for command, parameters in asked:
        stalled.sendall(json.dumps({"id": "1", "command": command, "parameters": parameters}).encode() + b"\n")
    return stalled


def _last_message(stalled: socket.socket) -> str:
    stalled.settimeout(20)
    kept = b""
    try:
        while data := stalled.recv(1 << 16):
            kept = (kept + data)[-(1 << 16) :]
    except OSError as error:
        return f"{error}"
    return kept.splitlines()[-1].decode()[:200]


def measure(run: Run) -> None:
    """Measure with 100 subscribers."""
    with fresh_daemon() as daemon:
        text = "\n".join(asyncio.run(compare(daemon, 100, 300, run.plan.rounds)))
    run.report.texts.append(text)
    print(text, flush=True)
