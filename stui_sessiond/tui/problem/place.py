"""Where in the source is an error? As far as it says so, or its words can be found there. Pure."""

import re
from collections.abc import Callable

import msgspec

from stui_sessiond.printable import printable
from stui_sessiond.tui.smalltalk.lexer import Kind, Token, lex
from stui_sessiond.tui.smalltalk.passage import place_of
from stui_sessiond.wire.messages.development import SmalltalkError

CONTEXT_LINES = 2
"""Lines of source shown before and after."""

_LINE_COLUMN = re.compile(r"line (\d+),? column (\d+)", re.IGNORECASE)
_UNKNOWN = re.compile(r"([^\W\d]\w*) is not defined|(?:undeclared|unknown) variable:? +#?([^\W\d]\w*)", re.IGNORECASE)
_NOT_UNDERSTOOD = re.compile(r"(?:does not understand|doesNotUnderstand:?) *#?([^\s#]+)", re.IGNORECASE)


class SourcePlace(msgspec.Struct, frozen=True):
    """A place in source; row and column from 0."""

    source: str
    row: int
    column: int
    guessed: bool = False
    """The error did not name the place; its words were found there."""

    def excerpt(self) -> list[str]:
        """Write the lines around the place, numbered, with a mark below the place."""
        lines = self.source.split("\n")
        first = max(self.row - CONTEXT_LINES, 0)
        written = []
        for row, line in enumerate(lines[first : self.row + CONTEXT_LINES + 1], first):
            written.append(f"{row + 1:4} {printable(line.expandtabs(4))}")
            if row == self.row:
                before = printable(line[: self.column].expandtabs(4))
                written.append(f"     {' ' * len(before)}^{' perhaps here' if self.guessed else ' here'}")
        return written


def position_in(source: str, position: int | None, line: int | None = None) -> SourcePlace | None:
    """Find the character, from 1, that an image names, or else the line, from 1."""
    lines = source.split("\n")
    if position is not None and position >= 1:
        row, column = place_of(source, min(position - 1, len(source)))
        return SourcePlace(source, row, column)
    if line is not None and 1 <= line <= len(lines):
        return SourcePlace(source, line - 1, len(lines[line - 1]) - len(lines[line - 1].lstrip()))
    return None


def place_of_error(error: SmalltalkError, code: str) -> SourcePlace | None:
    """Find the place of an error in the code that was evaluated; None if nothing tells."""
    message = error.message or ""
    named = _LINE_COLUMN.search(message)
    lines = code.split("\n")
    if named is not None:
        row = min(int(named[1]) - 1, len(lines) - 1)
        return SourcePlace(code, max(row, 0), min(max(int(named[2]) - 1, 0), len(lines[max(row, 0)])))
    unknown = _UNKNOWN.search(message)
    if unknown is not None:
        name = unknown[1] or unknown[2]
        return _found(code, lambda one: code[one.start : one.end] == name)
    outermost = error.stack[-1] if error.stack else None
    if outermost is not None and outermost.line is not None and outermost.line <= len(lines):
        return position_in(code, None, outermost.line)
    refused = _NOT_UNDERSTOOD.search(message)
    if refused is not None:
        part = re.match(r"[^:]+:?", refused[1])
        return None if part is None else _found(code, lambda one: code[one.start : one.end] == part[0])
    return None


def _found(code: str, wanted: Callable[[Token], bool]) -> SourcePlace | None:
    quiet = {Kind.COMMENT, Kind.STRING, Kind.SYMBOL, Kind.CHARACTER}
    found = [one for one in lex(code) if one.kind not in quiet and wanted(one)]
    if not found:
        return None
    row, column = place_of(code, found[0].start)
    return SourcePlace(code, row, column, guessed=True)
