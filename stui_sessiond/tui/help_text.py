"""Which keys do what, here and now? Pure: the bindings of the screen, sorted for people."""

from collections.abc import Callable, Iterable

from textual.binding import Binding

GENERAL = (
    "Tab, Shift+Tab go from field to field; the mouse works as well.",
    "Ctrl+P finds every command by its name.",
    "What you type is kept on this machine at once, and in the session after a second.",
)


def help_lines(bindings: Iterable[tuple[Binding, bool]], show_key: Callable[[Binding], str]) -> list[str]:
    """List the keys that work: those of the screen and the tool first, in the order in which they were given."""
    seen: set[str] = set()
    lines: list[str] = []
    for binding, enabled in bindings:
        if not enabled or not binding.description or binding.description in seen:
            continue
        seen.add(binding.description)
        lines.append(f"{show_key(binding):<16} {binding.tooltip or binding.description}")
    return [*lines, "", *GENERAL]
