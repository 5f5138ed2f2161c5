"""Does this image keep its word? Plays the cases with images of a running daemon, one after the other, and reports.

Guarantees: what an image does not say it can do is not asked; an image that stopped answering is not asked the rest.
"""

import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from stui_sessiond.testing.images.cases import Case, load_cases, offered
from stui_sessiond.testing.images.desk import Desk
from stui_sessiond.testing.images.play import STEP_S, Outcome, Player
from stui_sessiond.testing.images.report import ImageReport, ImageRow
from stui_sessiond.testing.runner import find_target
from stui_sessiond.testing.talk import DifferenceError, Talk, Target, hello

Say = Callable[[str], None]
"""Takes a line that tells how far it is."""


class UnknownImageError(Exception):
    """No image of that name is connected to the daemon."""


class _Image(Struct, frozen=True):
    """What the daemon tells of an image."""

    image_id: str
    capabilities: tuple[str, ...]
    refuted: frozenset[str]
    """What it published, and failed when the daemon tried it."""


async def run_image_conformance(
    url: str,
    image_ids: Sequence[str],
    token: str | None = None,
    *,
    only: str = "*",
    say: Say = lambda _line: None,
    step_s: float = STEP_S,
) -> ImageReport:
    """Play the cases whose name matches `only` with each image. No step lasts longer than `step_s` seconds.

    Raises:
        UnknownImageError: one of the images is not connected there.
        UnreachableError, TokenNeededError, ValueError: as for `run_conformance`.
    """
    target = replace(await find_target(url, token), step_timeout_s=step_s)
    cases = [case for case in load_cases() if fnmatchcase(case.name, only)]
    images = await _find_images(target, image_ids)
    rows = [row for image in images for row in await _run(target, image, cases, say, step_s)]
    return ImageReport(tuple(dict.fromkeys(image_ids)), rows)


async def _run(target: Target, image: _Image, cases: Sequence[Case], say: Say, step_s: float) -> list[ImageRow]:
    player = Player(target, image.image_id, tries_anything=not image.capabilities, step_s=step_s)
    rows: list[ImageRow] = []
    dead: str | None = None
    for number, case in enumerate(cases, 1):
        started = time.monotonic()
        outcome = _known_before(case, image, dead)
        if outcome is None:
            outcome = await player.play(case)
            if outcome.verdict == "failed" and (why := await player.alive()) is not None:
                dead = f"not played: after {case.name} the image did not answer a ping: {why}"
        taken = round(time.monotonic() - started, 3)
        say(f"{image.image_id} {number}/{len(cases)} {case.name}: {outcome.verdict} ({taken:.1f} s)")
        rows.append(
            ImageRow(image.image_id, case.name, case.capability, outcome.verdict, taken, list(outcome.differences))
        )
    return rows


def _known_before(case: Case, image: _Image, dead: str | None) -> Outcome | None:
    """What can be said of a case without playing it."""
    if not offered(case, image.capabilities):
        return Outcome("not offered")
    if case.capability in image.refuted:
        return Outcome("failed", ["the image publishes it, and it failed when the daemon tried it (`certificate`)"])
    return None if dead is None else Outcome("failed", [dead])


async def _find_images(target: Target, image_ids: Sequence[str]) -> list[_Image]:
    """Look up what the daemon knows of the images."""
    talk = Talk(target, await target.open())
    try:
        if target.must_greet:
            await talk.send(hello(target.token))
            await talk.receive()
        desk = Desk(talk, target.step_timeout_s)
        answer = await desk.answer(await desk.ask("list_images", {}))
    except DifferenceError as error:
        raise UnknownImageError(str(error)) from None
    finally:
        await talk.link.close()
    connected: dict[str, dict[str, Any]] = {
        each["image_id"]: each
        for each in (answer.get("result") or {}).get("images", ())
        if each["status"] == "connected"
    }
    missing = [image_id for image_id in image_ids if image_id not in connected]
    if missing:
        there = ", ".join(sorted(connected)) or "none"
        msg = f"image {missing[0]!r} is not connected to the daemon; connected: {there}"
        raise UnknownImageError(msg)
    return [_image(connected[image_id]) for image_id in dict.fromkeys(image_ids)]


def _image(listed: dict[str, Any]) -> _Image:
    certificate: dict[str, str] = listed.get("certificate") or {}
    refuted = frozenset(capability for capability, outcome in certificate.items() if outcome == "failed")
    return _Image(listed["image_id"], tuple(listed["capabilities"]), refuted)
