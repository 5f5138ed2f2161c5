"""The database of images: durable, in order, on one thread; damaged, sealed, copied and of another version."""

import asyncio
import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from stui_sessiond.errors import StorageBusyError, StorageError
from stui_sessiond.security.sealing import CLEAR, KeyMissingError, MasterKey, Sealer
from stui_sessiond.storage.database import (
    MAX_WAITING,
    Database,
    Tables,
    copy_database,
    examine_copy,
    examine_file,
    seal_database_anew,
)
from stui_sessiond.storage.layout import DATABASE, DATABASE_JOURNAL

T = TypeVar("T")

WORDS = Tables("words", ("CREATE TABLE words (place TEXT PRIMARY KEY, body BLOB)",), (("words", "body"),))
LATER = Tables("words", (*WORDS.steps, "ALTER TABLE words ADD COLUMN at REAL; CREATE INDEX by_at ON words (at)"))
ONE, TWO = MasterKey(b"1" * 32), MasterKey(b"2" * 32)


def data(tmp_path: Path, name: str = "data") -> Path:
    """A data folder."""
    root = tmp_path / name
    for folder in (root, root / "quarantine"):
        folder.mkdir(exist_ok=True)
    return root


def add(word: str) -> Callable[[sqlite3.Connection], None]:
    """Work that adds a word."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO words (place, body) VALUES (?, ?)", (Database.place(word), word.encode()))

    return work


def words(connection: sqlite3.Connection) -> list[str]:
    """Work that lists the words."""
    return [bytes(body).decode() for (body,) in connection.execute("SELECT body FROM words ORDER BY rowid")]


async def using(database: Database, *works: Callable[[sqlite3.Connection], T]) -> list[T]:
    """Open, work, close."""
    await database.open()
    try:
        return [await database.run(work) for work in works]
    finally:
        await database.close()


def test_run_that_returned_is_there_after_the_next_start(tmp_path: Path) -> None:
    """What was written is found again, in order, and the file is for the daemon's user alone."""
    root = data(tmp_path)
    asyncio.run(using(Database(root, [WORDS]), add("one"), add("two")))
    assert asyncio.run(using(Database(root, [WORDS]), words)) == [["one", "two"]]
    assert (root / DATABASE).stat().st_mode & 0o777 == 0o600
    assert not (root / DATABASE_JOURNAL).exists()


def test_run_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    """The work is one transaction, whatever it raises."""

    def half(connection: sqlite3.Connection) -> None:
        add("half")(connection)
        msg = "enough"
        raise ValueError(msg)

    async def check() -> None:
        database = Database(data(tmp_path), [WORDS])
        await database.open()
        with pytest.raises(ValueError, match="enough"):
            await database.run(half)
        await database.run(add("whole"))
        with pytest.raises(StorageError, match="UNIQUE"):
            await database.run(add("whole"))
        assert await database.run(words) == ["whole"]
        await database.close()

    asyncio.run(check())


def test_run_keeps_the_order_and_has_a_bound() -> None:
    """Work waits in the order in which it was asked for; too much of it is refused, and the loop never waits."""

    async def check() -> None:
        database = Database(None, [WORDS])
        await database.open()
        gate = threading.Event()
        blocked = asyncio.ensure_future(database.run(lambda _: gate.wait()))
        waiting = [asyncio.ensure_future(database.run(add(f"{number}"))) for number in range(MAX_WAITING - 1)]
        await asyncio.sleep(0)
        with pytest.raises(StorageBusyError, match="wait for the disk"):
            await database.run(words)
        gate.set()
        await asyncio.gather(blocked, *waiting)
        assert await database.run(words) == [f"{number}" for number in range(MAX_WAITING - 1)]
        await database.close()

    asyncio.run(check())


def test_run_is_done_also_when_the_caller_is_cancelled() -> None:
    """A thread cannot be cancelled: what was asked for is done, and done before what comes after."""

    async def check() -> None:
        database = Database(None, [WORDS])
        await database.open()
        gate = threading.Event()
        blocked = asyncio.ensure_future(database.run(lambda _: gate.wait()))
        asked = asyncio.ensure_future(database.run(add("asked")))
        await asyncio.sleep(0)
        asked.cancel()
        gate.set()
        await blocked
        assert await database.run(words) == ["asked"]
        await database.close()

    asyncio.run(check())


