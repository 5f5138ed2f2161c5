"""Proof 1, second part: the power fails after every step of the migration from format 1."""

import time
from collections import Counter
from pathlib import Path

from stui_sessiond.storage.store import Store

from .crash_states import crash_states
from .simulated_fs import Contents, SimulatedFileSystem, chance
from .workload import ROOT, found_in, new_store

ZERO = ("failed starts", "lost or changed", "old files not kept")
OLD = Path(__file__).parents[1] / "data" / "format-1" / "store"


def old_contents() -> Contents:
    """The files of a folder of format 1."""
    found: Contents = {str(ROOT): None}
    for path in sorted(OLD.rglob("*")):
        name = str(ROOT / path.relative_to(OLD))
        found[name] = None if path.is_dir() else path.read_bytes()
    return found


class MigrationCrashes:
    """Watches a migration, and tries what may be left of it after each step."""

    def __init__(self, nested_one_in: int = 10) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._nested_one_in = nested_one_in
        self._random = chance(1)
        self._seen: set[int] = set()
        store = new_store(SimulatedFileSystem(old_contents()))
        store.open()
        self._expected = found_in(store)

    @property
    def failures(self) -> int:
        return sum(self.counts[name] for name in ZERO)

    def run(self) -> None:
        fs = SimulatedFileSystem(old_contents())
        self._watch(fs, nested=True)
        new_store(fs).open()

    def _watch(self, fs: SimulatedFileSystem, *, nested: bool) -> None:
        def step(kind: str) -> None:
            states = list(crash_states(fs, self._random))
            if not nested:
                states = self._random.sample(states, min(3, len(states)))
            for contents in states:
                key = hash(tuple(contents.items()))
                self.counts["states"] += 1
                if key not in self._seen:
                    self._seen.add(key)
                    self.counts["unique" if nested else "nested"] += 1
                    self._try(contents, f"{kind}, step {fs.steps}")
                    if nested and not self._random.randrange(self._nested_one_in):
                        again = SimulatedFileSystem(contents)
                        self._watch(again, nested=False)
                        new_store(again).open()

        fs.after_step = step

    def _try(self, contents: Contents, where: str) -> None:
        fs = SimulatedFileSystem(contents)
        store = new_store(fs)
        try:
            store.open()
            if found_in(store) != self._expected:
                self._note("lost or changed", f"{where}: {store.damaged}")
            self._check_kept(store, where)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a finding
            self._note("failed starts", f"{where}: {type(error).__name__}: {error}")

    def _check_kept(self, store: Store, where: str) -> None:
        kept = [data for path, data in _files(store.fs, store.layout.backups)]
        kept += [data for path, data in _files(store.fs, store.layout.quarantine)]
        for path, data in old_contents().items():
            if data is not None and data not in kept:
                self._note("old files not kept", f"{where}: {path}")

    def _note(self, kind: str, example: str) -> None:
        self.counts[kind] += 1
        self.examples.setdefault(kind, example)


def _files(fs: object, folder: Path) -> list[tuple[str, bytes]]:
    assert isinstance(fs, SimulatedFileSystem)
    return [(path, data) for path, data in fs.contents().items() if data is not None and path.startswith(str(folder))]


def prove(nested_one_in: int = 10) -> MigrationCrashes:
    """Run it."""
    started = time.perf_counter()
    proof = MigrationCrashes(nested_one_in)
    proof.run()
    proof.counts["ms"] = round((time.perf_counter() - started) * 1000)
    return proof
