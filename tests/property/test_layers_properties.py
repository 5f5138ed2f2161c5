"""A mapping in layers is what a dict would be, and never changes."""

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.model import layers
from stui_sessiond.model.layers import with_item

keys = st.integers(0, 20).map(str)


@pytest.fixture(autouse=True, scope="module")
def small_layers() -> Iterator[None]:
    """Let layers be full soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "NEW_ITEMS", 3)
        yield


@given(st.dictionaries(keys, st.integers()), st.lists(st.tuples(keys, st.integers()), min_size=1))
def test_layers_are_what_a_dict_would_be(begun: dict[str, int], items: list[tuple[str, int]]) -> None:
    """Items, order, length and look-ups, at every step; what it was made of stays as it was."""
    expected = dict(begun)
    found: Mapping[str, int] = begun
    held: list[tuple[Mapping[str, int], dict[str, int]]] = []
    for key, value in items:
        expected[key] = value
        found = with_item(found, key, value)
        held.append((found, dict(expected)))
    for layered, whole in held:
        assert list(layered.items()) == list(whole.items())
        assert list(layered) == list(layered.keys()) == list(whole)
        assert list(layered.values()) == list(whole.values())
        assert len(layered) == len(whole)
        assert layered == whole
        for key in {"absent", *begun, *expected}:
            assert (layered.get(key), key in layered) == (whole.get(key), key in whole)
