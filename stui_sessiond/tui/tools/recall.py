"""What was evaluated here before, and how does a person go back through it? Pure."""

import msgspec

MAX_ENTRIES = 200
"""Pieces of code that are kept for a tool: what anybody goes back to by hand."""
MAX_ENTRY_CHARS = 10_000
"""Longer code is not kept here: it is in the list of evaluations, and in the text."""
MAX_CHARS = 100_000
"""All of it together, so that the stored session stays small."""


class Recall(msgspec.Struct):
    """Code that was evaluated, the oldest first, and where a person is in it."""

    entries: list[str] = []
    at: int | None = None
    """Which one is shown; None: none, before the newest."""

    def note(self, code: str) -> None:
        """Keep a piece of code as the newest; once, if it is the newest already."""
        self.at = None
        if not code.strip() or len(code) > MAX_ENTRY_CHARS:
            return
        kept = [one for one in self.entries if one != code]
        kept.append(code)
        while len(kept) > MAX_ENTRIES or sum(len(one) for one in kept) > MAX_CHARS:
            del kept[0]
        self.entries = kept

    def older(self) -> str | None:
        """Go to the one before; None, and stay, when there is none."""
        at = len(self.entries) if self.at is None else self.at
        if at == 0:
            return None
        self.at = at - 1
        return self.entries[self.at]

    def newer(self) -> str | None:
        """Go to the one after; None, and leave the list, when there is none."""
        if self.at is None:
            return None
        if self.at + 1 >= len(self.entries):
            self.at = None
            return None
        self.at += 1
        return self.entries[self.at]
