"""Alt and a digit, as terminals send them."""

from __future__ import annotations

import subprocess
import sys

_READ = (
    "from stui_sessiond.tui.alt_digits import tell_alt_digits\n"
    "from textual._xterm_parser import XTermParser\n"
    "tell_alt_digits()\n"
    "for typed in ('\\x1b1', '\\x1b9', '\\u00a3', '1'):\n"
    "    parser = XTermParser()\n"
    "    print(*(event.key for event in [*parser.feed(typed), *parser.feed('')]))\n"
)


def test_alt_and_a_digit_is_told_as_such() -> None:
    """ESC and a digit is Alt; a sign of a keyboard is itself. In a process of its own: it is a table of Textual's."""
    done = subprocess.run([sys.executable, "-c", _READ], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["alt+1", "alt+9", "pound_sign", "1"]
