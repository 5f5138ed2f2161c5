"""Measure the daemon as it is used: start-up, memory, and round trips over each transport; README.md explains them.

    python benchmarks/baseline.py [--quick] [--output FOLDER]

Nothing here fails because of a time; it only fails when an answer is wrong.
"""

import argparse
import asyncio
import base64
import importlib.util
import itertools
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

from stui_sessiond import __version__

ROOT = Path(__file__).resolve().parent.parent
AMBER = ROOT / "examples" / "amber_image"
DEADLINE_S = 60.0
MANY = 16
SESSIONS = 1000
PER_CLIENT = 5
BUSY = 80
"""Percent of a core above which a process is what limits the rate."""

STATE = {"open_tools": ["workspace-1", "inspector-1"], "text": "x" * 210, "cursor": [3, 14], "theme": "dark"}
EVALUATED = (
    b'","status":"success","result":{"result":"7","result_type":"SmallInteger","execution_time":0,"has_error":false}}\n'
)


class Row(NamedTuple):
    """One line of the table: round trips of a command, by the client's clock.

    The two shares of a core tell whose speed it is: where the client is the busier one, the rate is a floor.
    """

    command: str
    transport: str
    clients: int
    requests: int
    p50_ms: float
    p99_ms: float
    per_second: float
    daemon_cpu: int | None
    client_cpu: int
    others_cpu: int | None
    limit: str


def machine_cpu_s() -> float | None:
    """Processor time that anybody used so far, stolen time too; None where the system does not tell."""
    try:
        fields = Path("/proc/stat").read_text("ascii").split(maxsplit=9)[1:9]
    except OSError:
        return None
    user, nice, system, _, _, hard, soft, stolen = map(int, fields)
    return (user + nice + system + hard + soft + stolen) / os.sysconf("SC_CLK_TCK")


def share(before: float | None, after: float | None, taken: float) -> int | None:
    """Percent of one core between two readings."""
    return None if before is None or after is None else round((after - before) / taken * 100)


# ---- the daemon under measurement


class Daemon:
    """A daemon as a process of its own, on an empty folder unless told otherwise."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._ready = home / "ready.json"
        command = [sys.executable, "-m", "stui_sessiond", "serve", "--log-level", "warning", "--auth", "none"]
        command += ["--lines", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ready-file", str(self._ready)]
        command += ["--data-dir", str(home / "data"), "--runtime-dir", str(home / "run")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STUI_SESSIOND_")}
        begin = time.perf_counter()
        self.process = subprocess.Popen(command, env=environment)
        while not self._ready.exists():
            if self.process.poll() is not None or time.perf_counter() - begin > DEADLINE_S:
                self.process.kill()
                sys.exit("baseline: the daemon did not start")
            time.sleep(0.0005)
        self.startup_s = time.perf_counter() - begin
        self.places: dict[str, str] = json.loads(self._ready.read_bytes())

    def cpu_s(self) -> float | None:
        """Processor time used so far; None where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float | None:
        """Resident memory; None where the system does not tell."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        except OSError:
            return None
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return round(int(line.split()[1]) / 1024, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_S)
        finally:
            self.process.kill()
            self.process.wait()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of one's own."""
    with tempfile.TemporaryDirectory(prefix="stui-bench-") as name:
        yield Path(name)


# ---- clients that cost little themselves