def test_run_interrupted_by_a_crash_leaves_the_change_before(tmp_path: Path) -> None:
    """A process that ends amid a change leaves a journal, with which the next start takes the change back."""
    root, crashed = data(tmp_path), data(tmp_path, "crashed")
    asyncio.run(using(Database(root, [WORDS]), add("before")))
    with contextlib.closing(sqlite3.connect(root / DATABASE, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")  # so that the change is in the file before it is committed
        connection.execute("BEGIN IMMEDIATE")
        for number in range(200):
            connection.execute("INSERT INTO words VALUES (?, ?)", (str(number), b"x" * 4000))
        for name in (DATABASE, DATABASE_JOURNAL):
            shutil.copy(root / name, crashed / name)
    assert (crashed / DATABASE).stat().st_size > 100_000
    with pytest.raises(StorageError):
        examine_file(crashed / DATABASE)
    assert asyncio.run(using(Database(crashed, [WORDS]), words)) == [["before"]]
    assert examine_file(crashed / DATABASE) is None


def test_run_after_close_is_refused_and_close_may_come_twice() -> None:
    """What is asked of a closed database is refused, not lost without a word."""

    async def check() -> None:
        database = Database(None, [WORDS])
        await database.open()
        await database.close()
        await database.close()
        with pytest.raises(StorageError, match="closed"):
            await database.run(words)

    asyncio.run(check())


# ---- damage


@pytest.mark.parametrize("damage", ["torn", "scribbled", "of_another_program"])
def test_open_of_a_damaged_file_puts_it_aside_and_begins_anew(tmp_path: Path, damage: str) -> None:
    """What cannot be read goes to quarantine, as it is; the daemon starts all the same."""
    root = data(tmp_path)
    asyncio.run(using(Database(root, [WORDS]), add("lost")))
    path = root / DATABASE
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "scribbled":
        path.write_bytes(b"scribble" * 100 + path.read_bytes()[800:])
    else:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA application_id = 7")
    before = path.read_bytes()
    database = Database(root, [WORDS])
    assert asyncio.run(using(database, add("new"), words)) == [None, ["new"]]
    kept = list((root / "quarantine").iterdir())
    assert [each.name for each in kept] == [database.quarantined]
    assert kept[0].read_bytes() == before


def test_open_of_a_sound_file_puts_nothing_aside(tmp_path: Path) -> None:
    """Nothing is in quarantine without a reason."""
    root = data(tmp_path)
    for _ in range(2):
        database = Database(root, [WORDS])
        asyncio.run(using(database, words))
        assert database.quarantined is None
    assert list((root / "quarantine").iterdir()) == []


# ---- versions


def test_open_brings_tables_to_the_present_version(tmp_path: Path) -> None:
    """Steps that are new are carried out once, on what is there."""
    root = data(tmp_path)
    asyncio.run(using(Database(root, [WORDS]), add("old")))
    for _ in range(2):
        asyncio.run(using(Database(root, [LATER]), lambda each: each.execute("UPDATE words SET at = 1.5")))
    assert asyncio.run(using(Database(root, [LATER]), words)) == [["old"]]


def test_open_of_tables_of_a_later_version_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """An older daemon does not touch what it does not know, and does not take it for damage."""
    root = data(tmp_path)
    asyncio.run(using(Database(root, [LATER]), lambda each: each.execute("SELECT 1")))
    before = (root / DATABASE).read_bytes()
    with pytest.raises(StorageError, match="version 2"):
        asyncio.run(using(Database(root, [WORDS]), words))
    assert (root / DATABASE).read_bytes() == before


# ---- sealed


def sealing(database: Database, word: str) -> Callable[[sqlite3.Connection], None]:
    """Work that adds a sealed word."""

    def work(connection: sqlite3.Connection) -> None:
        body = database.seal(f'"{word}"'.encode())
        connection.execute("INSERT INTO words (place, body) VALUES (?, ?)", (Database.place(word), body))

    return work


def opening(database: Database) -> Callable[[sqlite3.Connection], list[str]]:
    """Work that reads sealed words."""
    return lambda each: [
        database.unseal(body).decode().strip('"') for (body,) in each.execute("SELECT body FROM words")
    ]


def test_sealed_bodies_and_places_cannot_be_read_without_the_key(tmp_path: Path) -> None:
    """Neither the body nor the name it is found by is in the file; a start without the key is refused."""
    root = data(tmp_path)
    database = Database(root, [WORDS], Sealer(ONE))
    asyncio.run(using(database, sealing(database, "canary")))
    assert b"canary" not in (root / DATABASE).read_bytes()
    before = (root / DATABASE).read_bytes()
    with pytest.raises(KeyMissingError, match=ONE.id):
        asyncio.run(using(Database(root, [WORDS]), words))
    assert (root / DATABASE).read_bytes() == before
    database = Database(root, [WORDS], Sealer(ONE))
    assert asyncio.run(using(database, opening(database))) == [["canary"]]


@pytest.mark.parametrize("stopped", [True, False], ids=["by_a_tool", "by_a_start"])
def test_sealed_bodies_come_under_another_key_and_out_of_it(tmp_path: Path, stopped: bool) -> None:
    """A start, or the tool, seals everything anew; then the old key is not needed any more."""
    root = data(tmp_path)
    first = Database(root, [WORDS])
    asyncio.run(using(first, sealing(first, "canary")))
    for sealer, after in ((Sealer(ONE), Sealer(ONE)), (Sealer(TWO, [ONE]), Sealer(TWO)), (Sealer(None, [TWO]), CLEAR)):
        if stopped:
            seal_database_anew(root / DATABASE, sealer)
        else:
            asyncio.run(using(Database(root, [WORDS], sealer), words))
        database = Database(root, [WORDS], after)
        assert asyncio.run(using(database, opening(database))) == [["canary"]]


def test_sealed_body_that_was_changed_is_told(tmp_path: Path) -> None:
    """Whoever writes into the file without the key is found out."""
    root = data(tmp_path)
    database = Database(root, [WORDS], Sealer(ONE))

    def forge(connection: sqlite3.Connection) -> None:
        body = database.seal(b'"a"')
        cut = body[:-12] + (b"A" if body[-12:-11] != b"A" else b"B") + body[-11:]
        connection.execute("INSERT INTO words (place, body) VALUES ('x', ?)", (cut,))

    with pytest.raises(StorageError, match="seal is broken"):
        asyncio.run(using(database, forge, opening(database)))


# ---- copies


def test_copy_beside_changes_is_whole_and_sound(tmp_path: Path) -> None:
    """A copy that is made while the daemon writes has all that was there at one moment."""
    root = data(tmp_path)

    async def check() -> list[bytes]:
        database = Database(root, [WORDS])
        await database.open()
        copies = []
        loop = asyncio.get_running_loop()
        for number in range(10):
            copying = loop.run_in_executor(None, copy_database, root / DATABASE)
            changing = asyncio.ensure_future(database.run(add(f"{number}")))
            copies.append(await copying)
            await changing
        await database.close()
        return copies

    for number, copy in enumerate(asyncio.run(check())):
        assert examine_copy(copy) is None
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(copy)
            assert words(connection) in (
                [f"{each}" for each in range(number)],
                [f"{each}" for each in range(number + 1)],
            )


def test_examine_copy_finds_damage(tmp_path: Path) -> None:
    """A copy that is cut or scribbled over is no copy."""
    root = data(tmp_path)
    asyncio.run(using(Database(root, [WORDS]), *[add(f"{number}" * 500) for number in range(50)]))
    copy = copy_database(root / DATABASE)
    assert examine_copy(copy) is None
    assert examine_copy(copy[:8192]) is not None
    assert examine_copy(b"scribble" * 1000) is not None
    assert examine_copy(copy[:4096] + bytes(8192) + copy[12288:]) is not None
    assert examine_copy(b"") is None
