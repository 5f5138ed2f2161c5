"""A plain connection of lines, for what is asked beside the measuring: filling a daemon with sessions."""

import json
import socket
from collections.abc import Sequence
from typing import Any, Self

from benchmarks.harness.daemon import Daemon
from benchmarks.harness.process import DEADLINE_S, BenchmarkError

UNDER_WAY = 50
"""Below the daemon's bound of 64 for one connection."""


class Line:
    """Asks many things at once, and waits for all the answers."""

    def __init__(self, daemon: Daemon, token: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", daemon.lines_port), DEADLINE_S)
        self._file = self._socket.makefile("rb")
        self.ask([("hello", {"role": "client", "token": token})])

    def ask(self, requests: Sequence[tuple[str, dict[str, object]]]) -> list[Any]:
        """The results of requests, in their order.

        Raises:
            BenchmarkError: one was refused.
        """
        results: list[Any] = [None] * len(requests)
        for start in range(0, len(requests), UNDER_WAY):
            batch = requests[start : start + UNDER_WAY]
            sent = [
                {"id": str(number), "command": command, "parameters": parameters}
                for number, (command, parameters) in enumerate(batch)
            ]
            self._socket.sendall("".join(json.dumps(message) + "\n" for message in sent).encode())
            for _ in batch:
                reply = self.next_message()
                if reply.get("status") != "success":
                    raise BenchmarkError(str(reply))
                results[start + int(reply["id"])] = reply["result"]
        return results

    def next_message(self) -> dict[str, Any]:
        """The next that comes.

        Raises:
            BenchmarkError: nothing comes any more.
        """
        line = self._file.readline()
        if not line:
            msg = "the daemon closed the connection"
            raise BenchmarkError(msg)
        message: dict[str, Any] = json.loads(line)
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()


PER_CLIENT = 5
"""More sessions a client may not have."""


def fill(daemon: Daemon, first: int, last: int, images: int = 0) -> None:
    """Make the sessions with the numbers from `first` to below `last`, each with a state of 300 bytes."""
    state = {"stamp": 1, "cursor": [3, 14], "theme": "dark", "text": "x" * 240}
    with Line(daemon, daemon.token) as line:
        for start in range(first, last, UNDER_WAY):
            numbers = range(start, min(start + UNDER_WAY, last))
            wishes: list[tuple[str, dict[str, object]]] = []
            for number in numbers:
                wish: dict[str, object] = {"client_id": f"stored-{number // PER_CLIENT}"}
                if images:
                    wish["image_id"] = f"bench-{number % images:05d}"
                wishes.append(("create_session", wish))
            made = line.ask(wishes)
            line.ask(
                [("update_session_state", {"session_id": each["session_id"], "state_data": state}) for each in made]
            )
