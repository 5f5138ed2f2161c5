"""How is a message written as a WebSocket text frame, and read from one that is here whole? Pure (RFC 6455, 5.2).

The short way for the frames that nearly all traffic is made of. Whatever is not exactly such a frame (a fragment,
another kind, not masked, reserved bits, a length in more bytes than it takes, not all here) is left to the library,
which knows all the rules.
"""

from typing import Final, NamedTuple

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without the extension
    from websockets.utils import apply_mask

_WHOLE_TEXT: Final = 0x81
"""FIN and opcode 1, no reserved bits."""

_MASKED: Final = 0x80
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127
_SHORT_MOST: Final = 125
_MIDDLE_MOST: Final = 0xFFFF
_SHORTEST: Final = 6
"""Two bytes of header, four of mask."""


class Read(NamedTuple):
    """A message, and where the next frame begins."""

    payload: bytes
    end: int


def read_text(data: bytes, start: int, limit_bytes: int) -> Read | None:
    """Read the frame that begins at `start`, if it is one whole, masked text frame of at most `limit_bytes`."""
    if len(data) - start < _SHORTEST or data[start] != _WHOLE_TEXT:
        return None
    length = data[start + 1] - _MASKED
    mask_at = start + 2
    if length == _TWO_BYTES:
        mask_at = start + 4
        length = int.from_bytes(data[start + 2 : mask_at], "big")
        if length <= _SHORT_MOST:
            return None
    elif length == _EIGHT_BYTES:
        mask_at = start + 10
        length = int.from_bytes(data[start + 2 : mask_at], "big")
        if length <= _MIDDLE_MOST:
            return None
    payload_at = mask_at + 4
    end = payload_at + length
    if length < 0 or length > limit_bytes or end > len(data):
        return None
    return Read(apply_mask(data[payload_at:end], data[mask_at:payload_at]), end)


def write_text(message: bytes) -> bytes:
    """Write a frame as a server does: whole and not masked."""
    length = len(message)
    if length <= _SHORT_MOST:
        return b"\x81%c%b" % (length, message)
    if length <= _MIDDLE_MOST:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), message)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), message)
