"""Which code is meant by the cursor alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.tui.smalltalk.passage import Place, moved, offset_of, passage_at, place_of

WORKSPACE = """c := Counter new.
c increment; increment

items
    do: [:each |
        Transcript show: each.

        each foo]
    separatedBy: [x]

x :=
3 + 4
7
'a string

over lines' size
| a b |
a := 3.
c
"""


def code_at(row: int, text: str = WORKSPACE) -> str | None:
    """The code at a line."""
    found = passage_at(text.split("\n"), row)
    return None if found is None else found.code


@pytest.mark.parametrize(
    ("row", "first", "last"),
    [
        (0, 0, 0),
        (1, 1, 1),
        (3, 3, 8),
        (6, 3, 8),
        (8, 3, 8),
        (10, 10, 11),
        (11, 10, 11),
        (12, 12, 12),
        (14, 13, 15),
        (16, 16, 16),
        (18, 18, 18),
    ],
)
def test_lines_that_belong_together(row: int, first: int, last: int) -> None:
    """The same lines are found from each of them."""
    assert code_at(row) == "\n".join(WORKSPACE.split("\n")[first : last + 1]).strip()


@pytest.mark.parametrize("row", [2, 9, 19])
def test_nothing_at_a_blank_line(row: int) -> None:
    """At a blank line there is nothing to evaluate."""
    assert code_at(row) is None


def test_passage_has_its_place() -> None:
    """Start and end leave out the white space around the code."""
    found = passage_at(["", "    3 + 4   "], 1)
    assert found is not None
    assert (found.start, found.end, found.code) == (Place(1, 4), Place(1, 9), "3 + 4")


def test_open_bracket_does_not_swallow_the_rest() -> None:
    """A bracket that nobody closed ends at a blank line before code that is not indented."""
    text = "items do: [:each |\n    each foo\n\n3 + 4"
    assert (code_at(0, text), code_at(3, text)) == ("items do: [:each |\n    each foo", "3 + 4")


LINES = st.lists(
    st.sampled_from(["", " ", "x", "  y", "a:", "[", "]", "'", '"', "foo.", ";", "^", "| t |", ":="]), min_size=1,
    max_size=12,
)  # fmt: skip


@given(LINES, st.data())
def test_any_line_has_one_passage(lines: list[str], data: st.DataObject) -> None:
    """A passage contains its line, is part of the text, and is found from each of its lines that are not blank."""
    row = data.draw(st.integers(0, len(lines) - 1))
    found = passage_at(lines, row)
    if found is None:
        assert not lines[row].strip()
        return
    text = "\n".join(lines)
    assert text[offset_of(lines, found.start) : offset_of(lines, found.end)] == found.code
    for other in range(found.start.row, found.end.row + 1):
        assert passage_at(lines, other) == found


@given(st.text("ab\n", max_size=30), st.integers(0, 40))
def test_offset_and_place_are_the_same(text: str, offset: int) -> None:
    """An offset within the text comes back from its line and column."""
    assert offset_of(text.split("\n"), place_of(text, offset)) == min(offset, len(text))


@given(st.text("ab\n", max_size=20), st.text("xy\n", max_size=6), st.data())
def test_place_moves_with_its_text(text: str, new: str, data: st.DataObject) -> None:
    """What follows a replaced part is found where its place has moved to."""
    top, bottom = sorted(data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    changed = text[:top] + new + text[bottom:]
    for offset in range(len(text) + 1):
        after = moved(
            place_of(text, offset), place_of(text, top), place_of(text, bottom), place_of(changed, top + len(new))
        )
        wanted = offset if offset < top else max(offset - bottom, 0) + top + len(new)
        assert after == place_of(changed, wanted)
