"""Restarts under load: clients change, listen and evaluate while the daemon is restarted again and again.

`python tests/chaos/restarts.py` runs it whole: by handing over, by SIGTERM and start, by kill -9 and start. It has to
add up as in `schedules`; where the daemon hands over, nobody may be refused a connection either. The longest time
that any client waited for an acknowledgement is printed: that is the gap that people see.
"""

import argparse
import asyncio
import json
import random
import signal
import statistics
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import structlog

if not __package__:  # run as a file
    sys.path[0] = str(Path(__file__).parents[1])
    __package__ = "chaos"

from .client import Client
from .image import Image
from .schedules import HEALED_S, ZERO, Schedule

Kind = Literal["hand_over", "stop", "kill"]
KINDS: tuple[Kind, ...] = ("hand_over", "stop", "kill")

MEAN_PAUSE_S = 0.02
"""Between an acknowledgement and the client's next request."""

MAX_REQUESTS = 900
"""Of a schedule, with each session: the book of requests keeps 1,000, and afterwards all are asked for."""

CALM_S = 0.3
"""Before the first restart."""

RECENT = 20
"""Requests that may be repeated: of a change, the outcome is kept as long as its version."""

_ROOM = {"STUI_SESSIOND_EVENTS_COUNT": "100000", "STUI_SESSIOND_EVENTS_BYTES": "100000000"}
"""The log is compared whole."""


class Restarts(Schedule):
    """One daemon that is restarted in one way again and again."""

    def __init__(self, seed: int, kind: Kind, times: int = 4, clients: int = 12) -> None:
        super().__init__(seed)
        self.kind: Kind = kind
        self.waits_s: list[float] = []
        """How long each client waited for each acknowledgement of a change."""
        self.pauses_s: list[float] = []
        """How long nobody was served, as the daemon tells."""
        self.undisturbed_s: list[float] = []
        """The same before the first restart."""
        self._times = times
        self._number = clients
        self._asked = 0
        self._over = False

    async def run(self) -> None:
        """Do it all."""
        self._daemon.settings = _ROOM
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._daemon)
            place = self._daemon.lines
            assert place is not None
            self._daemon.fixed = place
            self._image = Image(place, "chaos-image", self._random)
            stack.push_async_callback(self._image.close)
            for number in range(self._number):
                client = Client(place, f"client-{number}", self._random, self.complain)
                self._clients.append(client)
                stack.push_async_callback(client.close)
            await self._begin()
            async with asyncio.TaskGroup() as load:
                for client in self._clients:
                    load.create_task(self._work(client))
                await self._everybody_answered()
                await asyncio.sleep(CALM_S)  # what it is like without restarts
                self.undisturbed_s, self.waits_s = self.waits_s, []
                for _ in range(self._times):
                    await asyncio.sleep(self._random.uniform(0.0, 0.1))  # the moment is the chance
                    await self._restart()
                    await self._everybody_answered()
                self._over = True
            await self._heal()
            await self._judge()
        refused = self.counts["connections refused"]
        if self.kind == "hand_over" and refused:
            self.complain("wrong answers", f"{refused} connections were refused while the daemon handed over")
        self.starts_s = self._daemon.starts_s
        told = [json.loads(line) for line in self._daemon.log if '"succession.handed_over"' in line]
        self.pauses_s = [each["pause_s"] for each in told]

    async def _restart(self) -> None:
        self.steps[self.kind] += 1
        if self.kind == "hand_over":
            await self._daemon.hand_over()
            return
        await self._daemon.end(signal.SIGTERM if self.kind == "stop" else signal.SIGKILL)
        await self._daemon.start()

    async def _work(self, client: Client) -> None:
        """Change, wait until that is acknowledged, and again; now and then evaluate, or say again what was said."""
        while not self._over and self._asked < MAX_REQUESTS * len(self._sessions):
            self._asked += 2
            if not self._random.randrange(4):
                self._do_evaluate()
            if not self._random.randrange(6):
                self._do_repeat()
            parameters = {"state_data": {self._new_code("n"): client.client_id}, "mode": "merge"}
            session_id = self._random.choice(self._sessions)
            began = time.perf_counter()
            change = client.ask(
                "update_session_state", session_id=session_id, idempotency_key=f"u{self._serial}", **parameters
            )
            self._updates.append(change)
            await client.until_answered(change)
            self.waits_s.append(time.perf_counter() - began)
            await asyncio.sleep(self._random.expovariate(1 / MEAN_PAUSE_S))

    def _do_repeat(self) -> None:
        """Say again what was said lately; what came of a change is kept for a while only."""
        before = self._random.choice((self._updates + self._evaluations)[-RECENT:] or [None])
        if before is not None:
            again = self._a_client().ask(before.command, **before.parameters)
            (self._evaluations if before.command == "evaluate" else self._updates).append(again)

    async def _everybody_answered(self) -> None:
        """Wait until each client has a change acknowledged that it asked for now or later."""
        async with asyncio.timeout(HEALED_S):
            for client in self._clients:
                await client.until_answered(client.ask("ping"))


def run_one(seed: int, kind: Kind, times: int, clients: int) -> Restarts:
    """Run one schedule in a loop of its own."""
    restarts = Restarts(seed, kind, times, clients)
    asyncio.run(restarts.run())
    return restarts


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each kind, each with a new daemon")
    parser.add_argument("--times", type=int, default=6, help="restarts in a round")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--kind", choices=KINDS, help="only this one")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 24))
    asked = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), logger_factory=structlog.ReturnLoggerFactory()
    )
    violations = 0
    for kind in KINDS if asked.kind is None else (asked.kind,):
        runs = [run_one(asked.seed + number, kind, asked.times, asked.clients) for number in range(asked.rounds)]
        violations += sum(run.violations for run in runs)
        _tell(kind, runs)
    _say(f"{'VIOLATED' if violations else 'held'}: {violations} violations, first seed {asked.seed}")
    return int(bool(violations))


def _tell(kind: str, runs: list[Restarts]) -> None:
    waits_s = sorted(wait for run in runs for wait in run.waits_s)
    calm_s = statistics.median(wait for run in runs for wait in run.undisturbed_s)
    counts = {name: sum(run.counts[name] for run in runs) for run in runs for name in run.counts}
    wanted = ("changes acknowledged", "evaluations run", "events heard", "connections lost", "connections refused")
    seen = ", ".join(f"{name} {counts.get(name, 0):,}" for name in wanted)
    _say(f"{kind}: {sum(run.steps[kind] for run in runs)} restarts, {seen}")
    _say(
        f"  a client waited for an acknowledgement: median {statistics.median(waits_s) * 1000:.1f} ms "
        f"({calm_s * 1000:.1f} ms before the first restart), longest {waits_s[-1] * 1000:.0f} ms"
    )
    pauses_s = [pause for run in runs for pause in run.pauses_s]
    if pauses_s:
        _say(
            f"  nobody was served for: median {statistics.median(pauses_s) * 1000:.0f} ms, "
            f"longest {max(pauses_s) * 1000:.0f} ms"
        )
    _say("  must be 0: " + ", ".join(f"{name} {counts.get(name, 0)}" for name in ZERO))
    for run in runs:
        for name, example in run.examples.items():
            _say(f"! {name}: {example[:1500]}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
