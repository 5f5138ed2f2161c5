"""What happened, and why? Each lost connection and each error has a cause made on purpose, or is a complaint."""

from collections import Counter
from collections.abc import Callable

Expected = Callable[[str], str | None]
"""Given the code of an error, why it is right; None when it is not."""

MAX_EXAMPLES = 5
"""Of each kind of complaint so many are told in full."""


def unexpected(code: str) -> str | None:
    """No error is right."""
    del code
    return None


class Account:
    """Counts what was expected by its cause, and keeps what was not."""

    def __init__(self, say: Callable[[str], None] = lambda _text: None) -> None:
        self._say = say
        self.done: Counter[str] = Counter()
        """What was asked for and worked."""
        self.causes: Counter[str] = Counter()
        """What broke or was refused because we made it so."""
        self.complaints: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def complain(self, kind: str, example: str) -> None:
        """Note what must never be."""
        self.complaints[kind] += 1
        kept = self.examples.setdefault(kind, [])
        if len(kept) < MAX_EXAMPLES:
            kept.append(example[:1000])
            self._say(f"! {kind}: {example[:1000]}")

    def expect(self, kind: str, cause: str | None, example: str) -> None:
        """Count what happened under its cause; without one, complain."""
        if cause is None:
            self.complain(kind, example)
        else:
            self.causes[cause] += 1
