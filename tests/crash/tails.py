"""Proof 4: the last segment cut at every byte, or with something behind its end; every whole record before is kept."""

import time
from collections import Counter

from stui_sessiond.storage.journal import HEADER_BYTES, RecordType, decode_header, read_chain

from .bit_flips import AtRest, folders_at_rest
from .simulated_fs import SimulatedFileSystem, chance
from .workload import FALSE_ALARM, Driver, Ledger, Mismatch, found_in, new_store, read_all, reopen

PREFIX_LOST = "prefix lost"
ZERO = ("failed starts", PREFIX_LOST, FALSE_ALARM)


class Tails:
    """Tries ends of the journal and counts what came of them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    @property
    def failures(self) -> int:
        return sum(self.counts[name] for name in ZERO)

    def run(self, at_rest: AtRest, one_in: int = 1) -> None:
        """Cut at every `one_in`-th byte, and put things behind the end and behind some cuts."""
        segments = sorted(path for path in at_rest.contents if path.endswith(".journal"))
        last, old = (at_rest.contents[path] or b"" for path in (segments[-1], segments[0]))
        for size in range(0, len(last), one_in):
            self._attempt(at_rest, segments[-1], last[:size], f"cut at {size}")
        noise = chance(1)
        for length in (1, 7, 8, 63, 64, 512, 4096, 5000):
            tails = {"zeros": bytes(length), "garbage": noise.randbytes(length), "old": old[:length], "older": old[64:]}
            for kind, tail in tails.items():
                for size in (len(last), len(last) - 1, len(last) // 2, HEADER_BYTES, HEADER_BYTES // 2):
                    if size < HEADER_BYTES < size + len(tail):
                        continue  # that is a damaged header, which a crash never leaves
                    self._attempt(at_rest, segments[-1], last[:size] + tail, f"{length} bytes of {kind} behind {size}")

    def _attempt(self, at_rest: AtRest, path: str, data: bytes, where: str) -> None:
        self.counts["tails"] += 1
        try:
            self._open(at_rest, path, data)
        except Mismatch as found:
            kind = found.kind if found.kind in ZERO else "prefix lost"
            self._note(kind, f"{at_rest.name}, {where}: {found}")
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a finding
            self._note("failed starts", f"{at_rest.name}, {where}: {type(error).__name__}: {error}")

    def _note(self, kind: str, example: str) -> None:
        self.counts[kind] += 1
        self.examples.setdefault(kind, example)

    def _open(self, at_rest: AtRest, path: str, data: bytes) -> None:
        fs = SimulatedFileSystem({**at_rest.contents, path: data})
        store = new_store(fs, 1500)
        store.open()
        found, damaged = found_in(store)
        kept = _whole_records(data)
        if at_rest.twice and found != at_rest.expected:
            raise Mismatch(PREFIX_LOST, "all of it is in the files")
        at_rest.ledger.up_to(kept).check(found)
        if damaged:
            raise Mismatch(FALSE_ALARM, f"{damaged}")
        driver = Driver(store, Ledger())
        for name, content in read_all(store).items():
            driver.ledger.submit(name, content)
        driver.create(99)
        reopen(driver)


def _whole_records(data: bytes) -> int:
    """The last LSN in a segment, which is the number of changes up to there."""
    if len(data) < HEADER_BYTES:
        return 0
    records = read_chain(data, decode_header(data))
    return max((record.lsn for record in records if record.kind == RecordType.CHANGE), default=0)


def prove(one_in: int = 1) -> Tails:
    """Run it."""
    proof = Tails()
    started = time.perf_counter()
    for at_rest in folders_at_rest():
        proof.run(at_rest, one_in)
    proof.counts["ms"] = round((time.perf_counter() - started) * 1000)
    return proof
