"""How many requests a second, beside the peers: durable updates, reads, evaluations relayed to an image?"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.harness import peers, talk
from benchmarks.harness.contest import DAEMON, Contest, Entry, Setting, Stand, hold
from benchmarks.harness.daemon import fresh_daemon
from benchmarks.harness.generator import Outcome, options, run, standing
from benchmarks.harness.plan import Run
from benchmarks.harness.process import free_port

MANY, MANY_DEEP = Setting("64 x 1", 64), Setting("64 x 8", 64, 8)
IMAGE = "bench-00000"


def asking(message: str, expect: str, protocol: str = "websocket") -> Entry:
    """The daemon, asked for one thing by clients that each have a session."""

    @contextmanager
    def entry() -> Iterator[Stand]:
        with fresh_daemon() as daemon:
            yield Stand(lambda: talk.Clients(daemon).ask(message, expect, protocol=protocol), [daemon.pid])

    return entry


@contextmanager
def evaluating() -> Iterator[Stand]:
    """The daemon with an image that answers at once."""
    with fresh_daemon() as daemon, standing(talk.images(daemon)) as image:
        yield Stand(
            lambda: talk.Clients(daemon).ask(talk.EVALUATE, talk.EVALUATED, image_id=IMAGE), [daemon.pid, image]
        )


def beside(name: str, said: list[str]) -> Entry:
    """A peer, asked for one thing."""

    @contextmanager
    def entry() -> Iterator[Stand]:
        with peers.peer(name) as server:
            yield Stand(lambda: [*said, *options(port=server.port)], [server.pid])

    return entry


@contextmanager
def relaying() -> Iterator[Stand]:
    """NATS with a responder that answers at once, the same program as the daemon's image."""
    with peers.peer(peers.NATS) as server:
        responder = options(image=True, protocol="nats", port=server.port, answer=talk.ANSWER)
        with standing(responder) as image:
            yield Stand(lambda: [*talk.nats(), *options(port=server.port)], [server.pid, image])


UPDATES = Contest(
    "durable update, WebSocket",
    "acknowledged changes",
    (MANY, MANY_DEEP),
    {
        DAEMON: asking(talk.UPDATE, talk.UPDATED),
        peers.REDIS: beside(peers.REDIS, talk.redis()),
        peers.SOCKETIO: beside(peers.SOCKETIO, talk.socketio()),
        peers.PYTHON_SOCKETIO: beside(peers.PYTHON_SOCKETIO, talk.socketio()),
        peers.FLASK: beside(peers.FLASK, talk.socketio()),
    },
    {
        (MANY.name, peers.REDIS): 0.6,
        (MANY.name, peers.SOCKETIO): 0.75,
        (MANY.name, peers.PYTHON_SOCKETIO): 3,
        (MANY.name, peers.FLASK): 8,
        (MANY_DEEP.name, peers.SOCKETIO): 1,
    },
)
READS = Contest(
    "get_session_info, WebSocket",
    "replies",
    (MANY,),
    {
        DAEMON: asking(talk.INFO, talk.INFORMED),
        peers.SOCKETIO: beside(peers.SOCKETIO, talk.socketio()),
        peers.AIOHTTP: beside(peers.AIOHTTP, talk.echo()),
    },
    {(MANY.name, peers.SOCKETIO): 1, (MANY.name, peers.AIOHTTP): 0.8},
)
LINES = Contest(
    "get_session_info, TCP lines", "replies", (MANY,), {DAEMON: asking(talk.INFO, talk.INFORMED, protocol="lines")}
)
RELAYS = Contest("relayed evaluate, WebSocket", "values", (MANY,), {DAEMON: evaluating, peers.NATS: relaying})


def measure(run_: Run) -> None:
    """Measure all of it."""
    for contest in (UPDATES, READS, LINES, RELAYS):
        run_.report.rows += hold(contest, run_.plan.rounds, run_.plan.seconds, run_.troubles)
    _added_latency(run_)


def _added_latency(run_: Run) -> None:
    """What the daemon adds at one client: through it, less the round trip to the same image without it."""
    direct, relayed = [], []
    with ExitStack() as stack:
        daemon = stack.enter_context(fresh_daemon())
        image = stack.enter_context(standing(talk.images(daemon)))
        port = free_port()
        alone = stack.enter_context(standing(options(image=True, listen=port, protocol="lines", answer=talk.ANSWER)))
        for _ in range(run_.plan.rounds):
            direct.append(_one(options(protocol="lines", port=port, message=talk.EVALUATE), [alone], run_))
            through = talk.Clients(daemon).ask(talk.EVALUATE, talk.EVALUATED, image_id=IMAGE)
            relayed.append(_one(through, [daemon.pid, image], run_))
    added = statistics.median(a.p50_us - b.p50_us for a, b in zip(relayed, direct, strict=True))
    note = f"p50 {statistics.median(a.p50_us for a in relayed):.0f} through the daemon over WebSocket, "
    note += f"{statistics.median(b.p50_us for b in direct):.0f} to the image alone over TCP"
    run_.report.fact("added latency of a relayed evaluate, 1 client", added, "us", "under 100", note)


def _one(arguments: list[str], watch: list[int], run_: Run) -> Outcome:
    return run([*arguments, *options(warm=min(0.3, run_.plan.seconds))], watch, run_.plan.seconds)
