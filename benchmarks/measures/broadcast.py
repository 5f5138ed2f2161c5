"""How fast does one change reach everybody who listens?"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.harness import peers, talk
from benchmarks.harness.contest import DAEMON, Contest, Entry, Setting, Stand, hold
from benchmarks.harness.daemon import fresh_daemon
from benchmarks.harness.generator import options, run
from benchmarks.harness.plan import Run


@contextmanager
def telling() -> Iterator[Stand]:
    """The daemon: each change is durable, and told as an event."""
    with fresh_daemon() as daemon:
        yield Stand(lambda: talk.Clients(daemon).broadcast(), [daemon.pid])


@contextmanager
def streaming() -> Iterator[Stand]:
    """The same over server-sent events."""
    with fresh_daemon() as daemon:
        yield Stand(lambda: talk.Clients(daemon).broadcast_events(), [daemon.pid])


def beside(name: str, said: Callable[[], list[str]]) -> Entry:
    """A peer that passes on what one tells it."""

    @contextmanager
    def entry() -> Iterator[Stand]:
        with peers.peer(name) as server:
            yield Stand(lambda: [*said(), *options(port=server.port)], [server.pid])

    return entry


def event_bytes() -> int:
    """How long the daemon's event is on the wire: the prebuilt frame is made as long."""
    with telling() as stand:
        outcome = run([*stand.arguments(), *options(connections=101)], stand.watch, 0.2)
    return outcome.bytes_in // max(outcome.counted, 1) or 600


def measure(run_: Run) -> None:
    """Measure all of it."""
    size = event_bytes()
    _measure("broadcast of a change, WebSocket", telling, size, run_, beside_others=True)
    _measure("broadcast of a change, server-sent events", streaming, size, run_, beside_others=False)


def _measure(title: str, ours: Entry, size: int, run_: Run, *, beside_others: bool) -> None:
    settings = [Setting(f"{count:,} subscribers", count + 1) for count in run_.plan.subscribers]
    entries = {
        DAEMON: ours,
        peers.PREBUILT: beside(peers.PREBUILT, lambda: talk.prebuilt(size)),
    }
    if beside_others:
        entries[peers.SOCKETIO] = beside(peers.SOCKETIO, talk.socketio_room)
        entries[peers.PYTHON_SOCKETIO] = beside(peers.PYTHON_SOCKETIO, talk.socketio_room)
    aims = {
        (setting.name, name): aim
        for setting in settings
        for name, aim in ((peers.PREBUILT, 0.8), (peers.SOCKETIO, 1), (peers.PYTHON_SOCKETIO, 10))
        if setting.connections > 1000
    }
    contest = Contest(title, "deliveries", settings, entries, aims)
    run_.report.rows += hold(contest, run_.plan.rounds, run_.plan.seconds, run_.troubles)
