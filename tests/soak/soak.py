"""One soak from an empty folder to the verdict."""

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from stui_sessiond.security import token as tokens
from tests.chaos.process import DaemonProcess

from .account import Account
from .auditor import Auditor
from .images import AMBER, SCRIPTED, Images
from .pause import pause
from .person import Person
from .plan import BOUNDS, KEY_NAME, Plan
from .roads import Network
from .samples import Sample, Sampler, take
from .strangers import Revoking, Strangers
from .trend import Verdict, judge
from .visit import Surroundings, Visit
from .work import work

PERSONS_PER_TOKEN = 10
STRANGERS = 20
"""For so many clients one stranger at a time comes and goes."""

RETURNS = {"descriptors": 4, "threads": 2, "tasks": 4, "peers": 0, "subscriptions": 0, "sessions_known": 0}
"""How much more there may be when everybody has left than before everybody came.

Descriptors: a segment of the journal, a backup and the database's journal may be open just then; tasks: their writers.
"""

TELL_S = 30.0
"""Between two words about how it goes."""


class _Daemon(DaemonProcess):
    """The daemon with `inside.py` in it; its log is counted."""

    def __init__(self, plan: Plan) -> None:
        command = ("-m", "tests.soak.inside")
        super().__init__(plan.settings, command, {"SOAK_PLANT": plan.planted or ""})
        self.inside = self.folder / "inside.json"
        self._environment["SOAK_INSIDE"] = str(self.inside)
        self.warned: Counter[str] = Counter()

    def note(self, line: str) -> None:
        super().note(line)
        if '"level":"warning"' in line or '"level": "warning"' in line:
            with contextlib.suppress(ValueError):
                self.warned[json.loads(line)["event"]] += 1


