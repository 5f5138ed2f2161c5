"""The one gate: every request gets one answer, whatever goes wrong."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from stui_sessiond.commands.dispatch import Dispatcher
from stui_sessiond.commands.table import Caller, Command, CommandTable
from stui_sessiond.contract import Contract, Descriptor, load_contract
from stui_sessiond.errors import MalformedJsonError, SessionNotFoundError, StuiError
from stui_sessiond.ids import SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.wire.forms import Request
from stui_sessiond.wire.messages.connection import Hello


class TestCaller:
    """A connection that may do what the test says."""

    __test__ = False

    def __init__(self, *rights: str, must_greet: bool = False) -> None:
        self.rights = frozenset(rights or {"connect", "session"})
        self.greeted = False
        self.must_greet = must_greet
        self.client_id: str | None = None
        self.proof: str | None = None
        self.subscriptions: set[Any] = set()

    def greet(self, hello: Hello, link: ImageLink | None) -> None:
        """Take up a role."""

    def send(self, message: bytes) -> None:
        """Send a message."""

    def deliver(self, message: bytes) -> None:
        """Take an event."""

    def unsubscribed(self, session_id: SessionId) -> None:
        """Take note that a session is gone."""

    def close(self, close_name: str) -> None:
        """End."""

    def refuse_later(self, close_name: str) -> None:
        """End later."""


class Wave(msgspec.Struct):
    """Parameters of the command that the tests call."""

    times: int = 1


def a_dispatcher(handle: Callable[[Caller, Wave], Any] = lambda _, asked: asked.times) -> Dispatcher:
    """Make a dispatcher for `wave` (with this handler), `later` and `told`."""

    def described(name: str, *errors: str, since: str = "0.1.0", sender: str = "client") -> Descriptor:
        return Descriptor(name, "Wave", "session", sender, since, "session", "Wave.", {}, {}, list(errors))

    descriptors = (
        described("wave"),
        described("hello", "image_timeout"),
        described("later", since="99.0.0"),
        described("told", sender="daemon"),
    )
    contract = Contract("0.1.0", {one.command: one for one in descriptors}, load_contract().errors, {})
    table = CommandTable(contract, [Command("wave", Wave, handle), Command("hello", Wave, handle)])
    return Dispatcher(table, contract.errors, lambda: 0.0)


def asked(command: str = "wave", parameters: str = "{}", *, envelope: bool = False) -> Request:
    """Make a request."""
    return Request("r-1", command, parameters.encode(), None, envelope)


async def answer(dispatcher: Dispatcher, request: Request, caller: Caller | None = None) -> dict[str, Any]:
    """Carry a request out and read the answer."""
    found = dispatcher.answer(request, caller or TestCaller())
    message: dict[str, Any] = json.loads(found if isinstance(found, bytes) else await found)
    return message


async def test_request_that_is_answered_at_once() -> None:
    """A plain handler's answer is there without waiting."""
    dispatcher = a_dispatcher()
    assert isinstance(dispatcher.answer(asked(), TestCaller()), bytes)
    assert (await answer(dispatcher, asked(parameters='{"times": 3}')))["result"] == 3


async def test_request_that_has_to_wait() -> None:
    """A coroutine's answer is awaited; the form is the request's."""

    async def handle(_: Caller, wave: Wave) -> int:
        return wave.times

    dispatcher = a_dispatcher(handle)
    found = dispatcher.answer(asked(), TestCaller())
    assert isinstance(found, Awaitable)
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
