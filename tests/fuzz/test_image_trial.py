"""Does the fuzzer of images find what is wrong with one, and only that? The fuzzer's own image is tried."""

import asyncio

import pytest

from stui_sessiond.testing.fuzz.image_peer import ImagePeer
from stui_sessiond.testing.fuzz.image_trial import ImageTrial, WantedImage, as_transcript
from stui_sessiond.testing.fuzz.tally import Failure

ROUNDS = 30


async def trial(*moves: str) -> tuple[ImageTrial, Failure | None]:
    """Try an image that answers like this."""
    found = ImageTrial(WantedImage(host="127.0.0.1", port=0, rounds=ROUNDS, seed=1, answer_s=2.0))
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(found.run(port.set_result, lambda _: None))
    image = ImagePeer(f"tcp://127.0.0.1:{await port}", None, found.book, "tried")
    await image.prepare(moves, 0)
    try:
        return found, await running
    finally:
        await image.stop()


async def test_image_that_answers_well() -> None:
    """Nothing is found, and every relayed command was asked."""
    found, failure = await trial("answer", "event")
    assert failure is None, failure.text
    assert found.image_id == "tried"
    assert found.tally.conversations == ROUNDS
    asked = {command for command, _ in found.tally.outcomes}
    assert {each.command for each in found.book.relayed()} <= asked


@pytest.mark.parametrize(
    ("move", "kind"), [("wrong", "answer"), ("twice", "twice"), ("stranger", "unasked"), ("noise", "no_message")]
)
async def test_image_that_answers_badly(move: str, kind: str) -> None:
    """It is found, and the transcript says when."""
    _, failure = await trial("answer", move)
    assert failure is not None
    assert failure.kind.partition(":")[0] in {kind, "shape"}
    assert "image<< {" in as_transcript(failure)


@pytest.mark.parametrize(("move", "kind"), [("late", "no_answer"), ("hang_up", "image_gone")])
async def test_image_that_does_not_answer(move: str, kind: str) -> None:
    """So are silence, and an image that leaves."""
    _, failure = await trial("answer", move)
    assert failure is not None
    assert failure.kind == kind
