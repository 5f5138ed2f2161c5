"""Which code does a person mean who selected nothing? The lines at the cursor that belong together. Pure.

Nobody ends each line of a workspace with a period, so periods say little. What belongs together: lines within open
brackets, strings and comments; lines that begin or end where code cannot; and lines that are indented below another.
"""

from collections.abc import Sequence
from typing import NamedTuple

from stui_sessiond.tui.smalltalk.lexer import Inside, Kind, Token, lex_line, line_states


class Place(NamedTuple):
    """A place in a text: line and column, from 0, as `TextArea` has it."""

    row: int
    column: int


class Passage(NamedTuple):
    """A part of a text, and its code."""

    start: Place
    end: Place
    code: str


_NEEDS_MORE = {Kind.ASSIGNMENT, Kind.KEYWORD, Kind.BINARY, Kind.CASCADE, Kind.RETURN}
"""Code does not end with one of these."""
_GOES_ON = {Kind.ASSIGNMENT, Kind.KEYWORD, Kind.BINARY, Kind.CASCADE, Kind.CLOSE}
"""Code does not begin with one of these."""


def passage_at(lines: Sequence[str], row: int) -> Passage | None:
    """Find the lines around `row` that belong together; None when there is nothing but white space."""
    goes_on = _joined(lines)
    if not lines[row].strip() and not goes_on[row]:
        return None
    first = row
    while first > 0 and goes_on[first]:
        first -= 1
    last = row
    while last + 1 < len(lines) and goes_on[last + 1]:
        last += 1
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last].strip():
        last -= 1
    head = len(lines[first]) - len(lines[first].lstrip())
    end = Place(last, len(lines[last].rstrip()))
    code = "\n".join(lines[first : last + 1])
    return Passage(Place(first, head), end, code.strip())


def _joined(lines: Sequence[str]) -> list[bool]:
    """Tell for each line whether it belongs to the one before it."""
    states = line_states(lines)
    goes_on: list[bool] = []
    depth = 0
    last: Token | None = None
    first_row = 0
    for row, line in enumerate(lines):
        tokens, _ = lex_line(line, states[row])
        code = [one for one in tokens if one.kind is not Kind.COMMENT]
        if depth > 0 and row and _starts_anew(lines, row, code):
            depth = 0
        if states[row] is not Inside.CODE or depth > 0:
            joined = True
        elif not line.strip() or row == 0 or not lines[row - 1].strip():
            joined = False
        else:
            joined = _belongs(lines, first_row, row, code, last)
        goes_on.append(joined)
        if not joined:
            first_row = row
            last = None
        for one in code:
            depth += (one.kind is Kind.OPEN) - (one.kind is Kind.CLOSE)
        depth = max(depth, 0)
        last = code[-1] if code else last
    return goes_on


def _starts_anew(lines: Sequence[str], row: int, code: Sequence[Token]) -> bool:
    """Tell whether a line is so far from the open bracket before it that the bracket must be a mistake."""
    return not lines[row - 1].strip() and bool(code) and code[0].kind is not Kind.CLOSE and not _indent(lines[row])


def _belongs(lines: Sequence[str], first_row: int, row: int, code: Sequence[Token], last: Token | None) -> bool:
    if last is not None and last.kind is Kind.PERIOD:
        return _indent(lines[row]) > _indent(lines[first_row])
    if last is not None and last.kind in _NEEDS_MORE and not _is_bar(lines[row - 1], last):
        return True
    if code and code[0].kind in _GOES_ON and not _is_bar(lines[row], code[0]):
        return True
    return _indent(lines[row]) > _indent(lines[first_row])


def _is_bar(line: str, token: Token) -> bool:
    """Tell whether a token is a bar around temporaries, and no operator."""
    return line[token.start : token.end] in {"|", "||"}


def _indent(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def place_of(text: str, offset: int) -> Place:
    """Write an offset as line and column; beyond the text, its end."""
    before = text[: max(offset, 0)]
    row = before.count("\n")
    return Place(row, len(before) - (before.rfind("\n") + 1))


def offset_of(lines: Sequence[str], place: tuple[int, int]) -> int:
    """Write line and column as an offset."""
    row, column = place
    return sum(len(line) + 1 for line in lines[:row]) + column


def moved(place: Place, top: Place, bottom: Place, new_end: Place) -> Place:
    """Tell where a place is after the text from `top` to `bottom` was replaced by one that ends at `new_end`.

    A place within what was replaced moves to the end of what replaced it.
    """
    if place < top:
        return place
    if place < bottom:
        return new_end
    if place.row == bottom.row:
        return Place(new_end.row, new_end.column + place.column - bottom.column)
    return Place(place.row + new_end.row - bottom.row, place.column)
