"""Which method a source defines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.tui.smalltalk.selector import selector_of


@pytest.mark.parametrize(
    ("source", "selector"),
    [
        ("count ^ count", "count"),
        ('"first a comment" at: key put: value\n\t^ 3', "at:put:"),
        ("+ other\n\t^ self", "+"),
        ("next: step\n\tcount := count + step. self foo: 3 bar: 4", "next:"),
        ("Upper: x ^ x", "Upper:"),
        ("", None),
        ("+", None),
        ("at: 3", None),
        ("^ 3", None),
    ],
)
def test_selector_of_source(source: str, selector: str | None) -> None:
    """The pattern tells, whatever comes before and after."""
    assert selector_of(source) == selector


@given(st.lists(st.from_regex(r"[a-z][a-zA-Z0-9]{0,5}", fullmatch=True), min_size=1, max_size=4), st.text(max_size=30))
def test_any_keyword_pattern(parts: list[str], body: str) -> None:
    """The selector is the keywords of the pattern, whatever the body is."""
    pattern = " ".join(f"{part}: arg" for part in parts)
    assert selector_of(f"{pattern}\n\t^ 3. {body}") == "".join(f"{part}:" for part in parts)
