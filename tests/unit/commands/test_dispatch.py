"""The one gate: every request gets one answer, whatever goes wrong."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from stui_sessiond.commands.dispatch import Answer, Dispatcher
from stui_sessiond.commands.table import Caller, Command, CommandTable, Followed
from stui_sessiond.contract import Contract, Descriptor, SessionRole, load_contract
from stui_sessiond.errors import MalformedJsonError, NotDrivingError, SessionNotFoundError, StuiError
from stui_sessiond.ids import ConnectionId
from stui_sessiond.model.request import Failure, Origin, RequestEntry
from stui_sessiond.wire.forms import Request
from tests.unit.bed.caller import TestCaller


class Wave(msgspec.Struct):
    """Parameters of the command that the tests call."""

    times: int = 1
    session_id: str | None = None


class TestGate:
    """Keeps what it was asked; refuses session `closed`."""

    __test__ = False

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def admit(self, descriptor: Descriptor, caller: Caller) -> None:
        """Let everybody in."""

    def check_client(self, descriptor: Descriptor, client_id: object, caller: Caller) -> None:
        """Let everybody have any name."""

    def check(self, descriptor: Descriptor, session_id: str, caller: Caller) -> None:
        """Go on, or not."""
        del caller
        self.asked.append((descriptor.command, session_id))
        if session_id == "closed":
            msg = "somebody else drives"
            raise NotDrivingError(msg, driver="bob")


def a_dispatcher(
    handle: Callable[[Caller, Wave], Any] = lambda _, asked: asked.times, gate: TestGate | None = None
) -> Dispatcher:
    """Make a dispatcher for `wave` (with this handler), `later` and `told`."""

    def described(name: str, *errors: str, since: str = "0.1.0", sender: str = "client") -> Descriptor:
        role: SessionRole | None = "editor" if name == "wave" else None
        return Descriptor(name, "Wave", "session", sender, since, "session", "Wave.", {}, {}, list(errors), role)

    descriptors = (
        described("wave"),
        described("hello", "image_timeout"),
        described("later", since="99.0.0"),
        described("told", sender="daemon"),
    )
    contract = Contract("0.1.0", {one.command: one for one in descriptors}, load_contract().errors, {})
    table = CommandTable(contract, [Command("wave", Wave, handle), Command("hello", Wave, handle)])
    return Dispatcher(table, contract.errors, lambda: 0.0, gate or TestGate())


def asked(command: str = "wave", parameters: str = "{}", *, envelope: bool = False) -> Request:
    """Make a request."""
    return Request("r-1", command, parameters.encode(), None, envelope)


async def answer(dispatcher: Dispatcher, request: Request, caller: Caller | None = None) -> dict[str, Any]:
    """Carry a request out and read the answer."""
    found = dispatcher.answer(request, caller or TestCaller())
    message: dict[str, Any] = json.loads((found if isinstance(found, Answer) else await found).message)
    return message


async def test_request_that_is_answered_at_once() -> None:
    """A plain handler's answer is there without waiting."""
    dispatcher = a_dispatcher()
    assert isinstance(dispatcher.answer(asked(), TestCaller()), Answer)
    assert (await answer(dispatcher, asked(parameters='{"times": 3}')))["result"] == 3


async def test_request_that_has_to_wait() -> None:
    """A coroutine's answer is awaited; the form is the request's."""

    async def handle(_: Caller, wave: Wave) -> int:
        return wave.times

    dispatcher = a_dispatcher(handle)
    found = dispatcher.answer(asked(), TestCaller())
    assert not isinstance(found, Answer)
    await found
    envelope = await answer(dispatcher, asked(envelope=True))
    assert envelope["payload"]["data"] == {"response_type": "Wave", "data": 1}


