"""Can two changes of the same source both be kept? A three-way merge of lines. Pure.

Lines that neither side touched hold the texts together; what is between two such places is taken from the side that
changed it. Where both did, differently, it is a conflict.
"""

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Final

import msgspec

MAX_CHARS: Final = 256 * 1024
"""Of each text; methods are a thousand times shorter, and the texts travel once more with the answer."""

MAX_LINES: Final = 300
"""Of each text between the first and the last line that differ. Comparing takes time that grows with the third power of
that in the worst case: here half a second of a thread."""


class Clash(msgspec.Struct, frozen=True):
    """Lines that both sides changed, as each has them."""

    base: tuple[str, ...]
    yours: tuple[str, ...]
    present: tuple[str, ...]


class Merge(msgspec.Struct, frozen=True):
    """What came of it. `text` is None when there are clashes, or when the texts are too long to be compared."""

    text: str | None
    clashes: tuple[Clash, ...] = ()


_Block = tuple[int, int, int]
"""Lines that two texts share: where in one, where in the other, how many."""


def merge_sources(base: str, yours: str, present: str) -> Merge:
    """Merge what two sides made of `base`. Line ends are those of the texts; the caller makes them alike."""
    if present in {yours, base}:
        return Merge(yours)
    if yours == base:
        return Merge(present)
    if max(len(base), len(yours), len(present)) > MAX_CHARS:
        return Merge(None)
    texts = [text.split("\n") for text in (base, yours, present)]
    head = _shared(texts)
    tail = _shared([text[head:][::-1] for text in texts])
    cores = [text[head : len(text) - tail] for text in texts]
    if max(map(len, cores)) > MAX_LINES:
        return Merge(None)
    lines, clashes = _merge(*cores)
    if clashes:
        return Merge(None, tuple(clashes))
    return Merge("\n".join([*texts[0][:head], *lines, *texts[0][len(texts[0]) - tail :]]))


def _shared(texts: list[list[str]]) -> int:
    """How many lines at the beginning are the same in all."""
    count = 0
    for lines in zip(*texts, strict=False):
        if len(set(lines)) > 1:
            break
        count += 1
    return count


def _merge(base: list[str], yours: list[str], present: list[str]) -> tuple[list[str], list[Clash]]:
    lines: list[str] = []
    clashes: list[Clash] = []
    ends = (0, 0, 0)
    for starts, count in _anchors(base, yours, present):
        here, mine, theirs = (
            text[end:start] for text, end, start in zip((base, yours, present), ends, starts, strict=True)
        )
        if mine in (theirs, here):
            lines += theirs
        elif theirs == here:
            lines += mine
        else:
            clashes.append(Clash(tuple(here), tuple(mine), tuple(theirs)))
        lines += base[starts[0] : starts[0] + count]
        ends = (starts[0] + count, starts[1] + count, starts[2] + count)
    return lines, clashes


def _anchors(base: list[str], yours: list[str], present: list[str]) -> Iterator[tuple[tuple[int, int, int], int]]:
    """Runs of lines that all three share: where they begin in each, and how long they are. The last one is empty."""
    left, right = _blocks(base, yours), _blocks(base, present)
    while left and right:
        (at, mine, mine_count), (other, theirs, theirs_count) = left[0], right[0]
        start, end = max(at, other), min(at + mine_count, other + theirs_count)
        if start < end:
            yield (start, mine + start - at, theirs + start - other), end - start
        if at + mine_count <= other + theirs_count:
            left.pop(0)
        else:
            right.pop(0)
    yield (len(base), len(yours), len(present)), 0


def _blocks(base: list[str], other: list[str]) -> list[_Block]:
    found = SequenceMatcher(None, base, other, autojunk=False).get_matching_blocks()
    return [(at, there, count) for at, there, count in found if count]
