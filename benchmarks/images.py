"""What do many images and sessions cost? 20 images with 2,000 sessions beside one image with 10; README.md explains it.

    python benchmarks/images.py [--quick] [--output FOLDER]

Nothing here fails because of a time; it only fails when an answer is wrong or an event does not come.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.baseline import (
    DEADLINE_S,
    MANY,
    PER_CLIENT,
    ROOT,
    STATE,
    Daemon,
    EchoImage,
    Pump,
    Row,
    connect,
    describe_machine,
    drive,
    encode,
    folder,
    warm_up,
)
from stui_sessiond import __version__

IMAGES = 20
SESSIONS = 2000
FEW_SESSIONS = 10
FILLERS = 10
"""Connections that create sessions at once."""


class NamedEcho(EchoImage):
    """One of many images that answer at once; it says that it can evaluate, and nothing else."""

    def __init__(self, image_id: str) -> None:
        super().__init__()
        self._image_id = image_id

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast("asyncio.Transport", transport)
        identity = {"image_id": self._image_id, "instance_id": uuid.uuid4().hex, "capabilities": ["evaluate"]}
        self._transport.write(encode("hello", role="image", identity=identity) + b"\n")


class Told(asyncio.Protocol):
    """Listens to everything, and notes when each session is told that its image is there."""

    def __init__(self, wanted: int) -> None:
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.all_told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.at: dict[str, float] = {}
        self._wanted = wanted
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Subscribe."""
        cast("asyncio.Transport", transport).write(encode("subscribe", topics=["all"]) + b"\n")

    def data_received(self, data: bytes) -> None:
        """Take note; the sum is all that is computed here."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        now = time.perf_counter()
        for line in lines:
            if b'"event":"image.connected"' in line:
                session_id = json.loads(line)["session_id"]
                if session_id is not None:
                    self.at[session_id] = now
            elif not self.subscribed.done():
                self.subscribed.set_result(None)
        if len(self.at) == self._wanted and not self.all_told.done():
            self.all_told.set_result(None)


class Site:
    """A daemon with its images and sessions."""

    def __init__(self, daemon: Daemon, images: int, sessions: int) -> None:
        self.daemon = daemon
        self.image_ids = [f"echo-{number}" for number in range(images)]
        self.wanted = sessions
        self.sessions: list[str] = []
        self._echoes: list[NamedEcho] = []
        self.memory_before = daemon.memory_mb()

    async def dial(self) -> None:
        """Have all images connect at once."""
        host, _, port = self.daemon.places["lines"].rpartition(":")
        loop = asyncio.get_running_loop()
        made = await asyncio.gather(
            *(
                loop.create_connection(lambda name=name: NamedEcho(name), host, int(port))  # type: ignore[misc]
                for name in self.image_ids
            )
        )
        self._echoes = [echo for _, echo in made]
        await asyncio.gather(*(echo.greeted for echo in self._echoes))

    def hang_up(self) -> None:
        """Have all images leave at once."""
        for echo in self._echoes:
            echo.close()

    async def fill(self) -> None:
        """Create the sessions, each with a state, spread over the images."""
        places = itertools.cycle(self.image_ids)
        wishes = [
            encode("create_session", client_id=f"client-{number // PER_CLIENT}", image_id=next(places))
            for number in range(self.wanted)
        ]

        async def some(part: Sequence[bytes]) -> None:
            pump = await connect(self.daemon, "unix")
            for wish in part:
                await pump.run(iter([wish]), DEADLINE_S)
                session_id = json.loads(pump.last)["result"]["session_id"]
                await pump.ask("update_session_state", session_id=session_id, state_data=STATE)
                self.sessions.append(session_id)
            pump.close()

        await asyncio.gather(*(some(wishes[start::FILLERS]) for start in range(FILLERS)))

    async def measure(self, clients: int, seconds: float) -> Row:
        """Measure `evaluate`, each client going round its share of the sessions."""
        pumps: list[Pump] = [await connect(self.daemon, "unix") for _ in range(clients)]
        shares = [self.sessions[number % self.wanted :: clients] or self.sessions[-1:] for number in range(clients)]
        work: list[Iterator[bytes]] = [
            itertools.cycle([encode("evaluate", session_id=each, code="3 + 4") for each in share]) for share in shares
        ]
        return await drive(self.daemon, pumps, work, f"evaluate, {len(self.image_ids)} images", "unix", seconds)

    async def reconnect(self) -> dict[str, float]:
        """Have all images go and come back at once; tell how long it takes until their sessions are told."""
        loop = asyncio.get_running_loop()
        _, told = await loop.create_unix_connection(lambda: Told(self.wanted), self.daemon.places["unix"])
        await told.subscribed
        self.hang_up()
        began = time.perf_counter()
        await self.dial()
        greeted = time.perf_counter()
        async with asyncio.timeout(DEADLINE_S):
            await told.all_told
        times = sorted(at - began for at in told.at.values())
        return {
            "all_images_greeted_ms": round((greeted - began) * 1000, 1),
            "half_of_the_sessions_told_ms": round(times[len(times) // 2] * 1000, 1),
            "all_sessions_told_ms": round(times[-1] * 1000, 1),
        }


class Figure(NamedTuple):
    """Medians over the rounds, and how they compare."""

    clients: int
    few_p50_ms: float
    few_p99_ms: float
    many_p50_ms: float
    many_p99_ms: float
    p50_ratio: float
    p99_ratio: float


def compare(clients: int, few: list[Row], many: list[Row]) -> Figure:
    """Compare the two sites; the ratios are medians of those of each round, whose rows were measured side by side."""

    def median(times: Iterable[float]) -> float:
        return round(statistics.median(times), 3)

    pairs = list(zip(few, many, strict=True))
    return Figure(
        clients=clients,
        few_p50_ms=median(row.p50_ms for row in few),
        few_p99_ms=median(row.p99_ms for row in few),
        many_p50_ms=median(row.p50_ms for row in many),
        many_p99_ms=median(row.p99_ms for row in many),
        p50_ratio=median(b.p50_ms / a.p50_ms for a, b in pairs),
        p99_ratio=median(b.p99_ms / a.p99_ms for a, b in pairs),
    )


async def measure_sites(few: Site, many: Site, seconds: float, rounds: int) -> tuple[dict[str, Any], list[Figure]]:
    """Fill both, measure them in turns, and let the images of the larger one come back."""
    for site in (few, many):
        await site.dial()
        await warm_up(site.daemon, seconds)
        site.memory_before = site.daemon.memory_mb()
        await site.fill()
    filled = many.daemon.memory_mb()
    figures = []
    for clients in (1, MANY):
        rows: dict[Site, list[Row]] = {few: [], many: []}
        for _ in range(rounds):
            for site in (few, many):
                rows[site].append(await site.measure(clients, seconds))
        figures.append(compare(clients, rows[few], rows[many]))
    worked = many.daemon.memory_mb()
    back = [await many.reconnect() for _ in range(rounds)]
    process = {
        f"memory_with_{len(many.image_ids)}_images_mb": many.memory_before,
        f"memory_with_{many.wanted}_sessions_as_well_mb": filled,
        "memory_after_the_evaluations_mb": worked,
        "memory_after_all_came_back_mb": many.daemon.memory_mb(),
        "memory_of_the_small_one_mb": few.daemon.memory_mb(),
        **{name: statistics.median(one[name] for one in back) for name in back[0]},
    }
    for site in (few, many):
        site.hang_up()
    return process, figures


HEADINGS = ("clients", "1 image p50", "p99 ms", "20 images p50", "p99 ms", "ratio p50", "ratio p99")


def markdown(result: dict[str, Any], figures: list[Figure]) -> str:
    """Write the report for people."""
    lines = [f"# Images of {result['date']}, version {result['version']}", ""]
    for title in ("machine", "process"):
        lines += [f"| {title} | |", "|---|---|"]
        lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in result[title].items()]
        lines.append("")
    lines += [f"| {' | '.join(HEADINGS)} |", f"|{'--:|' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(str(value) for value in figure)} |" for figure in figures]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description="Measure many images and sessions beside few.")
    parser.add_argument("--quick", action="store_true", help="fewer sessions and shorter, for a rough idea")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results", metavar="FOLDER")
    asked = parser.parse_args()
    seconds, rounds, sessions = (0.2, 1, SESSIONS // 10) if asked.quick else (2.0, 3, SESSIONS)

    machine = describe_machine()
    with folder() as one, folder() as other, Daemon(one) as small, Daemon(other) as large:
        few, many = Site(small, 1, FEW_SESSIONS), Site(large, IMAGES, sessions)
        process, figures = asyncio.run(measure_sites(few, many, seconds, rounds))
    for name, value in (*machine.items(), *process.items()):
        print(f"{name.replace('_', ' '):40} {value}")
    print("\n{:>7} {:>12} {:>9} {:>14} {:>9} {:>10} {:>10}".format(*HEADINGS))
    for row in figures:
        print("{:7} {:12.3f} {:9.3f} {:14.3f} {:9.3f} {:10.2f} {:10.2f}".format(*row))

    date = datetime.now(UTC).date().isoformat()
    result = {"date": date, "version": __version__, "machine": machine, "process": process}
    asked.output.mkdir(parents=True, exist_ok=True)
    name = f"images-{date}{'-quick' if asked.quick else ''}"
    whole = {**result, "seconds_per_row": seconds, "rounds": rounds, "rows": [row._asdict() for row in figures]}
    (asked.output / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    (asked.output / f"{name}.md").write_text(markdown(result, figures), "utf-8")
    print(f"\nwritten: {name}.json and {name}.md")


if __name__ == "__main__":
    main()
