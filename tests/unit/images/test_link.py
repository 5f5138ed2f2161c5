"""One live image: each request has exactly one outcome."""

import asyncio
from typing import Any

import pytest

from stui_sessiond.errors import (
    ClassNotFoundError,
    EvaluationError,
    ImageBusyError,
    ImageError,
    ImageLostError,
    ImageTimeoutError,
    MethodNotFoundError,
    ObjectNotFoundError,
    ParameterError,
    StuiError,
    UnsupportedOperationError,
)
from stui_sessiond.images import link as link_module
from stui_sessiond.images.link import ImageLink
from stui_sessiond.wire.messages.development import Interrupt, Ping, PingResult
from tests.unit.bed.image import a_link, reply

PONG: dict[str, Any] = {"message": "hi", "status": "ready", "uptime": 1.0}


def ask(link: ImageLink, timeout_s: float | None = None) -> "asyncio.Task[PingResult]":
    """Begin to ask an image for a sign of life."""
    return asyncio.ensure_future(link.ask("ping", Ping(message="hi"), PingResult, timeout_s))


async def test_request_that_is_answered() -> None:
    """The image gets a request in command form, and its answer becomes the result."""
    link, pipe = a_link()
    asking = ask(link)
    assert await pipe.sent.get() == {"id": "d-1", "command": "ping", "parameters": {"message": "hi"}}
    assert link.pending == 1
    link.receive_reply(reply("d-1", status="success", result=PONG))
    assert (await asking).message == "hi"
    assert link.pending == 0


async def test_requests_that_are_answered_in_another_order() -> None:
    """An answer reaches the request it names, and no other."""
    link, pipe = a_link()
    asking = [ask(link) for _ in range(3)]
    sent = [(await pipe.sent.get())["id"] for _ in asking]
    for request_id in reversed(sent):
        link.receive_reply(reply(request_id, status="success", result={**PONG, "message": request_id}))
    assert [(await task).message for task in asking] == sent


async def test_image_that_answers_twice() -> None:
    """The first answer counts; the second is a stray, before the request has woken up as after it."""
    link, pipe = a_link()
    asking = ask(link)
    await pipe.sent.get()
    link.receive_reply(reply("d-1", status="success", result=PONG))
    link.receive_reply(reply("d-1", status="error", error="no"))
    assert (await asking).message == "hi"
    link.receive_reply(reply("d-1", status="error", error="no"))
    assert link.strays == 2


async def test_image_that_answers_for_nobody() -> None:
    """An answer to what was never asked disturbs no request."""
    link, pipe = a_link()
    asking = ask(link)
    await pipe.sent.get()
    link.receive_reply(reply("d-99", status="success", result=PONG))
    assert link.strays == 1
    assert not asking.done()
    link.lose()
    with pytest.raises(ImageLostError):
        await asking


async def test_image_that_never_answers() -> None:
    """The request ends when its time is over; an answer that comes later is a stray."""
    link, _ = a_link()
    with pytest.raises(ImageTimeoutError) as caught:
        await ask(link, 0.001)
    assert caught.value.details == {"image_id": "pharo", "timeout": 0.001}
    assert link.pending == 0
    link.receive_reply(reply("d-1", status="success", result=PONG))
    assert link.strays == 1


async def test_request_that_is_given_up() -> None:
    """Nobody waits for it any more, so its answer is a stray."""
    link, pipe = a_link()
    asking = ask(link)
    await pipe.sent.get()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert link.pending == 0


async def test_link_that_is_lost() -> None:
    """All who wait hear of it, and whoever asks later does at once, without a word to the image."""
    link, pipe = a_link()
    asking = [ask(link), ask(link)]
    for _ in asking:
        await pipe.sent.get()
    link.lose()
    link.lose()
    for task in asking:
        with pytest.raises(ImageLostError) as caught:
            await task
        assert caught.value.details == {"image_id": "pharo"}
    with pytest.raises(ImageLostError):
        await ask(link)
    assert pipe.sent.empty()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("class_not_found", ClassNotFoundError),
        ("method_not_found", MethodNotFoundError),
        ("object_not_found", ObjectNotFoundError),
        ("evaluation_error", EvaluationError),
        ("invalid_parameters", ParameterError),
        ("unsupported_operation", UnsupportedOperationError),
        ("image_error", ImageError),
        ("session_not_found", ImageError),
        ("authentication_failed", ImageError),
        ("made_up", ImageError),
        (None, ImageError),
    ],
)
async def test_image_that_answers_with_an_error(code: str | None, kind: type[StuiError]) -> None:
    """What an image may say of itself passes; it cannot speak in the daemon's name."""
    link, pipe = a_link()
    asking = ask(link)
    await pipe.sent.get()
    link.receive_reply(reply("d-1", status="error", error="it did not work", code=code, details={"a": 1}))
    with pytest.raises(kind) as caught:
        await asking
    assert type(caught.value) is kind
    assert caught.value.message == "it did not work"
    assert caught.value.details == {"a": 1, "image_id": "pharo"}


