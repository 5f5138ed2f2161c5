"""Alt and a key, as terminals send them."""

from __future__ import annotations

import subprocess
import sys

import pytest

_READ = """
import sys
from stui_sessiond.tui.alt_keys import tell_alt_keys
from textual._xterm_parser import XTermParser
tell_alt_keys()
for typed in sys.argv[1:]:
    print(*(event.key for event in XTermParser().feed(typed)))
"""


def told(*typed: str) -> list[str]:
    """The keys that are told at once, without waiting for more; in a process of its own: it is a table of Textual's."""
    done = subprocess.run([sys.executable, "-c", _READ, *typed], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_alt_and_a_key_is_told_as_such_at_once() -> None:
    """ESC and a letter, a digit or a sign is Alt; a sign of a keyboard is itself."""
    assert told("\x1bp", "\x1b1", "\x1b9", "\x1b/", "\x1b.") == [
        "alt+p",
        "alt+1",
        "alt+9",
        "alt+slash",
        "alt+full_stop",
    ]
    assert told("\u00a3", "1", "p") == ["pound_sign", "1", "p"]


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        pytest.param("\x1bp\x1b[B", "alt+p down", id="an-arrow-after-it"),
        pytest.param("\x1bp\x1bp", "alt+p alt+p", id="held-down"),
        pytest.param("\x1bdx\x1bOP", "alt+d x f1", id="a-letter-and-a-function-key"),
        pytest.param("\x1bb\x1bf", "ctrl+left ctrl+right", id="words-on-a-mac"),
        pytest.param("\x1b[1;3A\x1b[A", "alt+up up", id="arrows"),
    ],
)
def test_alt_and_a_key_with_more_in_one_packet(typed: str, keys: str) -> None:
    """What a slow line brings together is told as the keys that were pressed; nothing of it gets into the text."""
    assert told(typed) == [keys]
