"""The lexer of Smalltalk: what each token is, and that no text puts it off."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.tui.smalltalk.lexer import (
    Inside,
    Kind,
    gaps,
    lex,
    lex_line,
    line_states,
    matching_bracket,
    unbalanced,
)

SOURCE = st.lists(
    st.sampled_from(
        [*"'\"\n #$x[](){}^.;|_é\t`:", "''", '""', ":=", "at:", "put: ", "Foo", "3.5e2", "16rFF", "#(", "->", "self"]
    ),
    max_size=40,
).map("".join)
"""Texts of what matters to the lexer, in an order that nobody would write."""


def kinds(line: str) -> list[tuple[str, str]]:
    """The tokens of a line, with their text."""
    return [(one.kind.value, line[one.start : one.end]) for one in lex_line(line)[0]]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("x := 3 + 4.", ["name", "assignment", "number", "binary", "number", "period"]),
        ("x _ 3", ["name", "assignment", "number"]),
        ("Foo at: #bar:baz: put: 'it''s'", ["global", "keyword", "symbol", "keyword", "string"]),
        ("^ self -> #'a b' ", ["return", "pseudo", "binary", "symbol"]),
        ('$\' $" $[ "a""b"', ["character", "character", "character", "comment", "comment"]),
        ("16r1F 2r101 1.5e-3 3s2 100", ["number"] * 5),
        ("#(1 $a #b) {x.}", ["open", "number", "character", "symbol", "close", "open", "name", "period", "close"]),
        ("[:each | each]; yourself", ["open", "other", "name", "binary", "name", "close", "cascade", "name"]),
        ("#+ #== ##x", ["symbol", "symbol", "symbol"]),
    ],
)
def test_line_tokens(line: str, wanted: list[str]) -> None:
    """Each kind of token is told from the others."""
    assert [kind for kind, _ in kinds(line)] == wanted


def test_line_ends_inside() -> None:
    """A string or comment goes on in the next line until it is closed there."""
    assert line_states(["x := 'a", "b''", "c' size", '"never', "closed"]) == [
        Inside.CODE,
        Inside.STRING,
        Inside.STRING,
        Inside.CODE,
        Inside.COMMENT,
        Inside.COMMENT,
    ]


def test_text_joins_what_goes_over_lines() -> None:
    """In a whole text, a string over three lines is one token."""
    text = "a := 'one\ntwo\nthree' size"
    assert [text[one.start : one.end] for one in lex(text)] == ["a", ":=", "'one\ntwo\nthree'", "size"]


@given(SOURCE)
def test_any_text_is_covered(text: str) -> None:
    """Tokens are in order, do not overlap, and only white space is between them."""
    tokens = lex(text)
    assert all(one.start < one.end for one in tokens)
    assert all(before.end <= after.start for before, after in pairwise(tokens))
    assert all(not text[start:end].strip() for start, end in gaps(tokens, len(text)))


@given(st.text(max_size=60))
def test_any_unicode_is_lexed(text: str) -> None:
    """No text is refused."""
    assert all(not text[start:end].strip() for start, end in gaps(lex(text), len(text)))


@given(SOURCE)
def test_brackets_match_both_ways(text: str) -> None:
    """The partner of a bracket has that bracket as its partner."""
    tokens = lex(text)
    for one in tokens:
        if one.kind in {Kind.OPEN, Kind.CLOSE}:
            partner = matching_bracket(text, one.end - 1, tokens)
            if partner is not None:
                assert matching_bracket(text, partner, tokens) == one.end - 1


def test_brackets_in_strings_are_none() -> None:
    """A bracket in a string, a comment or a character neither has nor is a partner."""
    text = """(a at: $) put: ')' ")" )"""
    assert matching_bracket(text, 0) == len(text) - 1
    assert matching_bracket(text, text.index("')'") + 1) is None
    assert matching_bracket("(]", 0) is None


@pytest.mark.parametrize(("text", "wanted"), [("#(1 2) [:x | x]", False), ("[", True), (")", True), ("(]", True)])
def test_balance(text: str, wanted: bool) -> None:
    """Brackets that do not fit are noticed."""
    assert unbalanced(lex(text), text) is wanted