class Pump(asyncio.Protocol):
    """A client that sends the next request the moment the answer to the last one is complete."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.last = b""
        self._buffer = bytearray()
        self._requests: Iterator[bytes] = iter(())
        self._end = 0.0
        self._sent = 0.0
        self._done: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; when it is whole, go on."""
        self._buffer += data
        message = self.take()
        if message is None or self._done is None or self._done.done():
            return
        now = time.perf_counter()
        self.latencies.append(now - self._sent)
        self.last = message
        if b'"success"' not in message:
            self._done.set_exception(RuntimeError(message.decode()))
            return
        self._send_next(now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionError("the daemon closed the connection"))

    def _send_next(self, now: float) -> None:
        request = next(self._requests, None) if now < self._end else None
        if request is None:
            if self._done is not None:
                self._done.set_result(None)
            return
        self._sent = time.perf_counter()
        self.write(request)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._transport is not None:
            self._transport.write(data)

    async def run(self, requests: Iterator[bytes], seconds: float) -> None:
        """Send requests one after the other until there are no more or the time is over."""
        self._requests = map(self.frame, requests)
        self._done = asyncio.get_running_loop().create_future()
        self._end = time.perf_counter() + seconds
        self._send_next(time.perf_counter())
        await self._done

    async def ask(self, command: str, **parameters: object) -> Any:  # noqa: ANN401 -- any JSON
        """Ask once, outside of what is measured."""
        await self.run(iter([encode(command, **parameters)]), DEADLINE_S)
        self.latencies.clear()
        return json.loads(self.last)["result"]

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def frame(self, request: bytes) -> bytes:
        """Wrap a request for the transport."""
        return request + b"\n"

    def take(self) -> bytes | None:
        """Take one whole answer out of the buffer, if there is one."""
        if not self._buffer.endswith(b"\n"):
            return None
        message = bytes(self._buffer)
        self._buffer.clear()
        return message


class WebPump(Pump):
    """The same over a WebSocket. The mask is zero, so that masking costs nothing."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._place = place

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        super().connection_made(transport)
        key = base64.b64encode(uuid.uuid4().bytes).decode()
        lines = ["GET / HTTP/1.1", f"Host: {self._place}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self.write("\r\n".join(lines).encode())

    def frame(self, request: bytes) -> bytes:
        """Make a masked text frame."""
        size = len(request)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        return b"\x81" + length + b"\0\0\0\0" + request

    def take(self) -> bytes | None:
        """Take the handshake's answer, or the payload of one frame."""
        buffer = self._buffer
        if not self.open.done():
            if buffer.endswith(b"\r\n\r\n"):
                if not buffer.startswith(b"HTTP/1.1 101"):
                    raise RuntimeError(buffer.decode())
                self.open.set_result(None)
                buffer.clear()
            return None
        if len(buffer) < 4:
            return None
        start, size = (2, buffer[1]) if buffer[1] < 126 else (4, int.from_bytes(buffer[2:4], "big"))
        if len(buffer) < start + size:
            return None
        message = bytes(buffer[start : start + size])
        del buffer[: start + size]
        return message


