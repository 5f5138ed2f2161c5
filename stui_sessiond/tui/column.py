"""How does text of others fit into a column? Pure."""

from stui_sessiond.printable import printable


def cut(text: str, width: int) -> str:
    """Printable text of at most so many columns; what is left out is marked."""
    shown = printable(text)
    return shown if len(shown) <= width else f"{shown[: width - 1]}~"
