"""Changes to sessions as the manager hands them to a storage."""

from typing import Any

from msgspec.structs import replace

from stui_sessiond.ids import ClientId, ConnectionId, ImageId, InstanceId, ToolId
from stui_sessiond.model.event import News
from stui_sessiond.model.request import Failure, Origin, RequestEntry, RequestState
from stui_sessiond.model.session import History, Role, Session
from stui_sessiond.sessions.history import HistoryRules, advance
from stui_sessiond.sessions.ledger import LedgerRules, Once, carried_out, noted
from stui_sessiond.sessions.log import LogRules, append
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
    session, version = advance(session, replace(session, state={"a/b": {}}), 1.7e9 + 3, "ada", "updated", RULES)
    news = [
        News("session.created", {"version": 1}, 1.7e9),
        News("session.updated", {"version": 4, "patch": [one.to_json() for one in version.steps]}, 1.7e9 + 3),
        News("transcript", {"text": "ünï ☕ \u0000", "version": 4, "patch": [1]}, 1.7e9 + 4),
    ]
    session, _ = append(session, news, "e1", 1.7e9 + 4, LogRules())
    for request in requests():
        session = replace(session, requests=noted(session.requests, request, 1.7e9, LedgerRules()))
    shares: dict[ClientId, Role] = {ClientId("bob"): "editor", ClientId("tom ☕"): "viewer"}
    return replace(session, header=replace(session.header, shares=shares, key="a key"))


def requests() -> list[RequestEntry]:
    """Make a request of each kind."""

    def made(key: str, state: RequestState, **fields: Any) -> RequestEntry:  # noqa: ANN401 -- fields of RequestEntry
        common: dict[str, Any] = {"key": key, "command": "evaluate", "digest": "d", "accepted_at": 1.7e9 + 0.125}
        return RequestEntry(**common, state=state, **fields)

    origin = Origin(ConnectionId("conn_1"), "r-1", envelope=True)
    asked = {"relay_id": "s:1", "image_id": ImageId("pharo"), "instance_id": InstanceId("i-1")}
    return [
        made("running", "running", origin=origin, client_id="ada", tool_id="one", **asked),
        made("done", "done", result='{"a":"ü"}', finished_at=1.7e9 + 1, code="3 + 4", page_chars=100),
        made("failed", "failed", failure=Failure("image_error", "no ☕", {"a": [1]}), finished_at=1.7e9 + 1),
        made("lost", "lost", finished_at=1.7e9 + 2, **asked),
        made("waiting", "done", result="{}", has_error=True, code="c", code_cut=True, debugger_id="a.0.d", **asked),
        made("update", "done", version=3, client_id="ada"),
    ]


def happening(session: Session, *names: str, epoch: str = "e1", request: RequestEntry | None = None) -> Commit:
    """Let something happen to a session that makes no version, and perhaps note a request."""
    base = session.header.seq
    changed, events = append(session, [News(name, {"n": name}, 5.0) for name in names], epoch, 5.0, LogRules())
    if request is not None:
        changed = replace(changed, requests=noted(changed.requests, request, 5.0, LedgerRules()))
    change = () if request is None else (request,)
    return Commit(changed, 100, session.header.version, base_seq=base, events=events, requests=change)


def told_step(session: Session, key: str, **state: Any) -> Commit:  # noqa: ANN401 -- any JSON
    """Make the next version with this state, with its event and the request that asked for it."""
    now = session.header.last_modified + 1
    changed, entry = advance(session, replace(session, state=state), now, "ada", "updated", RULES)
    data = {"version": entry.version, "patch": [one.to_json() for one in entry.steps], "client_id": "ada"}
    changed, events = append(changed, [News("session.updated", data, now)], "e1", now, LogRules())
    request = carried_out(Once(key, "update_session_state", "d", "ada"), entry)
    changed = replace(changed, requests=noted(changed.requests, request, now, LedgerRules()))
    base = session.header
    return Commit(changed, 100, base.version, entry, base_seq=base.seq, events=events, requests=(request,))


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
