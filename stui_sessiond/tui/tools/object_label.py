"""How is an object told in one line of a tree? Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from stui_sessiond.printable import printable
from stui_sessiond.wire.messages.development import ObjectInfo, Variable

MAX_CHARS = 120
"""Of a printed object in a tree: a line; the details have all of it."""


class Seen(NamedTuple):
    """An object in a tree, as far as it was looked into: enough to know it again."""

    class_name: str
    hash: int | None

    @classmethod
    def of(cls, info: ObjectInfo) -> "Seen":
        """Note an object that was looked into."""
        return cls(info.class_name, info.hash)


def repeated(above: Sequence[Seen], seen: Seen) -> int | None:
    """Tell which of the objects above is this one, by identity hash and class; None if none is, or nobody can tell.

    The image compares only what it shows at once; a tree that is unfolded step by step has to compare by itself.
    """
    if seen.hash is None:
        return None
    return next((level for level, one in enumerate(above) if one == seen), None)


def variable_label(name: str, value: Variable) -> Text:
    """Write a part: its name, what it prints, and a word where it is one of those above."""
    label = Text(printable(name), "bold", no_wrap=True)
    if value.cycle is True:
        return label.append(f" ↻ again: {printable(value.class_name)}, shown above", "not bold italic")
    return label.append(f" {first_line(value.string_representation)}", "not bold")


def first_line(text: str) -> str:
    """Write the first line of what an object prints."""
    first, _, rest = text.partition("\n")
    return printable(first.replace("\t", " "), MAX_CHARS) + (" ..." if rest else "")


def path_text(path: Sequence[str]) -> str:
    """Write the way from the object to a part."""
    return " → ".join(("self", *(printable(step, 40) for step in path)))
