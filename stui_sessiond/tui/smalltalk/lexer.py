"""Which words is Smalltalk source made of? Pure; a line at a time, so that an editor lexes again only what changed.

Nothing is wrong for the lexer: what no rule fits is a token of kind `other`, so that half-typed code is coloured too.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

CACHED_LINES = 20_000
"""Lines whose tokens are remembered: those of all editors that are open, a few megabytes."""


class Kind(StrEnum):
    """What a token is."""

    COMMENT = "comment"
    STRING = "string"
    SYMBOL = "symbol"
    CHARACTER = "character"
    NUMBER = "number"
    KEYWORD = "keyword"
    """`at:`, one part of a selector."""
    GLOBAL = "global"
    """A name that begins with a capital letter: a class, most often."""
    PSEUDO = "pseudo"
    """`self`, `nil` and the like: names that nobody can assign."""
    NAME = "name"
    ASSIGNMENT = "assignment"
    RETURN = "return"
    BINARY = "binary"
    OPEN = "open"
    CLOSE = "close"
    PERIOD = "period"
    CASCADE = "cascade"
    OTHER = "other"


class Inside(StrEnum):
    """What the end of a line is in the middle of."""

    CODE = "code"
    COMMENT = "comment"
    STRING = "string"


class Token(NamedTuple):
    """A token of a line, or of a text: from `start` up to, not including, `end`."""

    kind: Kind
    start: int
    end: int


PSEUDO_VARIABLES = frozenset({"self", "super", "nil", "true", "false", "thisContext"})

_RULES: dict[Kind | str, str] = {
    "comment": r'"[^"]*"?',
    "string": r"'(?:[^']|'')*'?",
    "quoted": r"\#+'(?:[^']|'')*'?",
    "symbol": r"\#+(?:[^\W\d]\w*(?::[^\W\d]\w*)*:?|[-+*/\\~<>=@%|&?,!]+)",
    "open": r"\#[(\[{]|[(\[{]",
    "close": r"[)\]}]",
    "character": r"\$.?",
    "number": r"\d+r-?[0-9A-Z]+(?:\.[0-9A-Z]+)?|\d+(?:\.\d+)?(?:[edq]-?\d+)?(?:s\d*)?(?!\w)",
    "assignment": r":=|_(?!\w)",
    "keyword": r"[^\W\d]\w*:(?!=)",
    "name": r"[^\W\d]\w*",
    "return": r"\^",
    "period": r"\.",
    "cascade": r";",
    "binary": r"[-+*/\\~<>=@%|&?,!]+",
    "other": r"\S",
}
_TOKEN = re.compile("|".join(f"(?P<{name}>{rule})" for name, rule in _RULES.items()))
_REST = {Inside.COMMENT: re.compile(r'[^"]*"?'), Inside.STRING: re.compile(r"(?:[^']|'')*'?")}
_CLOSING = {Inside.COMMENT: '"', Inside.STRING: "'"}


@lru_cache(CACHED_LINES)
def lex_line(line: str, inside: Inside = Inside.CODE) -> tuple[tuple[Token, ...], Inside]:
    """Cut a line without its end into tokens; white space is between them.

    Args:
        line: the line.
        inside: what the line before ended in the middle of.

    Returns:
        The tokens with their columns, and what this line ends in the middle of.
    """
    tokens: list[Token] = []
    place = 0
    if inside is not Inside.CODE:
        rest = _REST[inside].match(line)
        place = 0 if rest is None else rest.end()
        if place:
            tokens.append(Token(Kind(inside.value), 0, place))
        if not _closes(line[:place], inside):
            return tuple(tokens), inside
    for found in _TOKEN.finditer(line, place):
        name, text = found.lastgroup or "other", found.group()
        tokens.append(Token(_kind(name, text), found.start(), found.end()))
        if found.end() == len(line):
            if name == "comment" and not _closes(text[1:], Inside.COMMENT):
                return tuple(tokens), Inside.COMMENT
            if name in {"string", "quoted"} and not _closes(text.lstrip("#")[1:], Inside.STRING):
                return tuple(tokens), Inside.STRING
    return tuple(tokens), Inside.CODE


def _closes(text: str, inside: Inside) -> bool:
    """Tell whether what follows the opening quote has the closing one; a doubled one within a string is none."""
    mark = _CLOSING[inside]
    if inside is Inside.COMMENT:
        return text.endswith(mark)
    return (len(text) - len(text.rstrip(mark))) % 2 == 1


def _kind(name: str, text: str) -> Kind:
    if name == "quoted":
        return Kind.SYMBOL
    if name != "name":
        return Kind(name)
    if text in PSEUDO_VARIABLES:
        return Kind.PSEUDO
    return Kind.GLOBAL if text[0].isupper() else Kind.NAME


def line_states(lines: Iterable[str]) -> list[Inside]:
    """Tell for each line what it begins in the middle of, and at last what the text ends in the middle of."""
    states = [Inside.CODE]
    for line in lines:
        states.append(lex_line(line, states[-1])[1])
    return states


def lex(text: str) -> list[Token]:
    """Cut a text into tokens, by offsets. A comment or string over several lines is one token."""
    tokens: list[Token] = []
    inside, begin = Inside.CODE, 0
    for line in text.split("\n"):
        cut, after = lex_line(line, inside)
        for number, (kind, start, end) in enumerate(cut):
            if number == 0 and inside is not Inside.CODE and start == 0 and tokens:
                tokens[-1] = Token(tokens[-1].kind, tokens[-1].start, begin + end)
            else:
                tokens.append(Token(kind, begin + start, begin + end))
        inside, begin = after, begin + len(line) + 1
    return tokens


PAIRS = {"(": ")", "[": "]", "{": "}"}


def matching_bracket(text: str, place: int, tokens: Sequence[Token] | None = None) -> int | None:
    """Find the partner of the bracket at an offset; those in strings, comments and characters are none."""
    brackets = [one for one in tokens or lex(text) if one.kind in {Kind.OPEN, Kind.CLOSE}]
    mine = next((number for number, one in enumerate(brackets) if one.start <= place < one.end), None)
    if mine is None:
        return None
    forward = brackets[mine].kind is Kind.OPEN
    waiting: list[str] = []
    for one in brackets[mine:] if forward else brackets[mine::-1]:
        mark = text[one.end - 1]
        if one.kind is (Kind.OPEN if forward else Kind.CLOSE):
            waiting.append(mark)
            continue
        opening, closing = (waiting[-1], mark) if forward else (mark, waiting[-1])
        if PAIRS[opening] != closing:
            return None
        waiting.pop()
        if not waiting:
            return one.end - 1
    return None


def unbalanced(tokens: Sequence[Token], text: str) -> bool:
    """Tell whether brackets are open at the end, or one closes what was not opened."""
    waiting: list[str] = []
    for one in tokens:
        mark = text[one.end - 1]
        if one.kind is Kind.OPEN:
            waiting.append(PAIRS[mark])
        elif one.kind is Kind.CLOSE and (not waiting or waiting.pop() != mark):
            return True
    return bool(waiting)


def gaps(tokens: Sequence[Token], length: int) -> list[tuple[int, int]]:
    """List what is between tokens, from the beginning to `length`: white space, if the lexer is right."""
    edges = [(0, 0), *((one.start, one.end) for one in tokens), (length, length)]
    return [(before[1], after[0]) for before, after in pairwise(edges)]
