"""What the tests of misbehaving images stand on: others who go on meanwhile, and whether they notice anything.

`Others` are a client that pings without end, and an honest image with a client that evaluates in it, each on threads of
their own. What a misbehaving image does must not show in their round trips, nor stay in the daemon's memory.
"""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from typing import Self

from tests.e2e.harness import DEADLINE_S, Connection, Daemon, Json, ScriptedImage
from tests.security.bed import rss_bytes

SEVEN: Json = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}

P99_S = 0.5
"""What a round trip of the others may take beyond what it took before: far from what anybody would call hung, and
above what a busy machine does to any process."""

GROWTH_BYTES = 5 * 1024 * 1024
"""What may stay in memory afterwards."""

WARM_UP = 50
"""Round trips before anything is measured."""

ENOUGH = 30
"""Round trips of each kind that have to be measured at least."""


class Others:
    """Everybody else. Within the `with`, they work; at its end it is checked that they did not notice anything."""

    def __init__(self, daemon: Daemon, p99_s: float = P99_S) -> None:
        self._p99_s = p99_s
        self._daemon = daemon
        self._over = threading.Event()
        self._pings: list[float] = []
        self._evaluations: list[float] = []
        self._failures: list[BaseException] = []
        self._image_id = f"honest-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> Self:
        self._image = ScriptedImage(self._daemon.socket_path, self._image_id)
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,)) for work in (self._answer, self._ping, self._evaluate)
        ]
        for thread in self._threads:
            thread.start()
        self._settle()
        self._quiet = max(percentile(self._pings), percentile(self._evaluations))
        self._pings.clear()
        self._evaluations.clear()
        self._memory = rss_bytes(self._daemon)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._settle()
                self._check_memory()
        finally:
            self._over.set()
            for thread in self._threads[1:]:
                thread.join(DEADLINE_S)
            self._image.socket.shutdown(socket.SHUT_RDWR)
            self._threads[0].join(DEADLINE_S)
            self._image.close()
        if kind is None:
            assert not self._failures, self._failures
            for name, times in (("ping", self._pings), ("evaluate", self._evaluations)):
                slow = percentile(times)
                median = statistics.median(times)
                assert slow < self._quiet + self._p99_s, f"{name}: p99 {slow:.3f} s, p50 {median:.4f} s of {len(times)}"

    def _settle(self) -> None:
        """Wait until there is enough to judge by."""
        wanted = [len(self._pings) + ENOUGH, len(self._evaluations) + ENOUGH]
        until = time.monotonic() + DEADLINE_S
        while [len(self._pings), len(self._evaluations)] < wanted or len(self._evaluations) < wanted[1]:
            assert time.monotonic() < until, f"the others are not answered any more: {self._failures}"
            assert not self._failures, self._failures
            self._over.wait(0.005)

    def _check_memory(self) -> None:
        until = time.monotonic() + DEADLINE_S
        while (growth := rss_bytes(self._daemon) - self._memory) > GROWTH_BYTES and time.monotonic() < until:
            self._over.wait(0.05)  # what was used goes back to the system when there is time for it
        assert growth <= GROWTH_BYTES, f"{growth / 1024 / 1024:.1f} MiB stayed"

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- told in the test's own thread
            self._failures.append(error)

    def _answer(self) -> None:
        while (request := self._image.read()) is not None:
            if request.get("command") == "evaluate":
                self._image.reply(request, SEVEN)

    def _ping(self) -> None:
        with Connection(self._daemon.socket_path) as client:
            while not self._over.is_set():
                began = time.monotonic()
                assert client.result("ping")["status"] == "ready"
                self._pings.append(time.monotonic() - began)
                self._over.wait(0.001)  # as fast as somebody types, not as fast as a benchmark

    def _evaluate(self) -> None:
        with Connection(self._daemon.socket_path) as client:
            session = client.new_session(image_id=self._image_id)
            while not self._over.is_set():
                began = time.monotonic()
                assert client.value("3 + 4", session) == "7"
                self._evaluations.append(time.monotonic() - began)
                self._over.wait(0.001)
            client.result("close_session", session_id=session, save_state=False)


def percentile(times: list[float], part: float = 0.99) -> float:
    """The time that this part of them does not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


class WildImage(ScriptedImage):
    """An image that says whatever the test wants it to."""

    def asked(self, command: str = "evaluate") -> Json:
        """The next request with this command; what the daemon asks besides stays unanswered."""
        while (request := self.request()).get("command") != command:
            pass
        return request

    def shout(self, payload: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(payload)


def success(request: Json, **result: object) -> bytes:
    """The line that answers an evaluation."""
    return json.dumps({"id": request["id"], "status": "success", "result": {**SEVEN, **result}}).encode() + b"\n"


def event(session_id: str, name: str = "transcript", **data: object) -> bytes:
    """The line of an event."""
    return json.dumps({"event": name, "session_id": session_id, "data": data}).encode() + b"\n"
