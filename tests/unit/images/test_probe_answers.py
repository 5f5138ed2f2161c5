"""What an image can do is tried: what it answers, and what counts as an answer."""

import asyncio

from stui_sessiond.images.probe import Outcome, probe
from tests.unit.bed.image import a_link, reply


async def test_image_that_has_no_such_method_can_look_for_it() -> None:
    """Dialects differ in where they have `printString`; an image that says that it is not there has answered."""
    link, pipe = a_link(capabilities=("get_hierarchy", "get_method", "find_methods"))
    certificate: dict[str, Outcome] = dict.fromkeys(link.identity.capabilities, "claimed")
    probing = asyncio.ensure_future(probe(link, certificate))
    for code in ("class_not_found", "method_not_found", "image_error"):
        request = await pipe.sent.get()
        link.receive_reply(reply(request["id"], status="error", error="no", code=code))
    await probing
    assert certificate == {"get_hierarchy": "works", "get_method": "works", "find_methods": "failed"}
    assert link.failed == {"find_methods"}
