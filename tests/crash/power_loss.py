"""Proof 1: the power fails after every step of a life, and the store opens with all that was acknowledged."""

import copy
import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from stui_sessiond.storage.store import Store

from .crash_states import crash_states
from .simulated_fs import Contents, SimulatedFileSystem, chance
from .workload import FALSE_ALARM, LIFE, Driver, Ledger, Mismatch, check_archive, new_store, read_all, reopen

ZERO = ("acknowledged lost", "prefix violations", "failed starts", FALSE_ALARM)


class Effort(msgspec.Struct, frozen=True):
    """How much of all that could be tried is tried."""

    one_in: int = 1
    """Of the unique states."""
    nested_one_in: int = 10
    """Of those, how often the power also fails during the recovery."""
    nested_states: int = 3
    """States that are tried after each step of such a recovery."""
    again_one_in: int = 10
    """Of those, how often the store also works on, and the process is only killed before the power fails."""


class PowerLoss:
    """Watches a file system, and tries what may be left of it after each step."""

    def __init__(self, driver: Driver, effort: Effort, seed: int = 1, *, stop_early: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._driver = driver
        self._effort = effort
        self._random = chance(seed)
        self._seen: set[int] = set()
        self._stop_early = stop_early

    @property
    def failures(self) -> int:
        return sum(self.counts[name] for name in ZERO)

    def step(self, kind: str) -> None:
        self.counts["operations"] += 1
        fs = self._driver.store.fs
        assert isinstance(fs, SimulatedFileSystem)
        for contents in crash_states(fs, self._random):
            self.counts["states"] += 1
            key = (self._driver.ledger.acknowledged, len(self._driver.ledger.changes), *contents.items())
            number = hash(key)
            if number in self._seen:
                continue
            self._seen.add(number)
            self.counts["unique"] += 1
            if self._random.randrange(self._effort.one_in):
                continue
            self.counts["tried"] += 1
            self._try(contents, f"{kind}, step {fs.steps}")
            if self._stop_early and self.failures:
                raise FoundError
        if not self._random.randrange(self._effort.again_one_in):
            self._kill_then_power_loss(fs)

    def _try(self, contents: Contents, where: str) -> None:
        self.attempt(lambda: self._open(contents), where)
        if not self._random.randrange(self._effort.again_one_in):
            self.attempt(lambda: self._work_on(contents), f"{where}, working on")
        if not self._random.randrange(self._effort.nested_one_in):
            self.attempt(lambda: self._nested(SimulatedFileSystem(contents)), f"{where}, again while recovering")

    def attempt(self, work: Callable[[], object], where: str) -> None:
        """Do it, and note what is wrong."""
        try:
            work()
        except Mismatch as found:
            self._note(found.kind, f"{where}: {found}")
        except FoundError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a finding
            self._note("failed starts", f"{where}: {type(error).__name__}: {error}")

    def _note(self, kind: str, example: str) -> None:
        self.counts[kind] += 1
        self.examples.setdefault(kind, example)

    def _open(self, contents: Contents) -> Store:
        return opened(SimulatedFileSystem(contents), self._driver.ledger)

    def _work_on(self, contents: Contents) -> None:
        """One more change, a checkpoint and a backup, then a clean end."""
        again = working_on(self._open(contents), self._driver)
        again.create(99)
        again.checkpoint()
        again.back_up()
        reopen(again)

    def _nested(self, fs: SimulatedFileSystem) -> None:
        random = chance(self.counts["unique"])

        def step(kind: str) -> None:
            states = list(crash_states(fs, random))
            for contents in random.sample(states, min(self._effort.nested_states, len(states))):
                self.counts["nested"] += 1
                self.attempt(lambda contents=contents: self._open(contents), f"nested {kind}")  # type: ignore[misc]

        fs.after_step = step
        opened(fs, self._driver.ledger)

    def _kill_then_power_loss(self, fs: SimulatedFileSystem) -> None:
        """Only the process ends: what it wrote is seen by the next one, and still not synced when the power fails."""
        keep, fs.after_step = fs.after_step, lambda _kind: None
        fault, fs.fault = fs.fault, SimulatedFileSystem().fault
        copied = copy.deepcopy(fs)
        fs.after_step, fs.fault = keep, fault
        copied.locked = False
        self.counts["kills"] += 1
        self.attempt(lambda: self._killed(copied), f"killed at step {fs.steps}")

    def _killed(self, fs: SimulatedFileSystem) -> None:
        ledger = copy.copy(self._driver.ledger)
        driver = working_on(opened(fs, ledger), self._driver)
        shown = ledger.shown(read_all(driver.store))
        states = list(crash_states(fs, self._random))
        for contents in self._random.sample(states, min(6, len(states))):
            self.counts["nested"] += 1
            opened(SimulatedFileSystem(contents), shown)
        driver.create(99)
        driver.checkpoint()
        for contents in crash_states(fs, self._random):
            self.counts["nested"] += 1
            opened(SimulatedFileSystem(contents), driver.ledger)


class FoundError(Exception):
    """Enough: something was found."""


def opened(fs: SimulatedFileSystem, ledger: Ledger) -> Store:
    """Open a store and check all that is in it.

    Raises:
        Mismatch: something is wrong with it.
    """
    store = new_store(fs)
    store.open()
    found = read_all(store)
    ledger.check(found)
    check_archive(store, ledger, {name for name, content in ledger.changes if content is None} - found.keys())
    reported = {*store.damaged, *store.healed}
    kept = [name for name in fs.names(store.layout.quarantine) if "-damaged-" in name]
    if reported or kept:
        raise Mismatch(FALSE_ALARM, f"{store.damaged} {store.healed} {kept}")
    return store


def working_on(store: Store, before: Driver) -> Driver:
    """Make a driver that goes on with what was found."""
    ledger = Ledger()
    driver = Driver(store, ledger)
    driver.clock = before.clock + 100
    for name in store.places:
        session = store.load(name)
        assert session is not None
        driver.sessions[name] = session
    for name, content in read_all(store).items():
        ledger.submit(name, content)
    ledger.acknowledge()
    return driver


def prove(effort: Effort, steps: Sequence[Callable[[Driver], None]] = LIFE, *, stop_early: bool = False) -> PowerLoss:
    """Run it."""
    fs = SimulatedFileSystem()
    driver = Driver(new_store(fs))
    proof = PowerLoss(driver, effort, stop_early=stop_early)
    fs.after_step = proof.step
    started = time.perf_counter()
    try:
        driver.store.open()
        for step in steps:
            step(driver)
    except FoundError:
        pass
    proof.counts["ms"] = round((time.perf_counter() - started) * 1000)
    return proof
