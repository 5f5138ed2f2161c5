"""How many durable changes a second: this storage, clear and sealed, SQLite and Redis, side by side in one run.

Every number counts only changes that were acknowledged as durable. Our storage and SQLite are called in the process, by
N tasks each of which waits for its change before the next; Redis (`appendfsync always`) is driven over a unix socket by
its own redis-benchmark with N connections, which favours Redis. A change is a session state of about 300 bytes.
"""

import asyncio
import json
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from benchmarks.harness.daemon import folder
from benchmarks.harness.peers import REDIS, find, libraries
from benchmarks.harness.plan import Run
from stui_sessiond.ids import ClientId, SessionId
from stui_sessiond.logs import set_up_logs
from stui_sessiond.model.delta import Step, patch_of
from stui_sessiond.model.session import HistoryEntry, Session, SessionHeader
from stui_sessiond.security.sealing import CLEAR, KEY_BYTES, MasterKey, Sealer
from stui_sessiond.sessions.history import HistoryRules, advance
from stui_sessiond.storage.api import Commit
from stui_sessiond.storage.file import FileStorage

STATE_BYTES = 300
Change = Callable[[int, int], Awaitable[None]]


class Figures(NamedTuple):
    """One measurement."""

    per_second: float
    p50_ms: float
    p99_ms: float


def state(number: int) -> dict[str, object]:
    """A state of the usual size."""
    return {"stamp": number, "cursor": {"line": number % 99}, "text": f"{number:08d}".ljust(STATE_BYTES - 60, "x")}


async def drive(clients: int, seconds: float, change: Change) -> Figures:
    """Let N tasks make changes, each after its last one is durable."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def client(which: int) -> None:
        number = 0
        while time.perf_counter() < end:
            number += 1
            started = time.perf_counter()
            await change(which, number)
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(client(which) for which in range(clients)))
    took = time.perf_counter() - started
    return figures(latencies, took)


def figures(latencies: list[float], took: float) -> Figures:
    """Sum up."""
    latencies.sort()
    p99 = latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))]
    return Figures(len(latencies) / took, statistics.median(latencies) * 1000, p99 * 1000)


Advance = Callable[[Session, dict[str, object], int], tuple[Session, HistoryEntry]]


def with_delta(old: Session, new_state: dict[str, object], number: int) -> tuple[Session, HistoryEntry]:
    """Make the next version as the daemon does: the steps from the old state, kept in the session's history."""
    new = Session(header=old.header, state=new_state, history=old.history)
    return advance(old, new, float(number), None, "updated", HistoryRules())


def plain_version(old: Session, new_state: dict[str, object], number: int) -> tuple[Session, HistoryEntry]:
    """Make the next version without looking at the old one: what SQLite and Redis are asked to do."""
    version = old.header.version + 1
    header = replace(old.header, version=version, last_modified=float(number), last_activity=float(number))
    entry = HistoryEntry(version, float(number), None, "updated", patch_of([Step("replace", "/state", new_state)]))
    return Session(header=header, state=new_state), entry


async def _ours(folder: Path, clients: int, seconds: float, make: Advance, sealer: Sealer = CLEAR) -> Figures:
    storage = FileStorage(folder / "ours", backup_interval_s=None, sealer=sealer)
    await storage.open()
    sessions = []
    for which in range(clients):
        header = SessionHeader(
            session_id=SessionId(f"session_{which + 1}_0_{'x' * 22}"),
            client_id=ClientId(f"client-{which}"),
            created_at=0.0,
            last_modified=0.0,
            last_activity=0.0,
            timeout_s=3600.0,
            version=1,
        )
        session = Session(header=header)
        await storage.commit(Commit(session, 0, 0, whole=True))
        sessions.append(session)

    async def change(which: int, number: int) -> None:
        old = sessions[which]
        session, entry = make(old, state(number), number)
        await storage.commit(Commit(session, STATE_BYTES, old.header.version, entry))
        sessions[which] = session

    try:
        return await drive(clients, seconds, change)
    finally:
        await storage.close()


async def ours(folder: Path, clients: int, seconds: float) -> Figures:
    """This project's file storage alone."""
    return await _ours(folder, clients, seconds, plain_version)


async def ours_with_history(folder: Path, clients: int, seconds: float) -> Figures:
    """The same with a delta and a history for every change, as the daemon uses it."""
    return await _ours(folder, clients, seconds, with_delta)


async def ours_sealed(folder: Path, clients: int, seconds: float) -> Figures:
    """This project's file storage alone, encrypted."""
    return await _ours(folder, clients, seconds, plain_version, Sealer(MasterKey(bytes(KEY_BYTES))))


async def ours_sealed_with_history(folder: Path, clients: int, seconds: float) -> Figures:
    """The same with a delta and a history for every change, as the daemon uses it."""
    return await _ours(folder, clients, seconds, with_delta, Sealer(MasterKey(bytes(KEY_BYTES))))


