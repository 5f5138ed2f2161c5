"""A slice of the proofs, small enough for every run of the tests; `python tests/crash/run.py` makes the whole."""

import errno
from collections.abc import Iterator

import pytest
import structlog

from stui_sessiond.storage.segments import DiskFullError

from . import bit_flips, faults, kill_rounds, live_faults, migration_crash, mutants, power_loss, tails
from .crash_states import crash_states
from .faults import Fault
from .power_loss import opened
from .simulated_fs import SimulatedFileSystem, chance
from .workload import BEGINNING, Driver, new_store


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), logger_factory=structlog.ReturnLoggerFactory()
    )
    yield
    structlog.configure(**before)


def test_storage_power_loss_after_every_step() -> None:
    """Whatever a power loss leaves, the store opens with all that was acknowledged and reports no damage."""
    proof = power_loss.prove(power_loss.Effort(one_in=3, nested_one_in=30, again_one_in=8), BEGINNING)
    assert proof.counts["tried"] > 100
    assert not proof.failures, proof.examples


def test_storage_power_loss_while_migrating() -> None:
    """A migration that is interrupted anywhere is done again, with the old files kept."""
    proof = migration_crash.prove(nested_one_in=30)
    assert proof.counts["unique"] > 100
    assert not proof.failures, proof.examples


def test_storage_flipped_bit_in_any_file() -> None:
    """A flipped bit is made up for or reported, and never passes silently."""
    proof = bit_flips.prove(one_in=23)
    assert proof.counts["flips"] > 1000
    assert not proof.failures, proof.examples


def test_storage_call_that_fails() -> None:
    """A failing call never leads to a false acknowledgement, nor to a loss."""
    proof = faults.prove(one_in=4)
    assert proof.counts["faults"] > 100
    assert not proof.failures, proof.examples


def test_file_storage_disk_that_fails_is_full_or_slow() -> None:
    """The asynchronous storage refuses, reports, reads on, resumes and never stalls the loop."""
    proof = live_faults.prove(slow_sync_s=0.0)
    assert not proof.failures, proof.examples


def test_journal_any_end() -> None:
    """A journal that is cut or has something behind its end is read up to its last whole record."""
    proof = tails.prove(one_in=11)
    assert proof.counts["tails"] > 100
    assert not proof.failures, proof.examples


def test_daemon_killed_under_load() -> None:
    """A daemon that is killed under load has lost nothing that it acknowledged."""
    proof = kill_rounds.prove(3)
    assert proof.counts["kills"] == 3
    assert not proof.failures, proof.examples


@pytest.mark.parametrize(
    "name",
    ["acknowledges before the sync", "no seal", "no sync before a rename", "unfinished header without the size test"],
)
def test_proofs_notice_a_broken_rule(name: str) -> None:
    """The proofs can fail: a storage that breaks one rule is caught."""
    proof = mutants.prove([(name,)])
    assert not proof.failures, f"{name} was not caught"


def test_first_records_of_a_segment_that_are_refused_never_come_back() -> None:
    """The disk is full in the middle of them; whatever a power loss undoes of what was done then, none is seen."""
    fs = SimulatedFileSystem()
    driver = Driver(new_store(fs))
    driver.store.open()
    fs.fault = Fault(1, errno.ENOSPC, lasting=True, kinds=frozenset({"write"}))
    with pytest.raises(DiskFullError):
        driver.create(1, 2)
    states = list(crash_states(fs, chance(1)))
    assert len(states) > 1
    for contents in states:
        opened(SimulatedFileSystem(contents), driver.ledger)
