"""Half surrogate pairs in JSON escapes: found, and mended."""

import json

import pytest

from stui_sessiond.wire.text import has_lone_surrogate, replace_lone_surrogates

WHOLE = [
    rb'"plain"',
    rb'"\u00e9"',
    rb'"\ud83d\ude00"',
    rb'"\uD83D\uDE00"',
    rb'"\\ud83d"',
    rb'"\\\\ud83d"',
    rb'"\ud83d\ude00\ud83d\ude00"',
]
HALF = [
    rb'"\ud83d"',
    rb'"\ude00"',
    rb'"\uDBFF"',
    rb'"\ud83d\ud83d\ude00"',
    rb'"\ude00\ud83d"',
    rb'"\\\ud83d"',
    rb'"\ud83d\n\ude00"',
    rb'"\ud83d x"',
]


@pytest.mark.parametrize("text", WHOLE)
def test_text_with_whole_characters(text: bytes) -> None:
    """Pairs and escaped backslashes are left alone."""
    assert not has_lone_surrogate(text)
    assert replace_lone_surrogates(text) == text


@pytest.mark.parametrize("text", HALF)
def test_text_with_half_a_pair(text: bytes) -> None:
    """A half is found; mended, the text can be encoded and is as long as before."""
    assert has_lone_surrogate(text)
    mended = replace_lone_surrogates(text)
    assert not has_lone_surrogate(mended)
    assert len(mended) == len(text)
    assert "\ufffd" in json.loads(mended).encode().decode()
