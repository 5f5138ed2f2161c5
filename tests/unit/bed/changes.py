"""Changes to sessions as the manager hands them to a storage."""

from typing import Any

from msgspec.structs import replace

from stui_sessiond.ids import ImageId, ToolId
from stui_sessiond.model.session import History, Session
from stui_sessiond.sessions.history import HistoryRules, advance
from stui_sessiond.sessions.transitions import save_context, snapshot
from stui_sessiond.storage.api import Commit, SessionStorage
from tests.unit.bed.house import a_session

RULES = HistoryRules()


def a_new_session(number: int = 1, *, client: str = "ada", **state: Any) -> Session:  # noqa: ANN401 -- any JSON
    """Make a session at version 1 whose history begins with what it is."""
    session = a_session(number, client=client, **state)
    return replace(session, history=History(session.document(), 1))


def a_full_session(number: int = 1) -> Session:
    """Make a session with something in every field, at version 4."""
    session = a_new_session(
        number, text='ünï ☕ \u0000 \\ " \n', numbers=[1, -1.5, 2**53, None, True], deep={"a": [{}]}
    )
    header = replace(session.header, image_id=ImageId("pharo"), name="my work", closed_at=1.75e9)
    session = replace(
        session,
        header=header,
        description="what it is for",
        client_version="1.0",
        client_info={"platform": "x"},
        config={"a": 1},
    )
    session, _ = advance(
        session, replace(session, state={"a/b": None, "~": 1}), 1.7e9 + 0.123456, "ada", "updated", RULES
    )
    context = save_context(session, ToolId("workspace/1"), {"workspace": {"bindings": {"x": "1"}}}, 1.7e9)
    session, _ = advance(session, context, 1.7e9 + 1, None, "context.saved", RULES)
    session = snapshot(session, "before ☕", 1.7e9 + 2)
    return advance(session, replace(session, state={"a/b": {}}), 1.7e9 + 3, "ada", "updated", RULES)[0]


def whole(session: Session, size_bytes: int = 100) -> Commit:
    """Store a session whole, as when it is new."""
    return Commit(session, size_bytes, session.header.version - 1, whole=True)


def step(session: Session, size_bytes: int = 100, **state: Any) -> Commit:  # noqa: ANN401 -- any JSON
    """Make the next version with this state."""
    now = session.header.last_modified + 1
    changed, entry = advance(session, replace(session, state=state), now, "ada", "updated", RULES)
    return Commit(changed, size_bytes, session.header.version, entry)


def header_only(session: Session, **fields: Any) -> Commit:  # noqa: ANN401 -- fields of SessionHeader
    """Change nothing but the header."""
    changed = replace(session, header=replace(session.header, **fields))
    return Commit(changed, 100, session.header.version)


async def put_versions(storage: SessionStorage, count: int, number: int = 1) -> list[Session]:
    """Store a new session and `count - 1` more versions of it; give all of them."""
    made = [a_new_session(number)]
    await storage.commit(whole(made[0]))
    for version in range(2, count + 1):
        change = step(made[-1], count=version)
        await storage.commit(change)
        made.append(change.session)
    return made
