"""How are contestants measured side by side? Each row in turns, round by round; ratios are those of the same round."""

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from benchmarks.harness.generator import Outcome, options, run
from benchmarks.harness.peers import missing
from benchmarks.harness.process import BenchmarkError

DAEMON = "stui-sessiond"
WARM_S = 0.3


class Stand(NamedTuple):
    """A contestant that is up: what the generator is told for a run, and which processes are watched, its own first."""

    arguments: Callable[[], list[str]]
    watch: list[int]


Entry = Callable[[], AbstractContextManager[Stand]]


class Setting(NamedTuple):
    """So many connections, and on each so many requests under way."""

    name: str
    connections: int
    window: int = 1


class Contest(NamedTuple):
    """The daemon and its peers under some settings; `aims` are for the daemon's rate over a peer's."""

    title: str
    unit: str
    settings: Sequence[Setting]
    entries: dict[str, Entry]
    aims: dict[tuple[str, str], float] = {}  # noqa: RUF012 -- nobody changes it


class Row(NamedTuple):
    """A line of the table: medians of the rounds; a peer's ratios are the daemon's figure over its own."""

    title: str
    setting: str
    contestant: str
    unit: str
    rate: float
    per_core: float
    p50_us: float
    p99_us: float
    bytes_each: float
    server_share: float
    client_share: float
    foreign_share: float
    ratio: float | None
    per_core_ratio: float | None
    aim: float | None
    mark: str


class Troubles:
    """What was left out and what broke; neither may be missed by whoever reads the table."""

    def __init__(self) -> None:
        self.left_out = {name: f"{name}: LEFT OUT, {lack} missing here" for name, lack in missing().items()}
        self.broken: list[str] = []

    def broke(self, what: str, error: Exception) -> None:
        """Note a broken run."""
        self.broken.append(f"{what}: BROKEN, {error}")
        print(self.broken[-1], file=sys.stderr, flush=True)


def hold(contest: Contest, rounds: int, seconds: float, troubles: Troubles) -> list[Row]:
    """Measure a contest."""
    outcomes: dict[tuple[str, str], list[Outcome | None]] = {}
    for _ in range(rounds):
        for name, entry in contest.entries.items():
            if name in troubles.left_out:
                continue
            for setting, outcome in _measure(name, entry, contest, seconds, troubles):
                outcomes.setdefault((setting.name, name), []).append(outcome)
    return [
        row
        for setting in contest.settings
        for name in contest.entries
        if (row := _row(contest, setting, name, outcomes)) is not None
    ]


def _measure(
    name: str, entry: Entry, contest: Contest, seconds: float, troubles: Troubles
) -> Iterable[tuple[Setting, Outcome | None]]:
    """One contestant under all settings; None where it broke."""
    done: list[tuple[Setting, Outcome | None]] = []
    try:
        with entry() as stand:
            for setting in contest.settings:
                size = options(connections=setting.connections, window=setting.window, warm=min(WARM_S, seconds))
                outcome = run([*stand.arguments(), *size], stand.watch, seconds)
                done.append((setting, outcome))
                rate = f"{outcome.rate:10,.0f}/s {outcome.per_core:10,.0f} per core  p50 {outcome.p50_us:8,.0f} us"
                print(f"  {contest.title}, {setting.name}: {name:28} {rate} {outcome.mark}", flush=True)
    except BenchmarkError as error:
        troubles.broke(f"{name}, {contest.title}", error)
        done += [(setting, None) for setting in contest.settings[len(done) :]]
    return done


def _row(
    contest: Contest, setting: Setting, name: str, outcomes: dict[tuple[str, str], list[Outcome | None]]
) -> Row | None:
    ours = outcomes.get((setting.name, DAEMON), [])
    rounds = outcomes.get((setting.name, name), [])
    good = [outcome for outcome in rounds if outcome is not None]
    if not good:
        return None
    pairs = [(a, b) for a, b in zip(ours, rounds, strict=False) if a is not None and b is not None and b.counted]
    compared = bool(pairs) and name != DAEMON

    def median(value: Callable[[Outcome], float]) -> float:
        return statistics.median(value(outcome) for outcome in good)

    marks = [mark for mark in "Gf" if sum(mark in outcome.mark for outcome in good) * 2 > len(good)]
    return Row(
        title=contest.title,
        setting=setting.name,
        contestant=name,
        unit=contest.unit,
        rate=median(lambda o: o.rate),
        per_core=median(lambda o: o.per_core),
        p50_us=median(lambda o: o.p50_us),
        p99_us=median(lambda o: o.p99_us),
        bytes_each=median(lambda o: o.bytes_in / max(o.counted, 1)),
        server_share=median(lambda o: o.server_share),
        client_share=median(lambda o: o.client_share),
        foreign_share=median(lambda o: o.foreign_share),
        ratio=statistics.median(a.rate / b.rate for a, b in pairs) if compared else None,
        per_core_ratio=statistics.median(a.per_core / b.per_core for a, b in pairs) if compared else None,
        aim=contest.aims.get((setting.name, name)),
        mark="".join(marks),
    )
