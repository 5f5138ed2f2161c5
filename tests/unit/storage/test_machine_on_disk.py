"""A session's state machine on the real disk: after a restart, a crash, from a backup, and beside what is older."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from stui_sessiond.ids import SessionId
from stui_sessiond.model.machine import Who
from stui_sessiond.model.session import Session, SessionHeader
from stui_sessiond.sessions.machines import Declaration, Machines
from stui_sessiond.sessions.shared_state import Wish, declared, who_of, written_down
from stui_sessiond.sessions.transitions import Mode
from stui_sessiond.storage.file import FileStorage
from stui_sessiond.storage.index import Place, decode_index, encode_index
from stui_sessiond.storage.layout import read_identity
from stui_sessiond.storage.session_file import decode_session, encode_session
from tests.unit.bed.game import HIDDEN, MACHINE
from tests.unit.bed.house import House, a_session, open_house

DEFINITION = written_down(MACHINE)


def one(header: SessionHeader) -> Who:
    """The first player."""
    return who_of("one", "client", None, header)


async def a_game(house: House) -> SessionId:
    """Start a game and make two moves."""
    initial = declared(DEFINITION).machine.initial
    session_id = await house.create("table", machine=DEFINITION, state=initial)
    await house.manager.share(session_id, "one", "viewer", by="table")
    machines = Machines(house.keeper, house.manager)
    await machines.apply(session_id, Wish("draw", {HIDDEN: {"one": "ace"}}, Mode.MERGE), one)
    await machines.apply(session_id, Wish("play", {"turn": "two", "points": 1}, Mode.MERGE), one)
    return session_id


async def read(root: Path, session_id: SessionId) -> Session:
    """What a daemon that starts now finds."""
    async with open_house(FileStorage(root)) as house:
        return await house.manager.session(session_id)


async def test_machine_after_a_restart(tmp_path: Path) -> None:
    """It is in the session file; another one that was declared is the one that is found."""
    async with open_house(FileStorage(tmp_path)) as house:
        session_id = await a_game(house)
    found = await read(tmp_path, session_id)
    assert found.machine is not None
    assert (found.machine.version, found.machine.definition) == (1, DEFINITION)
    assert found.state == {"status": "open", "turn": "two", "points": 1, HIDDEN: {"one": "ace"}}
    other = written_down({**MACHINE, "name": "other"})
    async with open_house(FileStorage(tmp_path)) as house:
        wish = Declaration(other, reset=False, expected_version=3)
        await Machines(house.keeper, house.manager).declare(session_id, wish, "table")
    found = await read(tmp_path, session_id)
    assert found.machine is not None
    assert (found.machine.version, found.machine.definition, found.header.machine_version) == (2, other, 2)


async def test_machine_from_the_journal_alone(tmp_path: Path) -> None:
    """After a crash it comes from the records: what was declared, and each move since."""
    house = House(FileStorage(tmp_path / "live"))
    await house.manager.open()
    session_id = await a_game(house)
    crashed = tmp_path / "crashed"
    copied(tmp_path / "live", crashed)
    await house.manager.close()
    found = await read(crashed, session_id)
    assert found.machine is not None
    assert found.machine.definition == DEFINITION
    assert (found.header.version, found.state[HIDDEN]) == (3, {"one": "ace"})
    told = [event.data for event in found.log.events if event.name == "session.updated"]
    assert [set(data["views"]) for data in told] == [{"one", "two", "all"}] * 2
    assert [len(data["views"]["all"]) for data in told] == [0, 2]
    assert [len(data["patch"]) for data in told] == [1, 2]


def copied(source: Path, target: Path) -> None:
    """Copy a folder as it is now, but for what only says that somebody has it."""
    for file in source.rglob("*"):
        if file.is_file() and file.name != "lock":
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())


async def test_machine_is_in_backups(tmp_path: Path) -> None:
    """A backup has it, as part of the session file."""
    async with open_house(FileStorage(tmp_path)) as house:
        session_id = await a_game(house)
        info = await house.storage.back_up("test")
    files = list((tmp_path / "backups" / info.name).rglob(f"{session_id}*"))
    assert files
    store_id = read_identity(tmp_path / "store.json", (tmp_path / "store.json").read_bytes()).store_id
    assert all(decode_session(file.read_bytes(), store_id).session.machine is not None for file in files)


def test_session_without_a_machine_is_written_as_before() -> None:
    """Its file and its line in the index say nothing of machines, so that nothing of it is new to older versions."""
    session = a_session(n=1)
    data = encode_session(session, "store", 7)
    assert b"machine" not in data
    assert decode_session(data, "store").session == session


@pytest.mark.parametrize("version", [0, 3])
def test_index_of_before_and_of_now_is_read(version: int) -> None:
    """The count of machines is at the end of a line; where it is not there yet, it is 0."""
    header = replace(a_session().header, machine_version=version)
    text = encode_index("store", 5, [Place(header, 10, 5, 4, 5)])
    found = decode_index(text, "store")
    assert found is not None
    assert found.places[header.session_id].header.machine_version == version
