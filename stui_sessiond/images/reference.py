"""What is an object, or a process, of an image called beyond it? Pure.

An image picks a name that is good as long as it lives. Beyond it, the name says which image, instance and generation
it is of, so that a name of an instance that is gone is known to be stale and never means another object.
"""

import hashlib
import re

from stui_sessiond.errors import ImageError, ParameterError, StaleHandleError
from stui_sessiond.wire.messages.connection import ImageIdentity

_OWN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REFERENCE = re.compile(r"([0-9a-f]{12})\.([0-9]{1,19})\.([A-Za-z0-9_-]{1,64})")


def refer(identity: ImageIdentity, own: str) -> str:
    """Make the name that clients get of the image's own one.

    Raises:
        ImageError: the image's own name is none (IMAGES.md, Objects).
    """
    if not _OWN.fullmatch(own):
        msg = f"image {identity.image_id!r} gave a name that is none: {own[:64]!r}"
        raise ImageError(msg, image_id=identity.image_id)
    return f"{_instance(identity)}.{identity.generation}.{own}"


def resolve(identity: ImageIdentity, reference: str, field: str) -> str:
    """Find the image's own name. `field` is the parameter that has the reference.

    Raises:
        ParameterError: it is no reference.
        StaleHandleError: it is of another instance, or generation, or image.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        msg = f"`{field}` is no name that this daemon gave"
        raise ParameterError(msg, field=field)
    if (found[1], int(found[2])) != (_instance(identity), identity.generation):
        msg = f"{reference} lived in an instance of the image that is gone"
        raise StaleHandleError(msg, image_id=identity.image_id)
    return found[3]


def _instance(identity: ImageIdentity) -> str:
    return hashlib.sha256(f"{identity.image_id}\0{identity.instance_id}".encode()).hexdigest()[:12]