def open_sqlite(folder: Path) -> sqlite3.Connection:
    """A table of sessions in WAL mode with a sync at every commit."""
    connection = sqlite3.connect(folder / "sessions.sqlite", isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table if not exists sessions (id text primary key, version integer, state text)")
    return connection


_UPSERT = "insert into sessions values (?, ?, ?) on conflict (id) do update set version = ?2, state = ?3"


async def sqlite_each(folder: Path, clients: int, seconds: float) -> Figures:
    """SQLite, one transaction a change."""
    connection = open_sqlite(folder)

    async def change(which: int, number: int) -> None:
        connection.execute(_UPSERT, (f"session_{which}", number, json.dumps(state(number))))
        await asyncio.sleep(0)

    try:
        return await drive(clients, seconds, change)
    finally:
        connection.close()


async def sqlite_grouped(folder: Path, clients: int, seconds: float) -> Figures:
    """SQLite, all changes that wait in one transaction, on a thread: group commit."""
    connection = open_sqlite(folder)
    waiting: list[tuple[tuple[str, int, str], asyncio.Future[None]]] = []
    wake = asyncio.Event()

    def write(rows: list[tuple[str, int, str]]) -> None:
        connection.execute("begin immediate")
        connection.executemany(_UPSERT, rows)
        connection.execute("commit")

    async def committer() -> None:
        while True:
            await wake.wait()
            wake.clear()
            while waiting:
                batch = waiting[:]
                waiting.clear()
                await asyncio.to_thread(write, [row for row, _ in batch])
                for _, done in batch:
                    done.set_result(None)

    async def change(which: int, number: int) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(((f"session_{which}", number, json.dumps(state(number))), done))
        wake.set()
        await done

    task = asyncio.create_task(committer())
    try:
        return await drive(clients, seconds, change)
    finally:
        task.cancel()
        connection.close()


async def redis(folder: Path, clients: int, seconds: float) -> Figures:
    """Redis, appendfsync always, driven by redis-benchmark."""
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "yes"]
    options += ["--appendfsync", "always", "--dir", str(folder), "--auto-aof-rewrite-percentage", "0"]
    server = await asyncio.create_subprocess_exec(
        find("redis-server") or "", *options, stdout=subprocess.DEVNULL, env=libraries()
    )
    try:
        while not socket.exists():  # noqa: ASYNC110 -- another process: there is no event to wait for
            await asyncio.sleep(0.02)
        count = int(seconds * 4000 * min(clients, 16) / (1 if clients > 1 else 2))
        command = [find("redis-benchmark") or "", "-s", str(socket), "-t", "set", "-c", str(clients), "-n", str(count)]
        command += ["-d", str(STATE_BYTES), "-r", str(clients), "--csv"]
        done = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=libraries()
        )
        out, _ = await done.communicate()
    finally:
        server.terminate()
        await server.wait()
    names, values = (line.replace('"', "").split(",") for line in out.decode().strip().splitlines()[-2:])
    row = dict(zip(names, values, strict=True))
    return Figures(float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]))


CONTESTANTS = {
    "this storage": ours,
    "this storage, every change with delta and history": ours_with_history,
    "this storage, encrypted": ours_sealed,
    "this storage, encrypted, with delta and history": ours_sealed_with_history,
    "SQLite, WAL, FULL, one transaction each": sqlite_each,
    "SQLite, WAL, FULL, grouped": sqlite_grouped,
    REDIS: redis,
}


def contest(name: str, clients: int, seconds: float) -> Figures:
    """Measure one contestant in a fresh folder, on the disk that temporary files are on."""
    with folder() as home:
        return asyncio.run(CONTESTANTS[name](home, clients, seconds))


def table(
    seconds: float = 2.0, runs: int = 3, counts: Sequence[int] = (1, 16, 64, 256), *, with_redis: bool = True
) -> str:
    """Measure all in turns; give a table of medians and ratios."""
    set_up_logs("json", "error")
    names = [name for name in CONTESTANTS if with_redis or name != REDIS]
    results: dict[str, dict[int, list[Figures]]] = {name: {count: [] for count in counts} for name in names}
    for _ in range(runs):
        for count in counts:
            for name in names:
                results[name][count].append(contest(name, count, seconds))
    lines = ["| storage alone: durable changes/s (p50 / p99 ms) | " + " | ".join(f"{n} clients" for n in counts) + " |"]
    lines.append("|---|" + "---|" * len(counts))
    medians: dict[str, dict[int, Figures]] = {}
    for name in names:
        medians[name] = {
            count: Figures(*(statistics.median(column) for column in zip(*results[name][count], strict=True)))
            for count in counts
        }
        cells = [f"{f.per_second:,.0f} ({f.p50_ms:.2f} / {f.p99_ms:.2f})" for f in medians[name].values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name in names[1:]:
        ratios = [f"{medians[names[0]][n].per_second / medians[name][n].per_second:.2f}" for n in counts]
        lines.append(f"| this storage / {name} | " + " | ".join(ratios) + " |")
    return "\n".join(lines)


def measure(run: Run) -> None:
    """Measure with one client and with 64."""
    with_redis = REDIS not in run.troubles.left_out and find("redis-benchmark") is not None
    text = table(run.plan.seconds / 2, run.plan.rounds, (1, 64), with_redis=with_redis)
    run.report.texts.append(text)
    print(text, flush=True)
