"""What is kept of a change of code that an image took?"""

from typing import Final, Literal

import msgspec

from stui_sessiond.ids import ImageId, InstanceId

ChangeKind = Literal["method", "method_removed", "class", "class_removed"]

MAX_TEXT_BYTES: Final = 256 * 1024
"""Of a source that is kept. No method that a person wrote comes near; longer ones would push hundreds of others out."""


class CodeChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change, with what was there before. `at` is seconds since 1970."""

    image_id: ImageId
    instance_id: InstanceId
    generation: int
    at: float
    kind: ChangeKind
    class_name: str
    selector: str | None = None
    is_class_method: bool = False
    category: str | None = None
    source: str | None = None
    """Of a method its source; of a class what `define_class` took, as JSON text, or, if the image told of it, its
    definition. None when it was removed."""
    definition: str | None = None
    """Of a class what came of it, in the image's own words."""
    previous_source: str | None = None
    """Of a class the definition before. None when there was nothing."""
    origin: Literal["client", "image"] = "client"
    client_id: str | None = None
    session_id: str | None = None
    texts_omitted: bool = False
    """Whether it had texts that are longer than is kept; they are None."""

    @property
    def result(self) -> str | None:
        """What the image has after it, in its own words: a source or a definition; None when it was removed."""
        return self.definition if self.kind == "class" else self.source

    @property
    def size_bytes(self) -> int:
        """How much the texts take, roughly."""
        return sum(len(text) for text in (self.source, self.definition, self.previous_source) if text is not None)


class KeptChange(msgspec.Struct, frozen=True):
    """A change that is stored. Ids grow with time, so those of one image are in order."""

    serial: int
    change: CodeChange

    @property
    def change_id(self) -> str:
        """How clients name it."""
        return f"{_PREFIX}{self.serial}"


_PREFIX: Final = "change_"
_MAX_SERIAL: Final = 2**63 - 1


def serial_of(change_id: str) -> int | None:
    """Read an id; None when it is none."""
    digits = change_id.removeprefix(_PREFIX)
    if digits == change_id or not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(_MAX_SERIAL)):
        return None
    return min(int(digits), _MAX_SERIAL)


def with_bounded_texts(change: CodeChange) -> CodeChange:
    """Leave out texts that are too long to be kept, and say so."""
    names = ("source", "definition", "previous_source")
    long = [name for name in names if len((getattr(change, name) or "").encode("utf-8", "replace")) > MAX_TEXT_BYTES]
    if not long:
        return change
    return msgspec.structs.replace(change, texts_omitted=True, **dict.fromkeys(long))


def plain_ends(text: str) -> str:
    """Turn all line ends into LF: images differ in them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