class Soak:
    """Guarantees: `account` and `verdicts` tell of everything that was seen; nothing of it is left running."""

    def __init__(self, plan: Plan, seed: int = 1, say: Callable[[str], None] = lambda _text: None) -> None:
        self.plan = plan
        self.account = Account(say)
        self.verdicts: dict[str, Verdict] = {}
        self.before: Sample = {}
        self.after: Sample = {}
        self.facts: dict[str, float] = {}
        self.daemon = _Daemon(plan)
        self._say = say
        self._random = random.Random(seed)  # noqa: S311 -- it chooses what clients do
        self.sampler: Sampler
        self._persons: list[Person] = []
        self._closing = asyncio.Event()

    @property
    def failed(self) -> list[str]:
        """What is wrong, in words; empty when all is well."""
        wrong = [f"{kind}: {number}" for kind, number in self.account.complaints.items()]
        for name, verdict in self.verdicts.items():
            if not verdict.flat:
                wrong.append(f"{name} rises: {verdict.per_hour:,.1f} an hour, {verdict.rise:,.1f} in all")
        for name, more in RETURNS.items():
            if self.after and self.after[name] > self.before[name] + more:
                wrong.append(f"{name} did not return: {self.before[name]:,.0f} before, {self.after[name]:,.0f} after")
        return wrong

    async def run(self) -> None:
        """Do it all."""
        async with AsyncExitStack() as stack:
            secrets = await asyncio.to_thread(self._prepare)
            await stack.enter_async_context(self.daemon)
            network = await stack.enter_async_context(Network(self.daemon, self._random))
            auditor = await stack.enter_async_context(Auditor(network, secrets["auditor"], self.account))
            images = Images(network, secrets, self._random, self.account, auditor.is_connected)
            stack.push_async_callback(images.close)
            await images.start()
            await self._make_persons(auditor, secrets)
            around = Surroundings(
                plan=self.plan,
                network=network,
                images=images,
                account=self.account,
                random=self._random,
                closing=self._closing,
                work=work,
            )
            strangers = Strangers(self.plan, network, secrets["strangers"], self.account, self._random, self._closing)
            revoking = Revoking(self.daemon.folder / "data", network, self.account, self._random)
            await self._wave(self.plan.wave_s, around, strangers, revoking)
            self.before = await self._settle(network, {})
            self._say(f"everybody has come and gone once: {_shown(self.before)}")
            self.sampler = Sampler(self.daemon, self.daemon.inside, self.plan.sample_s)
            sampling = asyncio.create_task(self.sampler.run())
            try:
                await self._wave(self.plan.seconds, around, strangers, revoking)
            finally:
                sampling.cancel()
                await asyncio.gather(sampling, return_exceptions=True)
            self.after = await self._settle(network, RETURNS)
            self._say(f"everybody has left: {_shown(self.after)}")
            self.facts["fields compared with the store"] = await auditor.judge()
            self.facts["s until a revoked token was of no use, at most"] = revoking.worst_s
            await self._start_again(network, auditor)
            await self.daemon.end(signal.SIGTERM)
            for words in (["store", "check", "--key-file", str(self._key)], ["audit", "verify"]):
                await asyncio.to_thread(self._command, *words, "--data-dir", str(self.daemon.folder / "data"))
            self._judge()

    # ---- the beginning

    @property
    def _key(self) -> Path:
        return self.daemon.folder / KEY_NAME

    def _prepare(self) -> dict[str, str]:
        """Make the key and the tokens; give the tokens by the name of who has them."""
        self._command("store", "new-key", str(self._key))
        folder, now, made = self.daemon.folder / "data", time.time(), {}
        names = ["auditor", "strangers"]
        names += [f"people-{number}" for number in range(-(-self.plan.clients // PERSONS_PER_TOKEN))]
        wishes = [tokens.Wish(name=name, rights=("session", "eval", "observe")) for name in names]
        image_ids = (AMBER, SCRIPTED) if self.plan.amber else (SCRIPTED,)
        wishes += [tokens.Wish(name=image_id, rights=("image",), image_id=image_id) for image_id in image_ids]
        for wish in wishes:
            made[wish.name] = tokens.create(folder, wish, now)
        return made

    def _command(self, *words: str) -> None:
        """Run the command line.

        Raises:
            RuntimeError: it did not end with 0.
        """
        command = [sys.executable, "-m", "stui_sessiond", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            msg = f"{' '.join(words)} ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
            raise RuntimeError(msg)

    async def _make_persons(self, auditor: Auditor, secrets: dict[str, str]) -> None:
        names = [f"person-{number}" for number in range(self.plan.clients)]
        for number in range(self.plan.rooms):
            members = names[number :: self.plan.rooms]
            room = await auditor.make_room(members)
            self._persons += [
                Person(name, secrets[f"people-{int(name.split('-')[1]) // PERSONS_PER_TOKEN}"], room)
                for name in members
            ]

    # ---- coming and going

    async def _wave(self, seconds: float, around: Surroundings, strangers: Strangers, revoking: Revoking) -> None:
        """Let everybody come and go for a while; come back when all have left."""
        plan, closing = self.plan, self._closing
        closing.clear()
        work = [self._come_and_go(person, around) for person in self._persons]
        work += [self._strange(strangers, around) for _ in range(max(1, plan.clients // STRANGERS))]
        work += [around.images.trouble(plan.image_restart_s, closing), revoking.run(plan.revoke_s, closing)]
        everybody = [asyncio.create_task(self._guarded(each)) for each in work]
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await pause(closing, min(left, TELL_S))
            told = f"{left:6.0f} s left, {self.account.done.total():,} requests and events"
            self._say(f"{told}; {dict(self.account.complaints)}")
        closing.set()
        _, late = await asyncio.wait(everybody, timeout=plan.leave_s)
        for task in late:
            places = [f"{frame.f_code.co_name}:{frame.f_lineno}" for frame in task.get_stack()]
            self.account.complain("did not leave", f"{task.get_coro()} is at {places}")
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Do it; if it breaks down, that is a complaint and nobody else's trouble."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is told
            self.account.complain("broke down", "".join(traceback.format_exception(error)[-3:]))

    async def _come_and_go(self, person: Person, around: Surroundings) -> None:
        await pause(self._closing, self._random.uniform(0, self.plan.away_s))
        while not self._closing.is_set():
            await Visit(person, around).run()
            self.account.done["visits"] += 1
            await pause(self._closing, self._random.expovariate(1 / self.plan.away_s))

    async def _strange(self, strangers: Strangers, around: Surroundings) -> None:
        while not self._closing.is_set():
            await strangers.one()
            await pause(self._closing, self._random.expovariate(1 / around.plan.think_s))

    async def _settle(self, network: Network, more: Mapping[str, float]) -> Sample:
        """Wait until the daemon knows that all have left and what they left has expired; give how it is then."""
        network.heal()
        plan = self.plan
        images = 1 + plan.amber
        wanted: Sample = {"peers": 1 + images, "sessions_known": plan.rooms, "subscriptions": plan.rooms}
        wanted |= {name: self.before[name] + number for name, number in more.items()}
        deadline = time.monotonic() + plan.session_timeout_s + plan.retention_s + 2 * plan.cleanup_s + plan.settle_s
        while True:
            await asyncio.sleep(1.0)  # what is known inside is written twice a second
            found = await asyncio.to_thread(take, self.daemon, self.daemon.inside)
            if all(found[name] <= number for name, number in wanted.items()):
                return found
            if time.monotonic() > deadline:
                late = {name: (found[name], number) for name, number in wanted.items() if found[name] > number}
                self.account.complain("not settled", f"figure and what it should be: {late}")
                return found

    # ---- the end

    async def _start_again(self, network: Network, auditor: Auditor) -> None:
        """Kill the daemon; what was acknowledged is there for the next one as well."""
        self.account.causes["daemon killed, at the end"] += 1
        await self.daemon.end(signal.SIGKILL)
        await self.daemon.start()
        await auditor.come_back(network)
        await auditor.judge()

    def _judge(self) -> None:
        for line in self.daemon.faults:
            self.account.complain("faults in the log", line)
        for name, bound in BOUNDS.items():
            points = self.sampler.points(name, self.plan.warm_s)
            if points:
                self.verdicts[name] = judge(points, bound, filling=self.plan.is_short)
        if not {"rss_mib", "descriptors", "tasks", "threads"} <= self.verdicts.keys():
            self.account.complain("not measured", f"only {sorted(self.verdicts)}")


def _shown(sample: Sample) -> str:
    return ", ".join(f"{name} {value:,.1f}" for name, value in sample.items())
