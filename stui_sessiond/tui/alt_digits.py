"""How does Alt with a digit reach the bindings? Textual 8 takes it for the sign that a Mac writes with Option.

Terminals send ESC and the digit for Alt+1, and the sign itself where Option writes signs. Without these entries the
first is `alt+1`, and the second stays what it is.
"""

from typing import Any, cast

from textual import _ansi_sequences

DIGITS = "0123456789"


def tell_alt_digits() -> None:
    """Have Alt and a digit be told as such, in this process."""
    table = cast("dict[str, Any]", _ansi_sequences.ANSI_SEQUENCES_KEYS)
    for digit in DIGITS:
        table.pop(f"\x1b{digit}", None)
