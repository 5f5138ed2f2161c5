"""What is kept of something that goes on: items in order, of which each next version of the whole has some more.

A version shares its items with the one it was made of, so that making one costs as much as what is added to it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class Trail(Sequence[T]):
    """A sequence that never changes. Those that go on from it may share the list behind it, where it comes first."""

    __slots__ = ("_items", "_length")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items = list(items)
        self._length = len(self._items)

    def going_on(self, more: Iterable[T]) -> "Trail[T]":
        """The sequence that begins with this one and ends with `more`."""
        if len(self._items) > self._length:  # another one goes on from here: this is a fork
            return Trail((*self, *more))
        longer: Trail[T] = Trail.__new__(Trail)
        self._items.extend(more)
        longer._items, longer._length = self._items, len(self._items)
        return longer

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return iter(self._items[: self._length])  # a copy: another thread may go on meanwhile

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[T, ...]: ...
    def __getitem__(self, place: int | slice) -> T | tuple[T, ...]:
        if isinstance(place, slice):
            return tuple(self._items[: self._length][place])
        if not -self._length <= place < self._length:
            raise IndexError(place)
        return self._items[place if place >= 0 else self._length + place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trail | tuple):
            return NotImplemented
        return tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Trail({list(self)!r})"


def going_on(items: Sequence[T], more: Sequence[T]) -> Trail[T]:
    """The sequence that begins with `items` and ends with `more`."""
    return (items if isinstance(items, Trail) else Trail(items)).going_on(more)
