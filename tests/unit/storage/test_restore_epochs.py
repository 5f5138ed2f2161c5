"""A store that was put back to a backup: positions of after the backup mean nothing any more."""

from pathlib import Path

from stui_sessiond.ids import SessionId
from stui_sessiond.model.event import Position
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.fs import LocalFileSystem
from stui_sessiond.storage.tools.restore import restore_session, restore_store
from tests.unit.bed.house import Listener, open_house
from tests.unit.bed.stores import NOW


def storage(root: Path) -> FileStorage:
    """Open the folder once more."""
    return FileStorage(root, backup_interval_s=None)


async def a_backup(root: Path) -> tuple[SessionId, Position, str]:
    """Make a session, a backup, and more events; give where the session was before and what the backup is called."""
    place = storage(root)
    async with open_house(place) as house:
        session_id = await house.create()
        await house.tell(session_id, "a")
        backup = await place.back_up("manual")
        known = house.position(session_id)
        await house.tell(session_id, "b")
        return session_id, known, backup.name


async def heard_since(root: Path, session_id: SessionId, since: Position) -> list[str]:
    """Tell what somebody hears who comes with a position, and something happens."""
    listener = Listener()
    async with open_house(storage(root)) as house:
        await house.listen(session_id, listener, since)
        await house.tell(session_id, "c")
    return listener.names


async def test_store_that_was_put_back_begins_other_epochs(tmp_path: Path) -> None:
    """The position before the backup looks good and is not: other events may follow on it now. Once is enough."""
    session_id, known, backup = await a_backup(tmp_path / "data")
    assert await heard_since(tmp_path / "data", session_id, known) == ["b", "c"]
    restore_store(tmp_path / "data", LocalFileSystem(), backup, NOW)
    assert await heard_since(tmp_path / "data", session_id, known) == ["gap", "c"]
    async with open_house(storage(tmp_path / "data")) as house:
        here = house.position(session_id)
    assert await heard_since(tmp_path / "data", session_id, here) == ["c"]
    restore_store(tmp_path / "data", LocalFileSystem(), backup, NOW + 5)
    assert await heard_since(tmp_path / "data", session_id, here) == ["gap", "c"]


async def test_session_that_was_put_back_begins_another_epoch(tmp_path: Path) -> None:
    """The others go on."""
    session_id, known, backup = await a_backup(tmp_path / "data")
    async with open_house(storage(tmp_path / "data")) as house:
        other = await house.create()
        position = house.position(other)
    restore_session(tmp_path / "data", LocalFileSystem(), backup, session_id, NOW)
    assert await heard_since(tmp_path / "data", session_id, known) == ["gap", "c"]
    assert await heard_since(tmp_path / "data", other, position) == ["c"]
