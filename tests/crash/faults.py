"""Proof 3: any call fails, once or from then on; nothing is acknowledged falsely and all that was is there later."""

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from stui_sessiond.errors import StorageError
from stui_sessiond.storage.segments import DiskFailedError, DiskFullError

from .crash_states import crash_states
from .power_loss import opened
from .simulated_fs import SimulatedFileSystem, chance, no_fault
from .workload import BEGINNING, Driver, Mismatch, new_store, reopen

LATER = "later trouble"
APPENDED = "appends after a failed sync"
NOT_RESUMED = "not resumed"
ZERO = ("false acknowledgements", LATER, APPENDED, NOT_RESUMED, "exceptions")
ROOM_NEEDED = frozenset({"create", "write", "make_folder", "rename", "link", "reserve", "sync_folder"})
POWER_LOSS_STATES = 2


class Fault(msgspec.Struct):
    """Fails the call of a number, counted from 0, and, if it lasts, all later ones."""

    number: int
    error: int
    lasting: bool
    kinds: frozenset[str] | None = None
    """Which calls count; all when None."""
    calls: int = 0
    failed: str | None = None
    """The kind of the first call that failed."""

    def __call__(self, kind: str, path: Path, size: int) -> int:
        """Fail, or not; the first write that finds no room takes half."""
        if self.kinds is not None and kind not in self.kinds:
            return size
        number, self.calls = self.calls, self.calls + 1
        again = self.lasting or self.failed == "short write"
        if number < self.number or (number > self.number and not again):
            return size
        if self.failed is None and kind == "write" and self.error == errno.ENOSPC and size > 1:
            self.failed = "short write"
            return size // 2
        self.failed = kind
        raise OSError(self.error, os.strerror(self.error), str(path))


class Faults:
    """Tries faults and counts what came of them."""

    def __init__(self, steps: Sequence[Callable[[Driver], None]] = BEGINNING) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._steps = steps
        self._random = chance(1)

    @property
    def failures(self) -> int:
        return sum(self.counts[name] for name in ZERO)

    def run(self, one_in: int = 1) -> None:
        """Fail every `one_in`-th call."""
        for error, kinds in ((errno.EIO, None), (errno.ENOSPC, ROOM_NEEDED)):
            for lasting in (False, True):
                number, more = 0, True
                while more:
                    fault = Fault(number, error, lasting, kinds)
                    self.attempt(fault)
                    more = fault.failed is not None
                    number += one_in

    def attempt(self, fault: Fault) -> None:
        """Run the steps with a fault, then look for what was acknowledged."""
        self.counts["faults"] += 1
        where = f"{errno.errorcode[fault.error]} {'from' if fault.lasting else 'at'} call {fault.number}"
        try:
            self._attempt(fault)
        except Mismatch as found:
            kind = "false acknowledgements" if found.kind == "acknowledged lost" else "later trouble"
            kind = found.kind if found.kind in ZERO else kind
            self._note(kind, f"{where} ({fault.failed}): {found}")
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a finding
            self._note("exceptions", f"{where} ({fault.failed}): {type(error).__name__}: {error}")

    def _note(self, kind: str, example: str) -> None:
        self.counts[kind] += 1
        self.examples.setdefault(kind, example)

    def _attempt(self, fault: Fault) -> None:
        fs = SimulatedFileSystem()
        driver = Driver(new_store(fs))
        fs.fault = fault
        stopped = self._work(driver, fault)
        fs.fault = no_fault
        if not stopped:
            self._go_on(driver)
            self.counts["went on"] += 1
        states = list(crash_states(fs, self._random))
        for contents in [fs.contents(), *self._random.sample(states, min(POWER_LOSS_STATES, len(states)))]:
            self.counts["new starts"] += 1
            opened(SimulatedFileSystem(contents), driver.ledger)

    def _work(self, driver: Driver, fault: Fault) -> bool:
        """Do the steps; tell whether the process has to end."""
        try:
            driver.store.open()
        except (OSError, StorageError):
            return True
        for step in self._steps:
            try:
                step(driver)
            except DiskFailedError:
                self._must_refuse(driver)
                return True
            except (DiskFullError, OSError, StorageError) as error:
                self.counts["refused"] += 1
                if step is reopen:
                    return True
                if isinstance(error, DiskFullError) and fault.error != errno.ENOSPC:
                    raise Mismatch(LATER, "the disk was not full") from error
        return False

    def _go_on(self, driver: Driver) -> None:
        """Without a new start."""
        try:
            driver.create(90)
            driver.checkpoint()
        except (DiskFullError, DiskFailedError, OSError, StorageError) as error:
            raise Mismatch(NOT_RESUMED, repr(error)) from error

    def _must_refuse(self, driver: Driver) -> None:
        self.counts["failed syncs and writes"] += 1
        try:
            driver.create(91)
        except DiskFailedError:
            del driver.ledger.changes[-1]
        else:
            raise Mismatch(APPENDED, "it was taken")


def prove(one_in: int = 1, steps: Sequence[Callable[[Driver], None]] = BEGINNING) -> Faults:
    """Run it."""
    proof = Faults(steps)
    started = time.perf_counter()
    proof.run(one_in)
    proof.counts["ms"] = round((time.perf_counter() - started) * 1000)
    return proof
