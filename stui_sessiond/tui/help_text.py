"""Which keys do what, here and now? Pure: the bindings of the screen, sorted for people."""

from collections.abc import Callable, Iterable

from textual.binding import Binding

GENERAL = (
    "Tab, Shift+Tab go from field to field, in code only Shift+Tab; the mouse works as well.",
    "Ctrl+P finds every command by its name.",
    "What you type is kept on this machine at once, and in the session after a second.",
)


def help_lines(bindings: Iterable[tuple[object, Binding, bool]], show_key: Callable[[Binding], str]) -> list[str]:
    """List the keys that work: first those that stui gives a meaning, then those of the widgets.

    Args:
        bindings: who has it, the binding, whether it works now.
        show_key: writes a key.
    """
    ours: dict[str, list[str]] = {}
    usual: dict[str, list[str]] = {}
    there = [(owner, binding) for owner, binding, enabled in bindings if enabled and binding.description]
    for owner, binding in sorted(there, key=lambda one: not one[1].show):  # those of the last line first
        keys = (ours if _is_ours(owner, binding) else usual).setdefault(binding.description, [])
        keys.append(show_key(binding))
    return [*GENERAL, "", *_lines(ours), "", *_lines({name: usual[name] for name in usual if name not in ours})]


def _lines(keys: dict[str, list[str]]) -> list[str]:
    return [f"{', '.join(dict.fromkeys(each)):<16} {name}" for name, each in keys.items()]


def _is_ours(owner: object, binding: Binding) -> bool:
    """Tell whether a binding is of a class of this program, not of Textual's."""
    return any(
        binding.action == (each.action if isinstance(each, Binding) else each[1])
        for kind in type(owner).__mro__
        if kind.__module__.startswith(__package__ or "")
        for each in kind.__dict__.get("BINDINGS", ())
    )
