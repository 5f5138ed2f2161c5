"""How does Alt with a key reach the bindings? Textual 8 waits 0.1 s for more after ESC and a letter, and may then err.

Terminals send ESC and the letter for Alt+P. When another key that begins with ESC comes before that time is over (an
arrow after it, the key held down, both in one packet of a slow line), Textual writes `^p` into the text. It takes ESC
and a digit for the sign that a Mac writes with Option, and ESC and a slash for a slash. With these entries each of them
is told as what it is, at once.
"""

import string
from typing import Any, NamedTuple, cast

from textual import _ansi_sequences

PUNCTUATION = {"/": "slash", ".": "full_stop"}
"""Signs that keys of ours have with Alt; not `[` and the like, with which other sequences begin."""


class _Told(NamedTuple):
    """A key as the table has it."""

    value: str


def tell_alt_keys() -> None:
    """Have Alt and a letter, a digit or a sign be told as such, in this process."""
    table = cast("dict[str, Any]", _ansi_sequences.ANSI_SEQUENCES_KEYS)
    names = {character: character for character in string.ascii_lowercase + string.digits} | PUNCTUATION
    for character, name in names.items():
        if character not in "bf":  # a Mac sends them for Option with an arrow: a word back and forward
            table[f"\x1b{character}"] = (_Told(f"alt+{name}"),)
