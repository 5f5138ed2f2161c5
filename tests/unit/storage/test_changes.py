"""Changes of code in the database: in order, bounded, sealed, and never taken for another's."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from stui_sessiond.ids import ImageId, InstanceId
from stui_sessiond.model.code_change import MAX_TEXT_BYTES, CodeChange, KeptChange, serial_of
from stui_sessiond.security.sealing import CLEAR, KeyMissingError, MasterKey, Sealer
from stui_sessiond.storage import changes as module
from stui_sessiond.storage.changes import CHANGE_TABLES, DatabaseChanges
from stui_sessiond.storage.database import Database, seal_database_anew
from stui_sessiond.storage.layout import DATABASE
from tests.unit.bed.clock import FakeClock

IMAGE, OTHER = ImageId("pharo"), ImageId("squeak")
CANARY = "canary-in-a-source"
KEY, NEXT_KEY = MasterKey(b"1" * 32), MasterKey(b"2" * 32)


def a_change(selector: str = "next", *, image_id: ImageId = IMAGE, source: str = "next ^ 1") -> CodeChange:
    """A method that was compiled."""
    return CodeChange(
        image_id=image_id,
        instance_id=InstanceId("i-1"),
        generation=1,
        at=5.0,
        kind="method",
        class_name="Counter",
        selector=selector,
        source=source,
        previous_source=f"{CANARY} before",
        session_id="session_1",
    )


@asynccontextmanager
async def opened(
    folder: Path | None = None, sealer: Sealer = CLEAR, clock: FakeClock | None = None
) -> AsyncIterator[DatabaseChanges]:
    """Changes in a folder, or in memory."""
    if folder is not None:
        (folder / "quarantine").mkdir(exist_ok=True)
    database = Database(folder, (CHANGE_TABLES,), sealer)
    await database.open()
    try:
        yield DatabaseChanges(database, clock or FakeClock())
    finally:
        await database.close()


def selectors(kept: object) -> list[str | None]:
    """The selectors of changes."""
    assert isinstance(kept, list)
    return [each.change.selector for each in kept]


async def test_changes_are_there_after_the_next_start(tmp_path: Path) -> None:
    """As they were, in the order in which they were made, each image's own."""
    async with opened(tmp_path) as changes:
        first = await changes.append([a_change("a"), a_change("b", image_id=OTHER)])
        second = await changes.append([a_change("c")])
    async with opened(tmp_path) as changes:
        assert await changes.all(IMAGE) == [first[0], second[0]]
        assert await changes.all(OTHER) == [first[1]]
        assert (await changes.append([a_change("d")]))[0].serial > second[0].serial


async def test_page_goes_on_after_a_change() -> None:
    """Each change comes once, also when the one it goes on after is gone."""
    async with opened() as changes:
        kept = await changes.append([a_change(str(number)) for number in range(5)])
        page = await changes.page(IMAGE, None, -1, 2)
        assert (page.changes, page.more) == (kept[:2], True)
        page = await changes.page(IMAGE, None, kept[1].serial, 3)
        assert (page.changes, page.more) == (kept[2:], False)
        assert (await changes.page(IMAGE, None, kept[0].serial - 1, 1)).changes == kept[:1]


async def test_page_of_a_class_has_only_its_changes() -> None:
    """Those of others are not counted either."""
    async with opened() as changes:
        other = replace(a_change(), class_name="Account")
        kept = await changes.append([other, a_change(), other])
        page = await changes.page(IMAGE, "Counter", -1, 1)
        assert (page.changes, page.more) == ([kept[1]], False)


async def test_page_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends before it is too large; one change that is too large by itself comes alone."""
    monkeypatch.setattr(module, "MAX_PAGE_BYTES", 3000)
    async with opened() as changes:
        sources = ["x" * 10_000, *["x" * 1000] * 4]
        kept = await changes.append([a_change(str(n), source=source) for n, source in enumerate(sources)])
        sizes, after, more = [], -1, True
        while more:
            page = await changes.page(IMAGE, None, after, 100)
            sizes.append(len(page.changes))
            after, more = page.changes[-1].serial, page.more
        assert (sizes, after) == ([1, 2, 2], kept[-1].serial)


async def test_append_drops_the_oldest_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their number and by their size; other images keep theirs."""
    monkeypatch.setattr(module, "MAX_CHANGES", 3)
    async with opened() as changes:
        await changes.append([a_change("theirs", image_id=OTHER)])
        await changes.append([a_change(str(number)) for number in range(5)])
        assert selectors(await changes.all(IMAGE)) == ["2", "3", "4"]
        monkeypatch.setattr(module, "MAX_BYTES", 2400)
        await changes.append([a_change("large", source="x" * 2000)])
        assert selectors(await changes.all(IMAGE)) == ["large"]
        assert selectors(await changes.all(OTHER)) == ["theirs"]


