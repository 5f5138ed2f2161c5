"""Which images are alive, and which have been?"""

from collections import OrderedDict
from collections.abc import Callable, Collection

import msgspec
import structlog

from stui_sessiond.errors import ImageIdInUseError
from stui_sessiond.ids import ImageId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.wire.messages.connection import ImageIdentity

_log = structlog.get_logger(__name__)

REMEMBERED_IMAGES = 1000
"""Images that left and are still listed; the one gone longest is forgotten first."""


class SeenImage(msgspec.Struct, frozen=True):
    """An image as last seen. `last_seen` is seconds since 1970."""

    identity: ImageIdentity
    connected: bool
    last_seen: float


class ImageRegistry:
    """Holds the live links: one per image id, the newest of an instance."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._links: dict[ImageId, ImageLink] = {}
        self._seen: OrderedDict[ImageId, SeenImage] = OrderedDict()

    def admit(self, link: ImageLink) -> ImageLink | None:
        """Take up a link; return the older one of the same instance that it replaces, already lost.

        Raises:
            ImageIdInUseError: another instance is connected under this image id.
        """
        image_id = link.image_id
        present = self._links.get(image_id)
        if present is not None and present.identity.instance_id != link.identity.instance_id:
            msg = (
                f"image id {image_id!r} is in use by instance {present.identity.instance_id}; "
                "stop that image, or give this one another id"
            )
            raise ImageIdInUseError(msg, image_id=image_id, instance_id=present.identity.instance_id)
        self._links[image_id] = link
        self._remember(link, connected=True)
        if present is not None:
            present.lose()
        _log.info("image.connected", image_id=image_id, instance_id=link.identity.instance_id)
        return present

    def leave(self, link: ImageLink) -> bool:
        """Let go of a link; False when a newer one has taken its place already."""
        link.lose()
        if self._links.get(link.image_id) is not link:
            return False
        del self._links[link.image_id]
        self._remember(link, connected=False)
        _log.info("image.disconnected", image_id=link.image_id)
        return True

    def find(self, image_id: ImageId) -> ImageLink | None:
        """The live link to an image."""
        return self._links.get(image_id)

    @property
    def connected(self) -> Collection[ImageId]:
        """The images that are connected now."""
        return self._links.keys()

    def seen(self) -> list[SeenImage]:
        """All images seen since the start, the most recently changed last."""
        return list(self._seen.values())

    def _remember(self, link: ImageLink, *, connected: bool) -> None:
        self._seen.pop(link.image_id, None)
        self._seen[link.image_id] = SeenImage(link.identity, connected, self._clock())
        gone = [image_id for image_id in self._seen if image_id not in self._links]
        for image_id in gone[: max(0, len(gone) - REMEMBERED_IMAGES)]:
            del self._seen[image_id]
