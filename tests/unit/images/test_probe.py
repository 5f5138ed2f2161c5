"""Does an image do what it says: it is tried, and what failed is not asked of it again."""

import asyncio
from typing import Any

import pytest

from stui_sessiond.errors import UnsupportedOperationError
from stui_sessiond.images import probe as probe_module
from stui_sessiond.images.link import MAX_PENDING, ImageLink
from stui_sessiond.images.probe import Outcome, probe
from stui_sessiond.wire.messages.development import Evaluate, EvaluateResult
from tests.unit.bed.image import ImagePipe, a_link, reply

Json = dict[str, Any]
SEVEN = {"result": "7", "result_type": "SmallInteger", "execution_time": 1, "has_error": False}
ALIVE = {"message": None, "status": "ready", "uptime": 1}


def tried(*capabilities: str) -> tuple[ImageLink, ImagePipe, dict[str, Outcome]]:
    """A link to an image that says it can do this."""
    link, pipe = a_link(capabilities=capabilities)
    return link, pipe, dict.fromkeys(capabilities, "claimed")


def answer(link: ImageLink, request: Json, result: object = None, **failure: str) -> None:
    """Let the image answer."""
    fields: Json = {"status": "error", **failure} if failure else {"status": "success", "result": result}
    link.receive_reply(reply(request["id"], **fields))


async def test_probe_asks_one_after_the_other_what_was_published() -> None:
    """What the image does not claim is not asked; each request waits for the answer before it."""
    link, pipe, certificate = tried("ping", "evaluate", "compile_method")
    trying = asyncio.ensure_future(probe(link, certificate))
    first = await pipe.sent.get()
    assert (first["command"], first["id"][:2], first["parameters"]) == ("ping", "p-", {"tool_id": "default"})
    assert pipe.sent.empty()
    answer(link, first, ALIVE)
    second = await pipe.sent.get()
    assert (second["command"], second["parameters"]["code"]) == ("evaluate", "3 + 4")
    answer(link, second, SEVEN)
    await trying
    assert certificate == {"ping": "works", "evaluate": "works", "compile_method": "claimed"}
    assert (link.tally.requests, link.evaluating, link.pending) == (0, False, 0)


@pytest.mark.parametrize(
    ("result", "failure"),
    [
        ({**SEVEN, "result": "8"}, {}),
        ({**SEVEN, "has_error": True, "result": None}, {}),
        ({"result": 7}, {}),
        (None, {"code": "image_error", "error": "no"}),
        (None, {"code": "unsupported_operation", "error": "no"}),
    ],
)
async def test_probe_that_failed_makes_the_capability_as_good_as_not_published(
    result: object, failure: dict[str, str]
) -> None:
    """A wrong answer, one that is not as agreed, and a refusal: clients are told what was tried."""
    link, pipe, certificate = tried("evaluate", "ping")
    trying = asyncio.ensure_future(probe(link, certificate))
    answer(link, await pipe.sent.get(), ALIVE)
    answer(link, await pipe.sent.get(), result, **failure)
    await trying
    assert certificate == {"ping": "works", "evaluate": "failed"}
    assert not link.can("evaluate")
    with pytest.raises(UnsupportedOperationError, match="failed when it was tried") as caught:
        await link.ask("evaluate", Evaluate(code="1"), EvaluateResult, None)
    assert caught.value.details == {"capability": "evaluate", "image_id": "pharo"}


async def test_probe_that_is_not_answered_leaves_the_rest_unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is slow stays as it said; it is asked no more, and its late answer harms nobody."""
    monkeypatch.setattr(probe_module, "PROBE_TIMEOUT_S", 0.01)
    link, pipe, certificate = tried("ping", "evaluate")
    await probe(link, certificate)
    assert certificate == {"ping": "claimed", "evaluate": "claimed"}
    answer(link, await pipe.sent.get(), ALIVE)
    assert (pipe.sent.empty(), link.strays) == (True, 0)


async def test_probe_of_an_image_that_leaves_ends() -> None:
    """Nothing waits for an image that is gone."""
    link, pipe, certificate = tried("ping", "evaluate")
    trying = asyncio.ensure_future(probe(link, certificate))
    await pipe.sent.get()
    link.lose()
    await trying
    await probe(link, certificate)
    assert (certificate["ping"], pipe.sent.empty()) == ("claimed", True)


async def test_probe_and_signs_of_life_are_beside_what_clients_ask() -> None:
    """They are asked also of an image that has as much to do as it may have."""
    link, pipe, certificate = tried("ping", "evaluate")
    asking = [
        asyncio.ensure_future(link.ask("evaluate", Evaluate(code="1"), EvaluateResult, None))
        for _ in range(MAX_PENDING)
    ]
    for _ in asking:
        await pipe.sent.get()
    trying = asyncio.ensure_future(probe(link, certificate))
    answer(link, await pipe.sent.get(), ALIVE)
    link.ping()
    asked = [await pipe.sent.get(), await pipe.sent.get()]
    for request in asked:
        answer(link, request, ALIVE if request["command"] == "ping" else SEVEN)
    await trying
    assert certificate == {"ping": "works", "evaluate": "works"}
    assert (link.pulse.latency_s is not None, link.evaluating, link.tally.requests) == (True, True, MAX_PENDING)
    link.lose()
    await asyncio.gather(*asking, return_exceptions=True)
    assert (link.tally.errors, link.evaluating) == (MAX_PENDING, False)
