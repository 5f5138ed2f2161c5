"""Which lines of a stream are kept? The newest ones, within two bounds. Pure."""

from collections import deque
from collections.abc import Iterator

MAX_LINES = 20_000
"""Lines that are kept: an evening's reading."""
MAX_CHARS = 8_000_000
"""All of them together: 8 to 32 MB in memory, however long the lines are."""
MAX_LINE_CHARS = 4_000
"""A longer line is cut into several: no terminal shows more at once, and drawing costs what a line is long."""


class LineRing:
    """Lines, the oldest first; each has a number that it keeps while older ones are dropped."""

    def __init__(self, max_lines: int = MAX_LINES, max_chars: int = MAX_CHARS) -> None:
        self.max_lines = max_lines
        self.max_chars = max_chars
        self.dropped = 0
        """Lines that are gone: the number of the first one that is kept."""
        self.chars = 0
        self._lines: deque[str] = deque()
        self._open = False

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def line(self, index: int) -> str:
        """Give the line at an index, 0 the oldest that is kept."""
        return self._lines[index]

    def window(self, first: int, count: int) -> list[str]:
        """Give some lines in a row; fewer at the ends."""
        last = min(first + count, len(self._lines))
        return [self._lines[index] for index in range(max(first, 0), last)]

    def write(self, text: str) -> int:
        """Put text behind what is there, and tell how many of the oldest lines went for it.

        The last line goes on with the next text until it has its end.
        """
        before = self.dropped
        parts = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for number, part in enumerate(parts):
            if number == len(parts) - 1 and not part:
                break
            self._add(part)
            self._open = number == len(parts) - 1
        while len(self._lines) > self.max_lines or (self.chars > self.max_chars and len(self._lines) > 1):
            self.chars -= len(self._lines.popleft())
            self.dropped += 1
        return self.dropped - before

    def _add(self, part: str) -> None:
        if self._open and self._lines:
            part = self._lines[-1] + part
            self.chars -= len(self._lines.pop())
        self._open = False
        for start in range(0, max(len(part), 1), MAX_LINE_CHARS):
            piece = part[start : start + MAX_LINE_CHARS]
            self._lines.append(piece)
            self.chars += len(piece)

    def clear(self) -> None:
        """Drop everything."""
        self.dropped += len(self._lines)
        self._lines.clear()
        self.chars = 0
        self._open = False

    def find(self, words: str, start: int, *, backwards: bool = False) -> int | None:
        """Find the next line with these words in it, whatever their case, from an index on and around."""
        wanted, count = words.casefold(), len(self._lines)
        if not wanted or not count:
            return None
        lines = [one.casefold() for one in self._lines]
        order = range(start, start - count, -1) if backwards else range(start, start + count)
        return next((index % count for index in order if wanted in lines[index % count]), None)