@pytest.mark.parametrize("waits", [False, True])
async def test_handler_that_refuses(waits: bool) -> None:
    """The domain's error becomes the reply that the contract has for its code."""
    error = SessionNotFoundError("there is none", session_id="s", nothing=None)

    def refuse(_: Caller, wave: Wave) -> int:
        del wave
        raise error

    async def refuse_later(_: Caller, wave: Wave) -> int:
        del wave
        raise error

    reply = await answer(a_dispatcher(refuse_later if waits else refuse), asked())
    assert reply == {
        "status": "error",
        "id": "r-1",
        "error": "there is none",
        "error_type": "SessionNotFound",
        "code": "session_not_found",
        "retryable": False,
        "details": {"session_id": "s"},
        "timestamp": "1970-01-01T00:00:00.000Z",
    }


@pytest.mark.parametrize("waits", [False, True])
async def test_handler_that_crashes(waits: bool) -> None:
    """The peer learns that it was our fault and nothing more, the log has the rest, and the next request works."""
    times = 0

    def crash(_: Caller, wave: Wave) -> int:
        nonlocal times
        times += 1
        if times == 1:
            msg = "secret"
            raise RuntimeError(msg)
        return wave.times

    async def crash_later(caller: Caller, wave: Wave) -> int:
        return crash(caller, wave)

    dispatcher = a_dispatcher(crash_later if waits else crash)
    with capture_logs() as logs:
        reply = await answer(dispatcher, asked())
    assert reply["code"] == "internal_error"
    assert "secret" not in json.dumps(reply)
    assert [(log["event"], log["command"]) for log in logs] == [("request.crashed", "wave")]
    assert str(logs[0]["exc_info"]) == "secret"
    assert (await answer(dispatcher, asked()))["result"] == 1


async def test_handler_whose_result_cannot_be_written() -> None:
    """That is a crash, too: there is an answer all the same."""
    with capture_logs():
        reply = await answer(a_dispatcher(lambda _, __: object()), asked())
    assert reply["code"] == "internal_error"


@pytest.mark.parametrize(
    ("command", "code", "details"),
    [
        ("wink", "unknown_command", {"command": "wink"}),
        ("x" * 5000, "unknown_command", {"command": "x" * 200}),
        ("later", "unsupported_operation", {"command": "later", "since": "99.0.0"}),
        ("told", "unsupported_operation", {"command": "told"}),
    ],
)
async def test_command_that_is_not_to_be_had(command: str, code: str, details: dict[str, str]) -> None:
    """Unknown, not built yet, and ours to send; what is echoed is bounded."""
    reply = await answer(a_dispatcher(), asked(command))
    assert (reply["code"], reply["details"]) == (code, details)
    assert len(reply["error"]) < 300


async def test_caller_without_the_right() -> None:
    """The right is named, and the parameters are not even looked at."""
    reply = await answer(a_dispatcher(), asked(parameters="5"), TestCaller("connect", "observe"))
    assert (reply["code"], reply["details"]) == ("permission_denied", {"right": "session"})


async def test_caller_that_has_to_say_hello() -> None:
    """Nothing else is answered before, not even whether a command exists."""
    caller = TestCaller(must_greet=True)
    for command in ("wave", "wink", "later"):
        assert (await answer(a_dispatcher(), asked(command), caller))["code"] == "authentication_required"
    assert (await answer(a_dispatcher(), asked("hello"), caller))["status"] == "success"


async def test_parameters_that_are_wrong() -> None:
    """The field is named."""
    reply = await answer(a_dispatcher(), asked(parameters='{"times": "many"}'))
    assert (reply["code"], reply["details"]) == ("invalid_parameters", {"field": "times"})


async def test_error_with_an_endless_text() -> None:
    """Some libraries print the whole document: it is cut."""

    def refuse(_: Caller, wave: Wave) -> int:
        del wave
        raise StuiError("x" * 1_000_000)

    assert len((await answer(a_dispatcher(refuse), asked()))["error"]) < 1100


