"""What is inside `parameters` and `result`, one Struct per command and direction.

The Structs say names and types; what they mean is written once, in `protocol/commands/*.json`, and a test holds the two
together. A parameter with a default is optional. Unknown fields are ignored. A result field that is UNSET is left out.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1)]
"""A string with something in it."""

Name = Annotated[str, Meta(min_length=1, max_length=256)]
"""An identifier or a name that a peer chooses."""

Key = Annotated[str, Meta(min_length=1, max_length=200)]
"""An idempotency key."""

Seconds = Annotated[float, Meta(gt=0)]
"""A duration."""

Count = Annotated[int, Meta(ge=0)]
"""How many."""

Json = dict[str, Any]
"""A JSON object whose inside belongs to the client or the image, not to us."""

Number = int | float
"""A number that is written without a fraction where it has none, because older clients read an integer there."""


class Position(Struct):
    """A place in a stream of events: history is whole within an epoch."""

    epoch: str
    seq: int


def plain(value: float) -> Number:
    """Write 3600.0 as 3600."""
    return int(value) if float(value).is_integer() else value
