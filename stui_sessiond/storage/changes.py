"""Where are the changes of code that images took? In a table of the database, the oldest of an image going first.

A row's body is sealed where the store is, and says again which row of which image it is: put into another place it is
not read. What cannot be read is left out and reported.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from stui_sessiond.errors import StorageError
from stui_sessiond.ids import ImageId
from stui_sessiond.model.code_change import CodeChange, KeptChange, with_bounded_texts
from stui_sessiond.storage.database import Database, Tables

_log = structlog.get_logger(__name__)

MAX_CHANGES: Final = 10_000
"""Of an image: months of a person's work, and as many as one `reapply_code_changes` goes through."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Of the rows of an image: what a reapplication holds in memory."""

MAX_TOTAL_BYTES: Final = 256 * 1024 * 1024
"""Of the whole database, whatever names images come and go under: each backup copies it, through memory."""

MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
"""Of one page of a list: less than half of what a message may hold, for JSON may double what it escapes."""

_TRIM_ROWS: Final = 100
"""Rows that go at a time until the database is small enough again."""

CHANGE_TABLES: Final = Tables(
    "code_changes",
    (
        """
        CREATE TABLE code_changes (
            serial INTEGER PRIMARY KEY, image TEXT NOT NULL, class TEXT NOT NULL, size INTEGER NOT NULL,
            body BLOB NOT NULL);
        CREATE INDEX code_changes_of_image ON code_changes (image, serial, size)
        """,
    ),
    sealed=(("code_changes", "body"),),
)


class Page(msgspec.Struct, frozen=True):
    """Changes in their order, and whether there are more after them."""

    changes: Sequence[KeptChange]
    more: bool


class ChangeStorage(Protocol):
    """Keeps changes. When `append` returns, they survive a crash and a power loss."""

    async def append(self, changes: Sequence[CodeChange]) -> Sequence[KeptChange]:
        """Keep changes, all or none, in this order.

        Raises:
            StorageError: none is kept.
        """

    async def page(self, image_id: ImageId, class_name: str | None, after: int, limit: int) -> Page:
        """Read changes of an image after a serial, the oldest first, as many as fit into an answer.

        Raises:
            StorageError: they cannot be read now.
        """

    async def all(self, image_id: ImageId) -> Sequence[KeptChange]:
        """Read all changes of an image, the oldest first.

        Raises:
            StorageError: they cannot be read now.
        """


class _Body(msgspec.Struct, frozen=True):
    serial: int
    change: CodeChange


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Body).decode

_Row = tuple[int, int, bytes]


class DatabaseChanges:
    """Keeps changes in the database."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def append(self, changes: Sequence[CodeChange]) -> Sequence[KeptChange]:
        """Keep changes; the oldest ones go where there are too many."""
        bounded = [with_bounded_texts(change) for change in changes]
        return await self._database.run(lambda connection: self._append(connection, bounded))

    async def page(self, image_id: ImageId, class_name: str | None, after: int, limit: int) -> Page:
        """Read some changes."""

        def read(connection: sqlite3.Connection) -> Page:
            found: list[KeptChange] = []
            size = 0
            for serial, row_size, body in self._rows(connection, image_id, class_name, after):
                if len(found) == limit or (found and size + row_size > MAX_PAGE_BYTES):
                    return Page(found, more=True)
                if (kept := self._read(image_id, serial, body)) is not None:
                    found.append(kept)
                    size += row_size
            return Page(found, more=False)

        return await self._database.run(read)

    async def all(self, image_id: ImageId) -> Sequence[KeptChange]:
        """Read all changes of an image."""

        def read(connection: sqlite3.Connection) -> list[KeptChange]:
            rows = self._rows(connection, image_id, None, -1)
            read = (self._read(image_id, serial, body) for serial, _, body in rows)
            return [kept for kept in read if kept is not None]

        return await self._database.run(read)

    def _append(self, connection: sqlite3.Connection, changes: Sequence[CodeChange]) -> list[KeptChange]:
        newest = connection.execute("SELECT max(serial) FROM code_changes").fetchone()[0] or 0
        # from the clock, so that an id is never used again by a database that was begun anew or put back to a backup
        first = max(newest + 1, int(self._clock() * 1e6))
        kept = [KeptChange(serial, change) for serial, change in enumerate(changes, start=first)]
        for each in kept:
            body = self._database.seal(_encode(_Body(each.serial, each.change)))
            image, class_name = self._database.place(each.change.image_id), self._database.place(each.change.class_name)
            row = (each.serial, image, class_name, len(body), body)
            connection.execute("INSERT INTO code_changes VALUES (?, ?, ?, ?, ?)", row)
        for image_id in {change.image_id for change in changes}:
            _trim(connection, self._database.place(image_id))
        _trim_whole(connection)
        return kept

    def _rows(
        self, connection: sqlite3.Connection, image_id: ImageId, class_name: str | None, after: int
    ) -> Iterator[_Row]:
        wanted = "SELECT serial, size, body FROM code_changes WHERE image = ? AND serial > ?"
        image = self._database.place(image_id)
        if class_name is None:
            return connection.execute(f"{wanted} ORDER BY serial", (image, after))
        named = (image, after, self._database.place(class_name))
        return connection.execute(f"{wanted} AND class = ? ORDER BY serial", named)

    def _read(self, image_id: ImageId, serial: int, body: bytes) -> KeptChange | None:
        try:
            found = _decode(self._database.unseal(body))
        except (StorageError, msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.error("change.unreadable", image_id=image_id, serial=serial, error=str(error))
            return None
        if (found.serial, found.change.image_id) != (serial, image_id):
            _log.error("change.displaced", image_id=image_id, serial=serial)
            return None
        return KeptChange(serial, found.change)


def _trim(connection: sqlite3.Connection, image: str) -> None:
    """Remove the oldest changes of an image that are beyond its bounds."""
    count = size = 0
    rows = connection.execute("SELECT serial, size FROM code_changes WHERE image = ? ORDER BY serial DESC", (image,))
    for serial, row_size in rows:
        count, size = count + 1, size + row_size
        if count > MAX_CHANGES or size > MAX_BYTES:
            connection.execute("DELETE FROM code_changes WHERE image = ? AND serial <= ?", (image, serial))
            return


def _trim_whole(connection: sqlite3.Connection) -> None:
    """Remove the oldest changes of all images while the database is too large."""
    while _used(connection) > MAX_TOTAL_BYTES:
        oldest = "SELECT serial FROM code_changes ORDER BY serial LIMIT ?"
        gone = connection.execute(f"DELETE FROM code_changes WHERE serial IN ({oldest})", (_TRIM_ROWS,))  # noqa: S608
        if not gone.rowcount:
            return


def _used(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
