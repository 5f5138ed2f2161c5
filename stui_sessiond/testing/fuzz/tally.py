"""What was done and seen so far, and what went wrong?"""

from collections import Counter
from typing import Any

from msgspec import Struct

from stui_sessiond.testing.fuzz.script import Script

WORKED = "ok"


class Failure(Struct, frozen=True):
    """Something that must not happen."""

    kind: str
    """A word: the same for the same mistake, so that a smaller script is known to show it too."""
    text: str
    script: Script | None = None
    seed: int | None = None
    """The seed whose first conversation it is."""
    heard: tuple[tuple[str, Any], ...] = ()
    """What went over the wire: `>` and bytes that were sent, `<` and messages that came, in order."""


class FailureError(Exception):
    """A conversation came upon a failure."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class Tally:
    """Counts of a run."""

    def __init__(self) -> None:
        self.conversations = 0
        self.requests = 0
        self.hostile = 0
        self.events = 0
        self.relayed = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """By command and outcome: a code, or `ok`. Messages that were no request count under `-`."""
        self.slowest_ping_s = 0.0
        self.peak_rss_bytes = 0

    def add(self, other: "Tally") -> None:
        """Take in the counts of another run."""
        self.conversations += other.conversations
        self.requests += other.requests
        self.hostile += other.hostile
        self.events += other.events
        self.relayed += other.relayed
        self.outcomes.update(other.outcomes)
        self.slowest_ping_s = max(self.slowest_ping_s, other.slowest_ping_s)
        self.peak_rss_bytes = max(self.peak_rss_bytes, other.peak_rss_bytes)

    def line(self, seconds: float) -> str:
        """Say in one line how it goes."""
        rate = self.requests / seconds if seconds else 0.0
        return (
            f"{seconds:6.0f} s  {self.requests} messages ({rate:.0f}/s), {self.hostile} of them hostile, "
            f"{self.conversations} conversations, {self.events} events, {len(self.outcomes)} outcomes, "
            f"slowest ping {self.slowest_ping_s * 1000:.0f} ms"
        )

    def as_dict(self) -> dict[str, Any]:
        """Give the same for a script."""
        by_command: dict[str, dict[str, int]] = {}
        for (command, outcome), count in sorted(self.outcomes.items()):
            by_command.setdefault(command, {})[outcome] = count
        return {
            "messages": self.requests,
            "hostile": self.hostile,
            "conversations": self.conversations,
            "events": self.events,
            "relayed": self.relayed,
            "slowest_ping_ms": round(self.slowest_ping_s * 1000, 1),
            "peak_rss_bytes": self.peak_rss_bytes or None,
            "outcomes": by_command,
        }

    def table(self) -> str:
        """Write a line for each command: what came of it, how often."""
        lines = []
        for command, outcomes in self.as_dict()["outcomes"].items():
            ordered = sorted(outcomes.items(), key=lambda item: (item[0] != WORKED, -item[1]))
            lines.append(f"{command:22} " + ", ".join(f"{name} {count}" for name, count in ordered))
        return "\n".join(lines)
