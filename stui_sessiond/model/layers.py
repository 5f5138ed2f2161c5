"""How does a mapping grow by an item without being copied, while others still hold what it was? Pure.

To copy a thousand items for each new one is most of the work of remembering it. So new items go into a small layer of
their own, which is copied, and is laid into the large one when it is full.
"""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TypeVar

V = TypeVar("V")

NEW_ITEMS = 64
"""How many items are copied at most for each one: at about the root of twice a thousand, both layers cost the least."""


class Layers(Mapping[str, V]):
    """A mapping that never changes, in the order in which its keys came, as in a `dict`."""

    __slots__ = ("_length", "_new", "_old")

    def __init__(self, old: dict[str, V], new: dict[str, V], length: int) -> None:
        self._old = old
        self._new = new
        self._length = length

    def with_item(self, key: str, value: V) -> "Layers[V]":
        """Make one that has this item, too, or in the place of the one with this key."""
        length = self._length + (key not in self)
        new = {**self._new, key: value}
        if len(new) > NEW_ITEMS:
            return Layers({**self._old, **new}, {}, length)
        return Layers(self._old, new, length)

    def __getitem__(self, key: str) -> V:
        return self._new[key] if key in self._new else self._old[key]

    def __contains__(self, key: object) -> bool:
        return key in self._new or key in self._old

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def keys(self) -> KeysView[str]:
        """All keys, in order."""
        return self._whole().keys()

    def values(self) -> ValuesView[V]:
        """All values, in order."""
        return self._whole().values()

    def items(self) -> ItemsView[str, V]:
        """All items, in order."""
        return self._whole().items()

    def _whole(self) -> dict[str, V]:
        return {**self._old, **self._new} if self._new else self._old


def with_item(mapping: Mapping[str, V], key: str, value: V) -> Layers[V]:
    """Make a mapping with one item more, or another one under its key; the given one stays as it is."""
    layers = mapping if isinstance(mapping, Layers) else Layers(dict(mapping), {}, len(mapping))
    return layers.with_item(key, value)