class EchoImage(asyncio.Protocol):
    """An image that answers every request at once with 7."""

    def __init__(self) -> None:
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast("asyncio.Transport", transport)
        identity = {"image_id": "echo", "instance_id": uuid.uuid4().hex}
        self._transport.write(encode("hello", role="image", identity=identity) + b"\n")

    def data_received(self, data: bytes) -> None:
        """Answer."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        if not self.greeted.done():
            self.greeted.set_result(None)
            del lines[0]
        answers = [b'{"id":"' + line.partition(b'"id":"')[2].partition(b'"')[0] + EVALUATED for line in lines]
        if self._transport is not None and answers:
            self._transport.writelines(answers)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def encode(command: str, **parameters: object) -> bytes:
    """Write a request."""
    message = {"id": "b-1", "command": command, "parameters": parameters}
    return json.dumps(message, separators=(",", ":")).encode()


async def connect(daemon: Daemon, transport: str) -> Pump:
    """Open a connection."""
    loop = asyncio.get_running_loop()
    if transport == "unix":
        return (await loop.create_unix_connection(Pump, daemon.places["unix"]))[1]
    if transport == "tcp":
        host, _, port = daemon.places["lines"].rpartition(":")
        return (await loop.create_connection(Pump, host, int(port)))[1]
    place = daemon.places["http"]
    host, _, port = place.rpartition(":")
    pump = (await loop.create_connection(lambda: WebPump(place), host, int(port)))[1]
    await pump.open
    return pump


# ---- what is measured

_serial = itertools.count()


def new_sessions() -> Iterator[bytes]:
    """Requests for sessions, of as many clients as it takes."""
    while True:
        client_id = f"client-{next(_serial)}"
        for _ in range(PER_CLIENT):
            yield encode("create_session", client_id=client_id)


async def measure(daemon: Daemon, command: str, transport: str, clients: int, seconds: float) -> Row:
    """Measure one command over one transport with so many clients at once."""
    pumps = [await connect(daemon, transport) for _ in range(clients)]
    work: list[Iterator[bytes]] = []
    for pump in pumps:
        created = await pump.ask("create_session", client_id=f"client-{next(_serial)}")
        session_id = created["session_id"]
        await pump.ask("update_session_state", session_id=session_id, state_data=STATE)
        work.append(requests_for(command, session_id))
    return await drive(daemon, pumps, work, command, transport, seconds)


def requests_for(command: str, session_id: str) -> Iterator[bytes]:
    """The requests that one client sends."""
    if command == "create_session":
        return new_sessions()
    parameters: dict[str, object] = {} if command == "ping" else {"session_id": session_id}
    if command == "update_session_state":
        parameters["state_data"] = STATE
    return itertools.repeat(encode(command, **parameters))


async def drive(
    daemon: Daemon, pumps: list[Pump], work: list[Iterator[bytes]], command: str, transport: str, seconds: float
) -> Row:
    """Let all clients work at once, first a little to warm up, and gather their times."""
    await asyncio.gather(*(pump.run(each, seconds / 10) for pump, each in zip(pumps, work, strict=True)))
    for pump in pumps:
        pump.latencies.clear()
    machine_before, daemon_before = machine_cpu_s(), daemon.cpu_s()
    client_before, begin = time.process_time(), time.perf_counter()
    await asyncio.gather(*(pump.run(each, seconds) for pump, each in zip(pumps, work, strict=True)))
    taken = time.perf_counter() - begin
    client_cpu = round((time.process_time() - client_before) / taken * 100)
    daemon_cpu = share(daemon_before, daemon.cpu_s(), taken)
    all_cpu = share(machine_before, machine_cpu_s(), taken)
    others_cpu = None if all_cpu is None or daemon_cpu is None else max(0, all_cpu - daemon_cpu - client_cpu)
    for pump in pumps:
        pump.close()
    times = sorted(itertools.chain.from_iterable(pump.latencies for pump in pumps))
    p50, p99 = (times[min(len(times) - 1, int(len(times) * part))] * 1000 for part in (0.50, 0.99))
    rate = round(len(times) / taken, 1)
    limit = limited_by(daemon_cpu, client_cpu)
    numbers = (len(pumps), len(times), round(p50, 3), round(p99, 3), rate)
    return Row(command, transport, *numbers, daemon_cpu, client_cpu, others_cpu, limit)


def limited_by(daemon_cpu: int | None, client_cpu: int) -> str:
    """Tell whose speed a rate is; `waiting` when neither has a core to itself (a disk, an image, or turns taken)."""
    if client_cpu >= BUSY and client_cpu > (daemon_cpu or 0):
        return "client"
    return "daemon" if (daemon_cpu or 0) >= BUSY else "waiting"


async def warm_up(daemon: Daemon, seconds: float) -> None:
    """Work without measuring: a client process is slower over its first hundred thousand requests."""
    pumps = [await connect(daemon, "unix") for _ in range(MANY)]
    work = [requests_for("ping", "") for _ in pumps]
    await drive(daemon, pumps, work, "ping", "unix", seconds)


async def measure_commands(daemon: Daemon, seconds: float) -> list[Row]:
    """Measure the session commands and `ping` over all transports."""
    rows = []
    for command in ("ping", "get_session_info", "restore_session", "update_session_state", "create_session"):
        for transport in ("unix", "tcp", "websocket"):
            for clients in (1, MANY):
                rows.append(await measure(daemon, command, transport, clients, seconds))
                show(rows[-1])
    return rows


async def measure_evaluate(daemon: Daemon, image_id: str, seconds: float) -> list[Row]:
    """Measure `evaluate` of 3 + 4 in an image."""
    rows = []
    for clients in (1, MANY):
        pumps = [await connect(daemon, "unix") for _ in range(clients)]
        work: list[Iterator[bytes]] = []
        for pump in pumps:
            wish = {"client_id": f"client-{next(_serial)}", "image_id": image_id}
            session_id = (await pump.ask("create_session", **wish))["session_id"]
            work.append(itertools.repeat(encode("evaluate", session_id=session_id, code="3 + 4")))
        rows.append(await drive(daemon, pumps, work, f"evaluate in {image_id}", "unix", seconds))
        show(rows[-1])
    return rows


async def measure_echo(daemon: Daemon, seconds: float) -> list[Row]:
    """Measure `evaluate` in an image that takes no time: what is left is the daemon's own part."""
    loop = asyncio.get_running_loop()
    _, image = await loop.create_unix_connection(EchoImage, daemon.places["unix"])
    await image.greeted
    try:
        return await measure_evaluate(daemon, "echo", seconds)
    finally:
        image.close()


