"""Does it hold for minutes? Many connected clients, sessions and images, mixed traffic; errors, loop lag, memory."""

import threading
import time

from benchmarks.harness import talk
from benchmarks.harness.daemon import Daemon, fresh_daemon
from benchmarks.harness.generator import Outcome, options, run, standing
from benchmarks.harness.plan import Run

IMAGES = 10
PROBES_PER_SECOND = 200
HISTORY = talk.request("get_session_history", session_id="{SID}")
TRAFFIC = (
    (talk.UPDATE, talk.UPDATED),
    (talk.INFO, talk.INFORMED),
    (talk.EVALUATE, talk.EVALUATED),
    (talk.PING, '"success"'),
    (HISTORY, '"success"'),
)


def traffic(daemon: Daemon, run_: Run) -> list[str]:
    """All clients of a group share a session; the first makes it, the others listen to it, and all work in it."""
    clients, plan = talk.Clients(daemon), run_.plan
    size = options(connections=plan.soak_connections, groups=plan.soak_sessions, rate=plan.soak_rate, modulo=IMAGES)
    script = options(setup=[clients.hello(), clients.create("bench-{M}")], join=[clients.hello(), talk.SUBSCRIBE])
    asked = options(message=[message for message, _ in TRAFFIC], expect=[expect for _, expect in TRAFFIC])
    return [*clients.place("websocket"), *size, *script, *asked, *options(window=4, warm=1)]


class Watch:
    """Notes the memory of a daemon each second, and how late its loop is, until it is told to end."""

    def __init__(self, daemon: Daemon, seconds: float) -> None:
        self.memory: list[int] = []
        self.probe: Outcome | Exception | None = None
        self._daemon = daemon
        self._seconds = seconds
        self._over = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._weigh, self._ask)]

    def _weigh(self) -> None:
        while not self._over.wait(1 if self._seconds > 5 else 0.1):
            self.memory.append(self._daemon.memory_bytes())

    def _ask(self) -> None:
        """A ping on a connection of its own: its round trip is the loop's lag and a little more."""
        prober = talk.Clients(self._daemon)
        said = [*prober.place("websocket"), *options(setup=prober.hello(), message=talk.PING, expect='"success"')]
        try:
            self.probe = run([*said, *options(rate=PROBES_PER_SECOND, window=64)], [self._daemon.pid], self._seconds)
        except Exception as error:  # noqa: BLE001 -- raised where the outcome is looked at
            self.probe = error

    def begin(self) -> None:
        """Start watching."""
        for thread in self._threads:
            thread.start()

    def end(self) -> Outcome:
        """Stop; give what the probe found."""
        self._threads[1].join()
        self._over.set()
        self._threads[0].join()
        if isinstance(self.probe, Outcome):
            return self.probe
        raise self.probe or RuntimeError


def measure(run_: Run) -> None:
    """Soak for as long as the plan says."""
    plan = run_.plan
    with fresh_daemon() as daemon, standing(talk.images(daemon, IMAGES)) as image:
        watch = Watch(daemon, plan.soak_s)
        starter = threading.Timer(_opening_s(plan.soak_connections), watch.begin)
        began = time.monotonic()
        starter.start()
        try:
            outcome = run(traffic(daemon, run_), [daemon.pid, image], plan.soak_s + _opening_s(plan.soak_connections))
        finally:
            starter.join()
            probe = watch.end()
    third = max(1, len(watch.memory) // 3)
    early, late = max(watch.memory[third : 2 * third]), max(watch.memory[2 * third :])
    note = f"{plan.soak_connections:,} clients, {plan.soak_sessions:,} sessions, {IMAGES} images, "
    note += f"{time.monotonic() - began:.0f} s"
    fact = run_.report.fact
    fact("soak: requests answered", outcome.counted, "", "", note)
    fact("soak: events delivered", outcome.events, "")
    fact("soak: wrong, lost or refused replies, gaps in events", 0, "", "none", "any would have broken the run")
    fact(
        "soak: requests a second", outcome.rate, "", f"{plan.soak_rate:,.0f} were sent", f"p99 {outcome.p99_us:,.0f} us"
    )
    fact("soak: the daemon's core", outcome.server_share * 100, "%", "", f"others {outcome.foreign_share * 100:.0f} %")
    fact("soak: loop lag p99, at most", probe.p99_us / 1000, "ms", "under 50", f"p50 {probe.p50_us:,.0f} us, of pings")
    fact("soak: memory, second third", early / 2**20, "MiB", "", f"after {plan.soak_connections:,} had connected")
    fact("soak: memory, last third", late / 2**20, "MiB", "flat")


def _opening_s(connections: int) -> float:
    """How long all of them take to connect, with room to spare."""
    return 1 + connections / 1000