async def test_image_that_answers_with_an_error_and_no_text() -> None:
    """There is always something to show to a person."""
    link, pipe = a_link()
    asking = ask(link)
    await pipe.sent.get()
    link.receive_reply(reply("d-1", status="error"))
    with pytest.raises(ImageError, match="answered with an error"):
        await asking


@pytest.mark.parametrize("result", [None, [], {"uptime": "long"}, "text"])
async def test_image_that_answers_something_else(result: object) -> None:
    """An answer that is not of the agreed shape is the image's error, not a result."""
    link, pipe = a_link()
    asking = ask(link)
    await pipe.sent.get()
    link.receive_reply(reply("d-1", status="success", result=result))
    with pytest.raises(ImageError, match="agreed shape"):
        await asking


async def test_capability_that_is_missing() -> None:
    """An image that told what it can do is not asked for anything else; one that told nothing is."""
    link, pipe = a_link(capabilities=("evaluate",))
    with pytest.raises(UnsupportedOperationError) as caught:
        await ask(link)
    assert caught.value.details == {"capability": "ping", "image_id": "pharo"}
    assert pipe.sent.empty()
    assert link.can("evaluate")
    assert a_link()[0].can("anything")


async def test_pending_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request too many is refused before anything is sent; an answer makes room."""
    monkeypatch.setattr(link_module, "MAX_PENDING", 2)
    link, pipe = a_link()
    asking = [ask(link), ask(link)]
    for _ in asking:
        await pipe.sent.get()
    with pytest.raises(ImageBusyError):
        await ask(link)
    assert pipe.sent.empty()
    link.receive_reply(reply("d-1", status="success", result=PONG))
    await asking[0]
    third = ask(link)
    assert (await pipe.sent.get())["id"] == "d-3"
    link.lose()
    await asyncio.gather(asking[1], third, return_exceptions=True)


async def test_telling_needs_no_answer() -> None:
    """One that comes all the same is no stray; an image that cannot, or is gone, is not told."""
    link, pipe = a_link()
    link.tell("release_session", {"session_id": "s"})
    told = await pipe.sent.get()
    assert told["command"] == "release_session"
    link.receive_reply(reply(told["id"], status="error", error="no"))
    assert (link.strays, link.pending) == (0, 0)
    link.lose()
    link.tell("release_session", {})
    other, other_pipe = a_link(capabilities=("evaluate",))
    other.tell("release_session", {})
    assert pipe.sent.empty()
    assert other_pipe.sent.empty()


async def test_answer_that_cannot_be_read_ends_its_request() -> None:
    """The one who asked gets an error that says why, and does not wait for another answer in vain."""
    link, pipe = a_link()
    asking, other = ask(link), ask(link)
    await pipe.sent.get()
    link.receive_unreadable("d-1", "the message is longer than 10 bytes")
    with pytest.raises(ImageError, match="cannot be read: the message is longer than 10 bytes"):
        await asking
    assert not other.done()
    link.receive_unreadable("d-1", "again")
    assert link.strays == 1
    link.lose()
    with pytest.raises(ImageLostError):
        await other


def test_complaints_that_go_on_become_rare(capsys: pytest.CaptureFixture[str]) -> None:
    """A thousand of a kind are ten lines of the log, the first one at once; each kind counts for itself."""
    link, _ = a_link()
    for number in range(1000):
        link.complain("image.odd", number=number)
    link.complain("image.other")
    said = capsys.readouterr().out
    assert said.count("image.odd") == 10
    assert "count=512" in said
    assert said.count("image.other") == 1


async def test_interrupt_goes_past_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent although no other request may be, and takes nobody's place."""
    monkeypatch.setattr(link_module, "MAX_PENDING", 1)
    link, pipe = a_link()
    asking = ask(link)
    waiting = (await pipe.sent.get())["id"]
    interrupting = asyncio.ensure_future(link.interrupt(Interrupt(waiting), None))
    sent = await pipe.sent.get()
    assert (sent["command"], sent["parameters"]) == ("interrupt", {"request_id": waiting, "force": False})
    assert (link.pending, link.awaits(waiting), link.awaits("d-99")) == (1, True, False)
    link.receive_reply(reply(waiting, status="success", result=PONG))
    assert (link.pending, link.awaits(waiting)) == (1, False)
    await asking
    again = ask(link)
    await pipe.sent.get()
    link.receive_reply(reply(sent["id"], status="success", result={"interrupted": True}))
    assert (await interrupting).interrupted
    link.lose()
    with pytest.raises(ImageLostError):
        await again
    with pytest.raises(ImageLostError):
        await link.interrupt(Interrupt(waiting), None)


async def test_interrupt_of_an_image_that_cannot() -> None:
    """Nothing is sent."""
    link, pipe = a_link(capabilities=("evaluate",))
    with pytest.raises(UnsupportedOperationError) as caught:
        await link.interrupt(Interrupt("d-1"), None)
    assert caught.value.details["capability"] == "interrupt"
    assert pipe.sent.empty()
