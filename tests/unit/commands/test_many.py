"""One expression on many images."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stui_sessiond.commands.approval import Approvals
from stui_sessiond.commands.many import ManyImagesCommands
from stui_sessiond.errors import EvaluationForbiddenError, ImageUnavailableError
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.security.policy import Policy, PolicyRules
from stui_sessiond.wire.messages.approval import Approve, ListApprovals
from stui_sessiond.wire.messages.evaluation import EvaluateOn, EvaluateOnResult
from tests.unit.bed.caller import TestCaller
from tests.unit.bed.image import ImagePipe, a_link, reply
from tests.unit.bed.wait import until

SEVEN = {"result": "7", "result_type": "SmallInteger", "execution_time": 2, "has_error": False}


class Images:
    """Images of these names, and who asks them."""

    def __init__(self, *names: str, rules: PolicyRules | None = None) -> None:
        registry = ImageRegistry(lambda: 0.0)
        self.links: dict[str, tuple[ImageLink, ImagePipe]] = {}
        for name in names:
            self.links[name] = a_link(name)
            registry.admit(self.links[name][0])
        self.told: list[object] = []
        self.approvals = Approvals(Policy(rules), lambda *told: self.told.append(told), lambda: 0.0)
        self.commands = ManyImagesCommands(registry, self.approvals)
        self.caller = TestCaller(client_id="ada")

    def ask(self, *image_ids: str, timeout: float = 20) -> "asyncio.Task[EvaluateOnResult]":
        """Begin to ask."""
        asked = EvaluateOn("3 + 4", list(image_ids) or None, timeout)
        return asyncio.ensure_future(self.commands.evaluate_on(self.caller, asked))

    async def asked(self, name: str) -> dict[str, Any]:
        """What an image is asked next."""
        return await self.links[name][1].sent.get()

    async def answer(self, name: str, result: dict[str, Any] | None = None) -> dict[str, Any]:
        """Let an image answer what it is asked next."""
        request = await self.asked(name)
        self.links[name][0].receive_reply(reply(request["id"], status="success", result=result or SEVEN))
        return request


@asynccontextmanager
async def open_images(*names: str, rules: PolicyRules | None = None) -> AsyncIterator[Images]:
    """Let images connect, and wait for none of them in the end."""
    images = Images(*names, rules=rules)
    try:
        yield images
    finally:
        await images.commands.close()


async def test_all_images_are_asked() -> None:
    """At the same time, in no session; equal answers are told once."""
    async with open_images("c", "a", "b") as images:
        asking = images.ask()
        request = await images.answer("b", {**SEVEN, "result": "8", "execution_time": 9})
        assert (request["command"], request["parameters"]["code"]) == ("evaluate", "3 + 4")
        assert "session_id" not in request["parameters"]
        await images.answer("c")
        await images.answer("a")
        found = await asking
        assert [(one.image_ids, one.kind, one.result) for one in found.groups] == [
            (["a", "c"], "value", "7"),
            (["b"], "value", "8"),
        ]
        assert (found.images_asked, found.execution_times) == (3, {"a": 2, "b": 9, "c": 2})


async def test_images_that_are_named() -> None:
    """Each once; one that is not there is a group, not the end of it; others are left alone."""
    async with open_images("a", "b") as images:
        asking = images.ask("a", "z", "a")
        await images.answer("a")
        found = await asking
        assert [(one.image_ids, one.kind, one.code) for one in found.groups[1:]] == [
            (["z"], "failed", "image_unavailable")
        ]
        assert (found.images_asked, found.execution_times) == (2, {"a": 2})
        assert images.links["b"][1].sent.empty()


async def test_image_that_hangs() -> None:
    """It costs its time and no more, and is told to stop: nobody could read its answer."""
    async with open_images("a", "b") as images:
        asking = images.ask(timeout=0.001)
        hung = await images.asked("a")
        await images.answer("b")
        found = await asking
        assert [(one.image_ids, one.kind) for one in found.groups] == [(["a"], "failed"), (["b"], "value")]
        assert found.groups[0].code == "image_timeout"
        interrupt = await images.asked("a")
        assert (interrupt["command"], interrupt["parameters"]["request_id"]) == ("interrupt", hung["id"])


async def test_image_that_leaves() -> None:
    """Its link broke; the others answer."""
    async with open_images("a", "b") as images:
        asking = images.ask()
        await images.asked("a")
        images.links["a"][0].lose()
        await images.answer("b")
        assert (await asking).groups[0].code == "image_lost"


async def test_no_image_at_all() -> None:
    """That is an error, not an empty answer."""
    async with open_images() as images:
        with pytest.raises(ImageUnavailableError):
            await images.ask()


async def test_code_that_is_forbidden() -> None:
    """No image hears of it."""
    async with open_images("a", rules=PolicyRules(forbid=["3"])) as images:
        with pytest.raises(EvaluationForbiddenError):
            await images.ask()
        assert images.links["a"][1].sent.empty()


async def test_code_that_somebody_has_to_see() -> None:
    """Once for all images; there is no session to tell of it."""
    async with open_images("a", "b", rules=PolicyRules(ask=["3"])) as images:
        asking = images.ask()

        def waiting() -> list[str]:
            listed = images.approvals.list_approvals(images.caller, ListApprovals()).approvals
            return [one.approval_id for one in listed]

        await until(lambda: bool(waiting()))
        (approval_id,) = waiting()
        images.approvals.approve(images.caller, Approve(approval_id))
        for name in "ab":
            await images.answer(name)
        assert (await asking).images_asked == 2
        assert (waiting(), images.told) == ([], [])
