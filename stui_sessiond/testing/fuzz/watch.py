"""Is the daemon still there, the same one, quick and of reasonable size, while others torment it?"""

import asyncio
import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from stui_sessiond.testing.fuzz.tally import FailureError, Tally
from stui_sessiond.testing.link import Link, LinkEndedError, UnreachableError, open_link

PING_S: Final = 1.0
"""Another client gets its answer within this time."""

PATIENCE_S: Final = 10.0
EVERY_S: Final = 0.2
"""Between two looks."""

IDENTITY_EVERY: Final = 25
"""Every so many looks a new connection asks who the daemon is."""

_LAG_STEP_S = 0.02


class Watcher:
    """A client that only wants to know how the daemon is."""

    def __init__(self, url: str, token: str | None, tally: Tally, pid: int | None, max_rss_bytes: int) -> None:
        self.server_id = ""
        self.limit_bytes = 0
        """The longest message the daemon takes."""
        self._url = url
        self._token = token
        self._tally = tally
        self._pid = pid
        self._max_rss_bytes = max_rss_bytes
        self._link: Link | None = None
        self._lag_s = 0.0

    async def start(self) -> None:
        """Find out who the daemon is.

        Raises:
            UnreachableError: nobody answers there.
            FailureError: it does not let us in.
        """
        self._link, result = await self._hello()
        self.server_id = result["server_id"]
        self.limit_bytes = result["limits"]["message_bytes"]

    async def stop(self) -> None:
        """Leave."""
        if self._link is not None:
            await self._link.close()

    async def watch(self) -> None:
        """Look again and again, until something is wrong.

        Raises:
            FailureError: it is.
        """
        looks = 0
        lag = asyncio.create_task(self._measure_lag(), name="fuzz.lag")
        try:
            while True:
                await self.look()
                looks += 1
                if looks % IDENTITY_EVERY == 0:
                    await self.check_identity()
                await asyncio.sleep(EVERY_S)
        except (LinkEndedError, UnreachableError, OSError) as error:
            msg = f"the daemon is gone, or has ended a connection that did nothing wrong: {error}"
            raise FailureError(msg, "daemon_gone") from None
        finally:
            lag.cancel()

    async def look(self) -> None:
        """Ping once, and look at its size.

        Raises:
            FailureError, LinkEndedError: as for `watch`.
        """
        assert self._link is not None  # noqa: S101 -- `start` comes first
        started, self._lag_s = time.monotonic(), 0.0
        await self.ask(self._link, "ping", {})
        took = time.monotonic() - started - self._lag_s  # what our own loop was late is not the daemon's fault
        self._tally.slowest_ping_s = max(self._tally.slowest_ping_s, took)
        if took > PING_S:
            msg = f"a ping of another client took {took:.2f} s"
            raise FailureError(msg, "slow")
        rss = _rss_bytes(self._pid)
        self._tally.peak_rss_bytes = max(self._tally.peak_rss_bytes, rss)
        if rss > self._max_rss_bytes:
            msg = f"the daemon has grown to {rss >> 20} MiB; {self._max_rss_bytes >> 20} are allowed"
            raise FailureError(msg, "memory")

    async def check_identity(self) -> None:
        """See that it is the same daemon still.

        Raises:
            FailureError, UnreachableError: it is not.
        """
        link, result = await self._hello()
        await link.close()
        if result["server_id"] != self.server_id:
            msg = f"the daemon was started again: server_id was {self.server_id}, is {result['server_id']}"
            raise FailureError(msg, "restarted")

    async def ask(self, link: Link, command: str, *wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """Send a request for each of these parameters, and wait for the answers; give them in the order asked.

        Raises:
            FailureError: one does not come.
            LinkEndedError: the connection is over.
        """
        for number, parameters in enumerate(wanted):
            request = {"id": f"w{number}", "command": command, "parameters": parameters}
            await link.send(json.dumps(request).encode())
        answers: dict[str, dict[str, Any]] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(answers) < len(wanted):
                    answer = json.loads(await link.receive())
                    answers[answer["id"]] = answer
        except TimeoutError:
            msg = f"{command} of another client has no answer after {PATIENCE_S:g} s"
            raise FailureError(msg, "hangs") from None
        return [answers[f"w{number}"] for number in range(len(wanted))]

    async def delete(self, sessions: Collection[str]) -> None:
        """Delete sessions for good: nothing is left of a conversation.

        Raises:
            FailureError, LinkEndedError: as for `ask`.
        """
        assert self._link is not None  # noqa: S101 -- `start` comes first
        gone = [{"session_id": session_id, "save_state": False} for session_id in sessions]
        answers = await self.ask(self._link, "close_session", *gone)
        for wish, answer in zip(gone, answers, strict=True):
            if answer.get("code") == "session_closed":
                await self.ask(self._link, "restore_session", {"session_id": wish["session_id"], "reopen": True})
                await self.ask(self._link, "close_session", wish)

    async def foreign_images(self) -> list[str]:
        """List images that are connected and none of ours."""
        assert self._link is not None  # noqa: S101 -- `start` comes first
        (answer,) = await self.ask(self._link, "list_images", {})
        listed = answer.get("result", {}).get("images", [])
        return [image["image_id"] for image in listed if image["status"] == "connected"]

    async def _hello(self) -> tuple[Link, dict[str, Any]]:
        link = await open_link(self._url)
        parameters = {"role": "client", "protocol": ["1.0.0"], "token": self._token}
        (answer,) = await self.ask(link, "hello", parameters)
        if answer.get("status") != "success":
            await link.close()
            msg = f"the daemon does not let the fuzzer in: {answer.get('error')}"
            raise FailureError(msg, "not_let_in")
        result: dict[str, Any] = answer["result"]
        return link, result

    async def _measure_lag(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_LAG_STEP_S)
            self._lag_s += max(0.0, time.monotonic() - before - _LAG_STEP_S - 0.005)


def _rss_bytes(pid: int | None) -> int:
    """How much memory a process of this machine has; 0 where that cannot be told."""
    if pid is None:
        return 0
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
