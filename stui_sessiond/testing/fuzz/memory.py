"""What have earlier requests and answers told that a later request may use? By the names of fields."""

from collections import deque
from typing import Any, Final

from stui_sessiond.testing.fuzz.values import Ref

KEPT: Final = 16
"""So many values of one name: the newest are the interesting ones."""

MAX_NODES: Final = 200
"""How much of one answer is looked at."""

ALIASES: Final = {
    "since": "position",
    "expected_version": "version",
    "before_version": "version",
    "to_client_id": "client_id",
    "request_id": "id",
    "unanswered": "in_flight",
}
"""Parameters that are called otherwise than what they take."""

FOREIGN: Final = frozenset({"image_id", "connected"})
"""Not taken from answers: an image that somebody works with is left alone."""

_SCALARS = (str, int, float)
_MAX_TEXT = 400


class Memory:
    """Values by the name of their field."""

    def __init__(self) -> None:
        self._values: dict[str, deque[Any]] = {}

    def knows(self, name: str) -> bool:
        """Tell whether there is a value for a parameter of this name."""
        return ALIASES.get(name, name) in self._values

    def put(self, name: str, value: object) -> None:
        """Keep one value."""
        kept = self._values.setdefault(name, deque(maxlen=KEPT))
        if value not in kept:
            kept.append(value)

    def learn(self, tree: object) -> None:
        """Keep what an answer or the parameters of a request hold."""
        waiting = [tree]
        for _ in range(MAX_NODES):
            if not waiting:
                return
            node = waiting.pop()
            if isinstance(node, list):
                waiting += node[:KEPT]
            elif isinstance(node, dict):
                for name, value in node.items():
                    self._learn_field(name, value)
                    waiting.append(value)

    def _learn_field(self, name: str, value: object) -> None:
        if name in FOREIGN or isinstance(value, bool | Ref):
            return
        is_short = isinstance(value, _SCALARS) and len(str(value)[: _MAX_TEXT + 1]) <= _MAX_TEXT
        is_position = isinstance(value, dict) and value.keys() == {"epoch", "seq"}
        if is_short or is_position or name == "in_flight":
            self.put(name, value)

    def look_up(self, wanted: Ref) -> object:
        """Give what a reference stands for; something made up where there is nothing."""
        kept = self._values.get(ALIASES.get(wanted.name, wanted.name))
        if not kept:
            return f"no-{wanted.name}"
        return kept[-1 - wanted.back % len(kept)]

    def all(self, name: str) -> list[Any]:
        """List the values of a name, the oldest first."""
        return list(self._values.get(name, ()))
