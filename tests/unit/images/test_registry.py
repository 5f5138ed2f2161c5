"""Which images are alive, and which have been."""

import asyncio

import pytest

from stui_sessiond.errors import ImageIdInUseError, ImageLostError
from stui_sessiond.ids import ImageId
from stui_sessiond.images import registry as registry_module
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.wire.messages.development import Ping, PingResult
from tests.unit.bed.clock import FakeClock
from tests.unit.bed.image import a_link

PHARO = ImageId("pharo")


def seen(registry: ImageRegistry) -> list[tuple[str, bool, float | None]]:
    """List the images seen: id, whether connected, when."""
    return [(image.image_id, image.connected, image.record.last_seen) for image in registry.all_known()]


def test_image_that_comes_and_goes() -> None:
    """While it is connected it is found; afterwards it is remembered."""
    clock = FakeClock(1.0)
    registry, (link, _) = ImageRegistry(clock), a_link()
    assert registry.find(PHARO) is None
    assert registry.admit(link) is None
    assert registry.find(PHARO) is link
    assert (list(registry.connected), seen(registry)) == ([PHARO], [("pharo", True, 1.0)])
    clock.pass_time(1)
    assert registry.leave(link)
    assert registry.find(PHARO) is None
    assert (list(registry.connected), seen(registry)) == ([], [("pharo", False, 2.0)])
    assert not registry.leave(link)


async def test_same_instance_that_connects_again() -> None:
    """The new link replaces the old one, whose requests are lost; the old one leaving changes nothing."""
    registry = ImageRegistry(FakeClock())
    (old, pipe), (new, _) = a_link(), a_link()
    registry.admit(old)
    asking = asyncio.ensure_future(old.ask("ping", Ping(), PingResult, None))
    await pipe.sent.get()
    assert registry.admit(new) is old
    with pytest.raises(ImageLostError):
        await asking
    assert not registry.leave(old)
    assert registry.find(PHARO) is new


def test_another_instance_under_the_same_id() -> None:
    """It is refused while the first is there, and may come when that one has gone."""
    registry = ImageRegistry(FakeClock())
    (first, _), (second, _) = a_link(instance_id="i-1"), a_link(instance_id="i-2")
    registry.admit(first)
    with pytest.raises(ImageIdInUseError) as caught:
        registry.admit(second)
    assert caught.value.details == {"image_id": "pharo", "instance_id": "i-1"}
    assert registry.find(PHARO) is first
    registry.leave(first)
    assert registry.admit(second) is None


def test_images_that_left_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one gone longest is forgotten first; one that is connected never is."""
    monkeypatch.setattr(registry_module, "REMEMBERED_IMAGES", 2)
    registry = ImageRegistry(FakeClock(1.0))
    registry.admit(a_link("stays")[0])
    for number in range(4):
        link, _ = a_link(f"goes-{number}")
        registry.admit(link)
        registry.leave(link)
    assert [image_id for image_id, _, _ in seen(registry)] == ["stays", "goes-2", "goes-3"]
