"""An image's end of a link, in memory."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from stui_sessiond.images.link import ImageLink
from stui_sessiond.wire.codec import decode_message
from stui_sessiond.wire.forms import Reply
from stui_sessiond.wire.messages.connection import ImageIdentity


class ImagePipe:
    """Keeps what is sent to the image, in order."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed: str | None = None

    def send(self, message: bytes) -> None:
        """Take one message."""
        self.sent.put_nowait(json.loads(message))

    def close(self, close_name: str) -> None:
        """Note why the connection ended."""
        self.closed = close_name


def a_link(
    image_id: str = "pharo",
    instance_id: str = "i-1",
    capabilities: tuple[str, ...] = (),
    receive_stray: Callable[[ImageLink, Reply], bool] = lambda _link, _reply: False,
) -> tuple[ImageLink, ImagePipe]:
    """Make a link and the pipe it runs over."""
    pipe = ImagePipe()
    return ImageLink(ImageIdentity(image_id, instance_id, capabilities=list(capabilities)), pipe, receive_stray), pipe


def reply(request_id: str, **fields: Any) -> Reply:  # noqa: ANN401 -- fields of a reply
    """Read an image's reply as it comes over the wire."""
    message = decode_message(json.dumps({"id": request_id, **fields}).encode(), 10_000)
    assert isinstance(message, Reply)
    return message
