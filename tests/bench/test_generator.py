"""Does the load generator notice replies that are wrong, lost, doubled or somebody else's, and lost events?"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.harness.generator import options, run
from benchmarks.harness.process import BenchmarkError

pytestmark = pytest.mark.skipif(
    not (os.environ.get("CC") or shutil.which("cc")), reason="the load generator needs a C compiler"
)

TOTAL = 20
REQUEST = '{"id":"{ID}","command":"ping","number":{N}}'
Answer = Callable[[dict[str, object]], list[dict[str, object]]]


def right(request: dict[str, object]) -> list[dict[str, object]]:
    """The reply as it should be."""
    return [{"id": request["id"], "status": "success", "told": request["number"]}]


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """A server of lines for one connection; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer, peer.makefile("rwb") as stream:
                for line in stream:
                    for reply in answer(json.loads(line)):
                        stream.write(json.dumps(reply, separators=(",", ":")).encode() + b"\n")
                    stream.flush()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def ask(answer: Answer, seconds: float) -> None:
    """Have the generator ask that server; it ends when all is answered, or after so many seconds."""
    with server(answer) as port:
        asked = options(
            protocol="lines", port=port, message=REQUEST, expect='"told":1000', window=4, total=TOTAL, drain=0.5
        )
        outcome = run(asked, [os.getpid()], seconds)
    assert (outcome.counted, outcome.late) == (TOTAL, 0)


def test_generator_with_a_right_server_counts_every_reply() -> None:
    """All requests are sent and answered, and nothing is complained about."""
    ask(right, 20.0)


def spoilt(how: str) -> Answer:
    """A server that answers the tenth request in a wrong way."""
    seen: list[dict[str, object]] = []

    def answer(request: dict[str, object]) -> list[dict[str, object]]:
        seen.append(request)
        good = right(request)
        if len(seen) != 10:
            return good
        return {
            "errors": [{**good[0], "status": "error"}],
            "wrong": [{**good[0], "told": None}],
            "unasked": [*good, *good],
            "another's": [{**good[0], "id": str(good[0]["id"]).replace("c00000", "c00001")}, *good],
            "lost": [],
        }[how]

    return answer


@pytest.mark.parametrize(
    ("how", "counted"),
    [("errors", "errors"), ("wrong", "wrong"), ("unasked", "unasked"), ("another's", "wrong"), ("lost", "lost")],
)
def test_generator_with_one_bad_reply_says_what_is_wrong(how: str, counted: str) -> None:
    """One reply among twenty is refused, wrong, doubled, another's or missing: the run is broken, and says how."""
    with pytest.raises(BenchmarkError, match=f'"{counted}": 1'):
        ask(spoilt(how), 1.0)


@contextmanager
def telling(skip: int, double: int) -> Iterator[int]:
    """A server of lines that tells the second connection what the first one publishes, but for two numbers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            publisher, subscriber = listener.accept()[0], listener.accept()[0]
            with publisher, subscriber, publisher.makefile("rb") as stream:
                for count, line in enumerate(stream):
                    subscriber.sendall(line * (0 if count == skip else 2 if count == double else 1))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(("skip", "double", "counted"), [(3, -1, "gaps"), (-1, 3, "repeats")])
def test_generator_with_an_event_lost_or_doubled_says_so(skip: int, double: int, counted: str) -> None:
    """A subscriber that misses one event, or gets one twice, breaks the run."""
    message = '{"event":"x","stamp":{N}}'
    with telling(skip, double) as port:
        told = options(protocol="lines", port=port, fanout=True, connections=2, window=2, message=message)
        with pytest.raises(BenchmarkError, match=f'"{counted}": 1'):
            run(told, [os.getpid()], 0.2)