async def test_append_drops_the_oldest_of_all_when_the_database_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names images come and go under."""
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 200_000)
    async with opened() as changes:
        for number in range(300):
            await changes.append([a_change(image_id=ImageId(f"image {number}"), source="x" * 2000)])
        assert await changes.all(ImageId("image 0")) == []
        assert len(await changes.all(ImageId("image 299"))) == 1


async def test_append_leaves_out_texts_that_are_too_long() -> None:
    """The change is kept and says so; bytes count, not characters."""
    async with opened() as changes:
        kept = await changes.append([a_change(source="é" * (MAX_TEXT_BYTES // 2 + 1))])
        assert kept[0].change == replace(a_change(), source=None, texts_omitted=True)
        fits = await changes.append([a_change(source="é" * (MAX_TEXT_BYTES // 2))])
        assert not fits[0].change.texts_omitted
        assert await changes.all(IMAGE) == [*kept, *fits]


async def test_serials_go_on_in_a_database_that_was_begun_anew(tmp_path: Path) -> None:
    """An id means one change for ever, also if the file went into quarantine meanwhile, or the clock stands."""
    clock = FakeClock()
    async with opened(tmp_path, clock=clock) as changes:
        first = await changes.append([a_change(), a_change()])
        again = await changes.append([a_change()])
    (tmp_path / DATABASE).unlink()
    clock.pass_time(1)
    async with opened(tmp_path, clock=clock) as changes:
        fresh = await changes.append([a_change()])
    serials = [each.serial for each in (*first, *again, *fresh)]
    assert serials == sorted(set(serials))
    assert [serial_of(each.change_id) for each in (*first, *fresh)] == [each.serial for each in (*first, *fresh)]


@pytest.mark.parametrize("change_id", ["", "change_", "change_x", "change_-1", "17", "change_٣", "change_" + "9" * 40])
def test_serial_of_what_is_no_id(change_id: str) -> None:
    """It is none, and never a failure."""
    assert serial_of(change_id) is None


async def test_sealed_changes_cannot_be_read_without_the_key(tmp_path: Path) -> None:
    """Neither sources nor names are in the file; with the key they are there."""
    async with opened(tmp_path, Sealer(KEY)) as changes:
        kept = await changes.append([a_change(source=CANARY)])
    data = (tmp_path / DATABASE).read_bytes()
    for word in (CANARY, "Counter", "next", "session_1", "pharo"):
        assert word.encode() not in data
    async with opened(tmp_path, Sealer(KEY)) as changes:
        assert await changes.all(IMAGE) == kept
    with pytest.raises(KeyMissingError):
        async with opened(tmp_path, Sealer(NEXT_KEY)):
            pass


@pytest.mark.parametrize("stopped", [True, False])
async def test_changes_come_under_another_key(tmp_path: Path, stopped: bool) -> None:
    """From clear text to one key to the next, and nothing readable is left where a body was."""
    async with opened(tmp_path) as changes:
        kept = await changes.append([a_change(str(number), source=CANARY * 100) for number in range(50)])
    assert CANARY.encode() in (tmp_path / DATABASE).read_bytes()
    for sealer in (Sealer(KEY), Sealer(NEXT_KEY, [KEY])):
        if stopped:
            seal_database_anew(tmp_path / DATABASE, sealer)
        async with opened(tmp_path, sealer) as changes:
            assert await changes.all(IMAGE) == kept
        assert CANARY.encode() not in (tmp_path / DATABASE).read_bytes()
    async with opened(tmp_path, Sealer(NEXT_KEY)) as changes:
        assert await changes.all(IMAGE) == kept


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE code_changes SET body = (SELECT body FROM code_changes ORDER BY serial DESC LIMIT 1)",
        "UPDATE code_changes SET image = (SELECT image FROM code_changes ORDER BY serial DESC LIMIT 1)",
        "UPDATE code_changes SET body = CAST(x'00' || substr(body, 2) AS BLOB)",
    ],
)
async def test_change_in_another_place_is_not_read(tmp_path: Path, damage: str) -> None:
    """A body that was put into another row or another image, or changed, is left out; the others are there."""
    async with opened(tmp_path, Sealer(KEY)) as changes:
        await changes.append([a_change("moved")])
        kept = await changes.append([a_change("stays", image_id=OTHER)])
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        connection.execute(f"{damage} WHERE serial = (SELECT min(serial) FROM code_changes)")  # noqa: S608 -- ours
    connection.close()
    async with opened(tmp_path, Sealer(KEY)) as changes:
        assert await changes.all(IMAGE) == []
        assert await changes.all(OTHER) == kept


def test_change_id_is_one_word() -> None:
    """Clients pass it on as it is."""
    assert KeptChange(17, a_change()).change_id == "change_17"
