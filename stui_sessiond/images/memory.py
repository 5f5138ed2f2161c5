"""How does what is known of images get onto the disk without anybody waiting for it?

Records that changed wait, one for each image, and are written together by one task. What cannot be written now waits
for the next change; a daemon that stops tries once more.
"""

from collections.abc import Callable
from typing import Final

import structlog

from stui_sessiond.errors import StorageError
from stui_sessiond.images.record import ImageRecord, decode, encode
from stui_sessiond.storage.api import ImageStore
from stui_sessiond.tasks import TaskOwner

_log = structlog.get_logger(__name__)

REMEMBERED_IMAGES: Final = 1000
"""Images that are known and not connected; the one that changed longest ago is forgotten first."""


class ImageMemory:
    """Reads the records at the start, and writes those that change."""

    def __init__(self, store: ImageStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._changed: dict[str, ImageRecord] = {}
        self._writing = False
        self._tasks = TaskOwner("image memory")

    async def read(self) -> list[ImageRecord]:
        """Read what is known, the one that changed last at the end. What cannot be read is left where it is.

        Raises:
            StorageError: the disk failed.
        """
        found = []
        for body in await self._store.read():
            try:
                found.append(decode(body))
            except StorageError as error:
                _log.error("image.record_unreadable", error=error.message)
        return found

    def keep(self, record: ImageRecord) -> None:
        """Have a record written soon; only the newest of an image is. Never blocks."""
        self._changed[record.image_id] = record
        if not self._writing:
            self._writing = True
            self._tasks.start(self._write(), "write")

    async def close(self) -> None:
        """Write what waits."""
        await self._tasks.drain(None)
        await self._write()
        await self._tasks.close()

    async def _write(self) -> None:
        while self._changed:
            batch, self._changed = self._changed, {}
            try:
                await self._store.keep({name: encode(record) for name, record in batch.items()}, self._clock())
                for record in batch.values():
                    _log.debug("image.remembered", image_id=record.image_id, connections=len(record.connections))
            except StorageError as error:
                self._changed = {**batch, **self._changed}
                _log.warning("image.not_noted", images=len(self._changed), error=error.message)
                break
        self._writing = False
