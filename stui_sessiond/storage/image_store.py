"""What is kept of images, in the database: one row for each image, with one document."""

import sqlite3
from collections.abc import Mapping
from typing import Final

from stui_sessiond.storage.database import Database, Tables

TABLES: Final = Tables(
    "images",
    ("CREATE TABLE images (place TEXT PRIMARY KEY, changed_at REAL NOT NULL, body BLOB NOT NULL)",),
    (("images", "body"),),
)

MAX_IMAGES: Final = 1000
"""Of more, those that changed longest ago are let go of."""


class DatabaseImages:
    """Keeps records of images. A `storage.api.ImageStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> list[bytes]:
        """Read all records, the one that changed last at the end.

        Raises:
            StorageError: not now, or one was changed by somebody else.
        """
        found = await self._database.run(
            lambda each: each.execute("SELECT body FROM images ORDER BY changed_at, rowid").fetchall()
        )
        return [self._database.unseal(bytes(body)) for (body,) in found]

    async def keep(self, records: Mapping[str, bytes], at: float) -> None:
        """Put records, by image id, in the place of what is there.

        Raises:
            StorageError: nothing changed.
        """
        rows = [(self._database.place(name), at, self._database.seal(body)) for name, body in records.items()]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO images VALUES (?, ?, ?)", rows)
            connection.execute(
                "DELETE FROM images WHERE rowid NOT IN "
                "(SELECT rowid FROM images ORDER BY changed_at DESC, rowid DESC LIMIT ?)",
                (MAX_IMAGES,),
            )

        await self._database.run(work)