def test_message_that_could_not_be_read() -> None:
    """It is answered in the form and to the id that were found; any other error to nobody."""
    dispatcher = a_dispatcher()
    reply = json.loads(dispatcher.refuse(MalformedJsonError("no", request_id="x", envelope=True)))
    assert (reply["id"], reply["payload"]["data"]["data"]["code"]) == ("x", "InvalidRequest")
    reply = json.loads(dispatcher.refuse(StuiError("no")))
    assert (reply["id"], reply["code"]) == (None, "internal_error")
    reply = json.loads(dispatcher.refuse_request(asked(), StuiError("no")))
    assert reply["id"] == "r-1"


def test_requests_that_wait_for_an_image() -> None:
    """Those that an image may be too slow for."""
    dispatcher = a_dispatcher()
    assert dispatcher.relays(asked("hello"))
    assert not dispatcher.relays(asked("wave"))
    assert not dispatcher.relays(asked("wink"))


@pytest.mark.parametrize("waits", [False, True])
async def test_result_that_something_follows(waits: bool) -> None:
    """What is to happen behind the answer is handed over with it, and not done before."""
    done: list[str] = []

    def follow(_: Caller, wave: Wave) -> Followed:
        return Followed(wave.times, lambda: done.append("then"))

    async def follow_later(caller: Caller, wave: Wave) -> Followed:
        return follow(caller, wave)

    found = a_dispatcher(follow_later if waits else follow).answer(asked(), TestCaller())
    answered = found if isinstance(found, Answer) else await found
    assert json.loads(answered.message)["result"] == 1
    assert done == []
    assert answered.then is not None
    answered.then()
    assert done == ["then"]


async def test_command_about_a_session() -> None:
    """The gate is asked before the handler; a command without a role in a session, or about none, passes by."""
    handled: list[str] = []
    gate = TestGate()
    dispatcher = a_dispatcher(lambda _, wave: handled.append(str(wave.session_id)), gate)
    reply = await answer(dispatcher, asked(parameters='{"session_id": "closed"}'))
    assert (reply["code"], reply["details"], handled) == ("not_driving", {"driver": "bob"}, [])
    assert (await answer(dispatcher, asked(parameters='{"session_id": "open"}')))["status"] == "success"
    await answer(dispatcher, asked())
    await answer(dispatcher, asked("hello", '{"session_id": "closed"}'))
    assert gate.asked == [("wave", "closed"), ("wave", "open")]
    assert handled == ["open", "None", "closed"]


def remembered(origin: Origin | None, **fields: Any) -> dict[str, Any] | None:  # noqa: ANN401 -- fields of RequestEntry
    """Make the answer of a request that is remembered, and read it."""
    entry = RequestEntry(key="k", command="wave", digest="d", accepted_at=1.0, origin=origin, **fields)
    message = a_dispatcher().remembered(entry)
    return None if message is None else json.loads(message)


def test_answer_of_a_request_that_is_remembered() -> None:
    """It is what the first one would have got, to its id and in its form; what cannot be told is not answered."""
    here = Origin(ConnectionId("conn_1"), "r-7")
    reply = remembered(here, state="done", result='{"a":1}')
    assert reply is not None
    assert (reply["id"], reply["status"], reply["result"]) == ("r-7", "success", {"a": 1})
    wrapped = remembered(Origin(ConnectionId("conn_1"), "r-8", envelope=True), state="done", result="5")
    assert wrapped is not None
    assert (wrapped["id"], wrapped["payload"]["data"]["data"]) == ("r-8", 5)
    failed = remembered(here, state="failed", failure=Failure("class_not_found", "no Foo", {"name": "Foo"}))
    assert failed is not None
    assert (failed["id"], failed["code"], failed["details"]) == ("r-7", "class_not_found", {"name": "Foo"})
    lost = remembered(here, state="lost")
    assert lost is not None
    assert lost["code"] == "lost_with_image"
    forgotten = remembered(here, state="done")
    assert forgotten is not None
    assert forgotten["code"] == "outcome_not_kept"
    assert remembered(here, state="running") is None
    assert remembered(None, state="done", result="5") is None
