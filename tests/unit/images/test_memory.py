"""What is known of images beyond a daemon: written behind, read back, bounded, sealed, and never in the way."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from stui_sessiond.errors import StorageFullError
from stui_sessiond.images.memory import ImageMemory
from stui_sessiond.images.record import Identity, ImageRecord, connect
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.security.sealing import MasterKey, Sealer
from stui_sessiond.storage import image_store
from stui_sessiond.storage.database import Database
from stui_sessiond.storage.image_store import MAX_IMAGES, TABLES, DatabaseImages
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.image import a_link


class FullStore:
    """A store whose disk is full until it has room."""

    def __init__(self) -> None:
        self.full = True
        self.kept: dict[str, bytes] = {}
        self.tries = 0
        self.tried = asyncio.Event()

    async def read(self) -> list[bytes]:
        return list(self.kept.values())

    async def keep(self, records: Mapping[str, bytes], at: float) -> None:
        del at
        self.tries += 1
        self.tried.set()
        if self.full:
            msg = "full"
            raise StorageFullError(msg)
        self.kept.update(records)


def a_record(image_id: str, generation: int = 0) -> ImageRecord:
    """An image that has come."""
    return connect(ImageRecord(image_id), Identity(image_id, "i-1", generation=generation), "here", 1.0)


async def test_memory_writes_the_newest_of_each_and_never_waits() -> None:
    """Changes that come while one is written go together in the next write."""
    store = FullStore()
    store.full = False
    memory = ImageMemory(store, FakeClock())
    for generation in range(100):
        memory.keep(a_record("pharo", generation))
        memory.keep(a_record("squeak", generation))
    await memory.close()
    assert store.tries <= 2
    read = await ImageMemory(store, FakeClock()).read()
    assert {one.image_id: one.highest_generation for one in read} == {"pharo": 99, "squeak": 99}


async def test_memory_on_a_full_disk_keeps_what_it_could_not_write() -> None:
    """It is written with the next change, or at the end."""
    store = FullStore()
    memory = ImageMemory(store, FakeClock())
    memory.keep(a_record("pharo"))
    await store.tried.wait()
    store.full = False
    memory.keep(a_record("squeak"))
    await memory.close()
    assert sorted(store.kept) == ["pharo", "squeak"]


async def test_memory_leaves_out_what_it_cannot_read() -> None:
    """One record that is damaged keeps no daemon from starting."""
    store = FullStore()
    store.kept = {"a": b"{", "b": b'{"image_id":"b","connections":5}'}
    assert await ImageMemory(store, FakeClock()).read() == []


async def test_store_keeps_the_newest_images(tmp_path: Path) -> None:
    """Of too many, those that changed longest ago go; what is read is in the order of the changes."""
    (tmp_path / "quarantine").mkdir()
    database = Database(tmp_path, [TABLES])
    await database.open()
    store = DatabaseImages(database)
    await store.keep({f"{number}": b"%d" % number for number in range(MAX_IMAGES)}, 1.0)
    await store.keep({"0": b"0 again"}, 2.0)
    await store.keep({"new": b"new"}, 3.0)
    read = await store.read()
    assert len(read) == MAX_IMAGES
    assert read[-2:] == [b"0 again", b"new"]
    assert b"1" not in read
    await database.close()
    assert image_store.TABLES.sealed == (("images", "body"),)


async def test_store_that_is_sealed_shows_nothing(tmp_path: Path) -> None:
    """Neither an image's name nor its address can be read in the file."""
    (tmp_path / "quarantine").mkdir()
    database = Database(tmp_path, [TABLES], Sealer(MasterKey(b"1" * 32)))
    await database.open()
    memory = ImageMemory(DatabaseImages(database), FakeClock())
    memory.keep(replace(a_record("canary-image"), identity=Identity("canary-image", "canary-instance")))
    await memory.close()
    assert [one.image_id for one in await memory.read()] == ["canary-image"]
    await database.close()
    assert b"canary" not in (tmp_path / "images.sqlite3").read_bytes()


async def test_registry_after_a_restart_knows_what_was(tmp_path: Path) -> None:
    """Connections, the highest generation and since when an image is gone are what they were."""
    (tmp_path / "quarantine").mkdir()
    clock = FakeClock(1000.0)

    async def begin() -> tuple[Database, ImageMemory, ImageRegistry]:
        database = Database(tmp_path, [TABLES])
        await database.open()
        memory = ImageMemory(DatabaseImages(database), clock)
        registry = ImageRegistry(clock, memory)
        await registry.open()
        return database, memory, registry

    database, memory, registry = await begin()
    for name in ("stays", "goes"):
        registry.admit(a_link(name)[0])
    gone = registry.find(registry.known("goes").image_id)  # type: ignore[union-attr]  # it was admitted
    assert gone is not None
    registry.leave(gone)
    registry.note_cleanup("goes", "ada", 3)
    await memory.close()
    await database.close()

    clock.pass_time(500)
    database, memory, registry = await begin()
    stays, goes = registry.known("stays"), registry.known("goes")
    assert stays is not None
    assert goes is not None
    assert (stays.connected, stays.condition, stays.record.gone_at) == (False, "link_lost", 1500.0)
    assert (goes.record.gone_at, goes.record.cleanups[0].sessions) == (1000.0, 3)
    assert [one.reason for one in stays.record.connections] == ["daemon_ended"]
    await memory.close()
    await database.close()
