"""The proofs again, with a store that is sealed: nothing acknowledged is lost, no flipped bit is silent."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest

from stui_sessiond.security.sealing import CLEAR_ID, MasterKey, Sealer, key_of
from stui_sessiond.storage import rekey
from stui_sessiond.storage.layout import StoreIdentity, read_identity, unseal_json
from stui_sessiond.storage.recovery import Segment, recover
from stui_sessiond.storage.sealed import key_of_text
from stui_sessiond.storage.session_file import key_of_file
from stui_sessiond.storage.store import Store

from . import bit_flips, power_loss
from .crash_states import crash_states
from .simulated_fs import Contents, SimulatedFileSystem, chance
from .workload import BEGINNING, ROOT, Driver, Mismatch, Safe, new_store, reopen, sealed

OLD, NEW = MasterKey(b"o" * 32), MasterKey(b"n" * 32)
VIOLATED = "prefix violations"
Step = Callable[[Driver], None]


def sealer(current: MasterKey | None, *others: MasterKey) -> Sealer:
    """Seal with nonces that are the same in each run."""
    return Sealer(current, others, chance(7).randbytes)


def with_keys(made: Sealer) -> Step:
    """Stop, and start with other keys, as an operator does who changes the settings."""

    def step(driver: Driver) -> None:
        Safe.sealer = made
        reopen(driver)
        if not driver.store.rekeying:
            raise Mismatch(VIOLATED, "there is nothing to bring over")

    return step


def brought_over(driver: Driver) -> None:
    """What the daemon does in the background until the old key is not needed any more."""
    driver.checkpoint()
    if not rekey.finish(driver.store):
        raise Mismatch(VIOLATED, "the old key is still needed")
    if driver.store.keys != (driver.store.sealer.key_id,):
        raise Mismatch(VIOLATED, f"it takes {driver.store.keys}")


ROTATION: tuple[Step, ...] = (
    lambda driver: driver.create(1, 2, 3),
    lambda driver: driver.update(1, 2, size=60),
    lambda driver: driver.checkpoint(),
    lambda driver: driver.remove(3, archive=True),
    lambda driver: driver.update(2),
    with_keys(sealer(OLD)),
    lambda driver: driver.update(1, size=40),
    brought_over,
    lambda driver: driver.update(1, 2),
    with_keys(sealer(NEW, OLD)),
    lambda driver: driver.update(2, context=True),
    lambda driver: driver.back_up(),
    lambda driver: driver.create(4),
    brought_over,
    lambda driver: driver.update(4),
    with_keys(sealer(None, NEW, OLD)),
    lambda driver: driver.update(4, 1),
    brought_over,
    lambda driver: driver.update(2, 1),
)
"""From clear text under a key, under another one, and back, with changes between."""


def test_sealed_storage_power_loss_at_any_moment() -> None:
    """Whatever a power loss leaves of a sealed store, it opens, and everything acknowledged is there."""
    with sealed(sealer(OLD)):
        proof = power_loss.prove(power_loss.Effort(one_in=3, nested_one_in=30, again_one_in=8), BEGINNING)
    assert proof.counts["tried"] > 100
    assert not proof.failures, proof.examples


def test_sealed_storage_power_loss_while_keys_change() -> None:
    """Sealing a store, changing its key and opening it again may be interrupted anywhere: nothing is lost."""
    with sealed(sealer(None)):
        proof = power_loss.prove(power_loss.Effort(one_in=3, nested_one_in=30, again_one_in=8), ROTATION)
    assert proof.counts["tried"] > 100
    assert proof.counts["operations"] > 200
    assert not proof.failures, proof.examples


def used_keys(contents: Contents) -> tuple[set[str], set[str]]:
    """The keys that store.json names, and those that live files and records are under; `clear` is one."""
    named: set[str] = set()
    used: set[str] = set()
    store_id, segments = b"", []
    for path, data in sorted(contents.items()):
        kind = PurePosixPath(path).relative_to(ROOT).parts[:1]
        if not data or not kind:
            continue
        if kind == ("store.json",):
            identity = read_identity(Path(path), data)
            named, store_id = set(identity.keys or (CLEAR_ID,)), bytes.fromhex(identity.store_id)
        elif kind == ("journal",):
            segments.append(Segment(PurePosixPath(path).name, data))
        elif kind in {("sessions",), ("archive",)}:
            used.add(key_of_file(data) or "?")
        elif kind in {("index.json",), ("damaged.json",)}:
            used.add(key_of_text(unseal_json(data) or b""))
    used.update(key_of(record.payload) for record in recover(segments, store_id).records)
    return named, used


class Uncovered:
    """Counts crash states of a life with changing keys in which something is under a key that store.json lacks."""

    def __init__(self) -> None:
        self.states = 0
        self.found: list[str] = []
        fs = SimulatedFileSystem()
        random = chance(3)

        def look(kind: str) -> None:
            for contents in crash_states(fs, random):
                named, used = used_keys(contents)
                self.states += 1
                if named and not used <= named:
                    self.found.append(f"{kind}: {used - named}")

        fs.after_step = look
        with sealed(sealer(None)), suppress(Mismatch):
            driver = Driver(new_store(fs))
            driver.store.open()
            for step in ROTATION:
                step(driver)


def test_sealed_storage_names_every_key_that_is_needed() -> None:
    """At no moment is anything on the disk under a key that store.json does not name."""
    proof = Uncovered()
    assert proof.states > 1000
    assert proof.found == []


def _declare_late(store: Store, _identity: StoreIdentity) -> None:
    store.keys = (store.sealer.key_id, *dict.fromkeys(key.id for key in (OLD, NEW) if key.id != store.sealer.key_id))


def _finish_early(store: Store) -> tuple[str, ...]:
    store.write_identity((store.sealer.key_id,))
    return ("too early",)


@pytest.mark.parametrize("broken", ["declares late", "retires early", "forgets the files before"])
def test_sealed_storage_proof_notices_a_broken_rule(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof can fail."""
    if broken == "declares late":
        monkeypatch.setattr(Store, "_settle_keys", _declare_late)
    elif broken == "retires early":
        monkeypatch.setattr(rekey, "finish", _finish_early)
    else:
        real = rekey.begin

        def begin(store: Store) -> None:
            real(store)
            store.old_files = dict.fromkeys(store.places, 1)

        monkeypatch.setattr(rekey, "begin", begin)
    assert Uncovered().found


def test_sealed_storage_flipped_bit_in_any_file() -> None:
    """A flipped bit is damage as in clear text: made up for or reported, never silent, never taken for a wrong key."""
    with sealed(sealer(OLD)):
        proof = bit_flips.prove(one_in=31)
    assert proof.counts["flips"] > 1000
    assert proof.counts["healed"] > 100
    assert not proof.failures, proof.examples


def test_sealed_storage_has_nothing_readable_in_any_crash_state() -> None:
    """Of a life with removals, backups and an archive, no file shows what the sessions say or whose they are."""
    fs = SimulatedFileSystem()
    seen: set[bytes] = set()

    def look(_kind: str) -> None:
        seen.update(data for data in fs.contents().values() if data is not None)

    fs.after_step = look
    with sealed(sealer(OLD)):
        driver = Driver(new_store(fs))
        driver.store.open()
        for step in BEGINNING:
            step(driver)
        driver.store.close()
    assert len(seen) > 30
    for canary in (b"client-", b"xxxxxxxx", b"yyyyyyyy", b"workspace", b"tool-", b"description", b"updated"):
        assert not [data for data in seen if canary in data], canary