async def measure_amber(daemon: Daemon, seconds: float) -> list[Row]:
    """Measure `evaluate` in a live Amber Smalltalk; nothing where it is not installed."""
    beside = Path(sys.executable).parent / "node"
    node = os.environ.get("NODE") or shutil.which("node") or (str(beside) if beside.exists() else None)
    if node is None or not (AMBER / "node_modules").is_dir():
        print("evaluate in amber: not measured, run `make install`")
        return []
    options = ("--connect", f"unix://{daemon.places['unix']}", "--image-id", "amber")
    amber = await asyncio.create_subprocess_exec(
        node, str(AMBER / "image.js"), *options, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        watcher = await connect(daemon, "unix")
        async with asyncio.timeout(DEADLINE_S):
            while not any(  # noqa: ASYNC110 -- the daemon tells of images only when asked
                image["image_id"] == "amber" and image["status"] == "connected"
                for image in (await watcher.ask("list_images"))["images"]
            ):
                await asyncio.sleep(0.02)
        watcher.close()
        return await measure_evaluate(daemon, "amber", seconds)
    finally:
        amber.terminate()
        await amber.wait()


async def fill(daemon: Daemon) -> None:
    """Give the daemon its sessions, each with a state."""
    pumps = [await connect(daemon, "unix") for _ in range(10)]

    async def some(pump: Pump) -> None:
        for request in itertools.islice(new_sessions(), SESSIONS // len(pumps)):
            await pump.run(iter([request]), DEADLINE_S)
            session_id = json.loads(pump.last)["result"]["session_id"]
            await pump.ask("update_session_state", session_id=session_id, state_data=STATE)
        pump.close()

    await asyncio.gather(*map(some, pumps))


def measure_process(rounds: int) -> dict[str, Any]:
    """Measure start-up and memory, without and with stored sessions."""
    empty = []
    for _ in range(rounds):
        with folder() as home, Daemon(home) as daemon:
            empty.append(daemon.startup_s)
    with folder() as home:
        with Daemon(home) as daemon:
            at_rest = daemon.memory_mb()
            asyncio.run(fill(daemon))
            filled = daemon.memory_mb()
        stored = []
        for _ in range(rounds):
            with Daemon(home) as daemon:
                stored.append(daemon.startup_s)
    return {
        "startup_ms": round(statistics.median(empty) * 1000, 1),
        f"startup_with_{SESSIONS}_sessions_ms": round(statistics.median(stored) * 1000, 1),
        "memory_at_rest_mb": at_rest,
        f"memory_with_{SESSIONS}_sessions_mb": filled,
    }


# ---- the machine


def describe_machine() -> dict[str, Any]:
    """Tell what the figures depend on."""
    with folder() as home:
        sync_ms = measure_sync(home)
        kind = file_system_of(home)
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "event_loop": "uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
        "file_system": kind,
        "write_and_sync_p50_ms": sync_ms,
        "load_before": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """Name the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def file_system_of(path: Path) -> str:
    """Name the kind of file system, and of disk where the system tells."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    except OSError:
        return "unknown"
    best, kind, device = "", "unknown", ""
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        point = before.split()[4]
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind, device = point, after.split()[0], before.split()[2]
    block = Path("/sys/dev/block") / device
    for place in (block, block / ".."):
        rotational = place / "queue" / "rotational"
        if rotational.exists():
            return f"{kind} on {'a rotating disk' if rotational.read_text('ascii').strip() == '1' else 'a solid disk'}"
    return kind


def measure_sync(home: Path) -> float:
    """Measure what the disk takes to make 1 KB durable: no stored change can be faster."""
    times = []
    for number in range(50):
        begin = time.perf_counter()
        descriptor = os.open(home / f"{number}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, b"x" * 1024)
        os.fsync(descriptor)
        os.close(descriptor)
        times.append(time.perf_counter() - begin)
    return round(statistics.median(times) * 1000, 3)


# ---- the report

HEADINGS = (
    *("command", "over", "clients", "requests", "p50 ms", "p99 ms"),
    *("per second", "daemon %", "client %", "others %", "limit"),
)


def show(row: Row) -> None:
    """Print one line of the table."""
    times = f"{row.p50_ms:9.3f} {row.p99_ms:9.3f} {row.per_second:10.1f}"
    shares = f"{row.daemon_cpu!s:>8} {row.client_cpu:8} {row.others_cpu!s:>8}"
    print(
        f"{row.command:22} {row.transport:10} {row.clients:3} {row.requests:8} {times} {shares} {row.limit}", flush=True
    )


def markdown(result: dict[str, Any], rows: list[Row]) -> str:
    """Write the report for people."""
    lines = [f"# Baseline of {result['date']}, version {result['version']}", ""]
    for title in ("machine", "process"):
        lines += [f"| {title} | |", "|---|---|"]
        lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in result[title].items()]
        lines.append("")
    lines += [f"| {' | '.join(HEADINGS)} |", "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
    lines += [f"| {' | '.join(str(value) for value in row)} |" for row in rows]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description="Measure start-up, memory and round trips of the daemon.")
    parser.add_argument("--quick", action="store_true", help="less than 20 s, for a rough idea")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results", metavar="FOLDER")
    asked = parser.parse_args()
    seconds, rounds = (0.12, 2) if asked.quick else (2.0, 5)

    machine = describe_machine()
    process = measure_process(rounds)
    for name, value in (*machine.items(), *process.items()):
        print(f"{name.replace('_', ' '):34} {value}")
    print("\n{:22} {:10} {:>3} {:>8} {:>9} {:>9} {:>10} {:>8} {:>8} {:>8} {}".format(*HEADINGS))

    async def all_rows(daemon: Daemon) -> list[Row]:
        await warm_up(daemon, 2.0 if asked.quick else 5.0)
        rows = await measure_commands(daemon, seconds)
        rows += await measure_echo(daemon, seconds)
        return rows + await measure_amber(daemon, seconds)

    with folder() as home, Daemon(home) as daemon:
        rows = asyncio.run(all_rows(daemon))

    date = datetime.now(UTC).date().isoformat()
    result = {"date": date, "version": __version__, "machine": machine, "process": process}
    asked.output.mkdir(parents=True, exist_ok=True)
    name = f"baseline-{date}{'-quick' if asked.quick else ''}"
    whole = {**result, "seconds_per_row": seconds, "rows": [row._asdict() for row in rows]}
    (asked.output / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    (asked.output / f"{name}.md").write_text(markdown(result, rows), "utf-8")
    print(f"\nwritten: {name}.json and {name}.md")


if __name__ == "__main__":
    main()
