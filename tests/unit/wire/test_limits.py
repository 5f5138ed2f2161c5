"""Limits of a message: its size, and how deep it nests."""

import pytest

from stui_sessiond.errors import MessageTooDeepError, MessageTooLargeError
from stui_sessiond.wire.limits import MAX_DEPTH, check_depth, check_size


def test_size_at_the_limit() -> None:
    """A payload of exactly the limit is taken."""
    check_size(b"x" * 100, 100)


def test_size_one_byte_over() -> None:
    """One byte more is refused, with both numbers for the sender."""
    with pytest.raises(MessageTooLargeError) as caught:
        check_size(b"x" * 101, 100)
    assert caught.value.details == {"size_bytes": 101, "limit_bytes": 100}


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_at_the_limit(opening: bytes, closing: bytes) -> None:
    """Sixty-four levels are allowed, of arrays as of objects."""
    check_depth(opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_one_over(opening: bytes, closing: bytes) -> None:
    """Sixty-five levels are refused, with the limit for the sender."""
    with pytest.raises(MessageTooDeepError) as caught:
        check_depth(opening * (MAX_DEPTH + 1) + b"1" + closing * (MAX_DEPTH + 1))
    assert caught.value.details == {"limit": MAX_DEPTH}


def test_depth_of_many_siblings() -> None:
    """Thousands of brackets side by side are not deep."""
    check_depth(b"[" + b",".join([b'{"a":[]}'] * 5000) + b"]")


def test_depth_of_siblings_and_one_tower() -> None:
    """One tower too high among thousands of flat values is found."""
    tower = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    check_depth(b",".join([b"[]"] * 1000 + [tower]))
    with pytest.raises(MessageTooDeepError):
        check_depth(b"[" + b",".join([b"[]"] * 1000 + [tower]) + b"]")


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100,
        b'\\"' + b"[" * 100,
        b"\\\\" + b"{" * 100,
        b'\\\\\\"' + b"[" * 100 + b'\\"',
        b"\\u005b" + b"[" * 100,
    ],
)
def test_depth_of_brackets_in_strings(text: bytes) -> None:
    """Brackets inside a string do not count, whatever escapes stand before them."""
    check_depth(b'{"a":"' + text + b'","b":[1]}')


def test_depth_after_a_string_that_ends_in_a_backslash() -> None:
    """An escaped backslash before the closing quote does not hide what follows the string."""
    with pytest.raises(MessageTooDeepError):
        check_depth(b'["\\\\",' + b"[" * 100 + b"]" * 100 + b"]")


def test_depth_of_a_hundred_thousand_open_brackets() -> None:
    """The classic attack is refused before any decoder sees it."""
    with pytest.raises(MessageTooDeepError):
        check_depth(b"[" * 100_000)


def test_depth_of_unbalanced_brackets() -> None:
    """What is malformed in another way passes: the decoder refuses it, with a better reason."""
    check_depth(b"]" * 100 + b"[" * 10)
