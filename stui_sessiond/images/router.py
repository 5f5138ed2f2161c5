"""Which image is a request for? Pure: decides from names alone.

A session belongs to one image. A request for a session without one goes to the only image there is, if there is
exactly one; nothing is guessed.
"""

from collections.abc import Collection

from stui_sessiond.errors import ImageUnavailableError, ParameterError
from stui_sessiond.ids import ImageId


def choose(of_session: ImageId | None, asked: ImageId | None, connected: Collection[ImageId]) -> ImageId:
    """Choose the image.

    Raises:
        ParameterError: the request names another image than the one its session belongs to.
        ImageUnavailableError: it is not connected, or none is named and not exactly one is connected.
    """
    if of_session is not None and asked is not None and asked != of_session:
        msg = f"the session belongs to image {of_session!r}, not {asked!r}"
        raise ParameterError(msg, field="image_id", image_id=of_session)
    names = sorted(connected)
    wanted = of_session or asked
    if wanted is not None:
        if wanted not in connected:
            msg = f"image {wanted!r} is not connected"
            raise ImageUnavailableError(msg, image_id=wanted, connected=names)
        return wanted
    if len(names) == 1:
        return ImageId(names[0])
    msg = f"{len(names)} images are connected; say which with `image_id`" if names else "no image is connected"
    raise ImageUnavailableError(msg, connected=names)
