"""Which keys work here? The last line of a screen. What has no room is left out, but never the key that lists all keys.

Textual's own footer is cut off at the right, and makes a dozen widgets anew whenever a key begins or ceases to work.
"""

from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.screen import Screen
from textual.widget import Widget

ALWAYS = "help_keys"
"""The action whose key is always there, at the end."""


class KeyLine(Widget):
    """Keys with their meanings; a click on one presses it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-line--key", "key-line--meaning"}

    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; color: $footer-foreground; background: $footer-background; }
    KeyLine > .key-line--key { color: $footer-key-foreground; background: $footer-key-background; text-style: bold; }
    KeyLine > .key-line--meaning { color: $footer-description-foreground; background: $footer-description-background; }
    """

    def on_mount(self) -> None:
        """Follow the keys that work."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _: Screen[object]) -> None:
        if self.is_attached:
            self.refresh()

    def render(self) -> Text:
        """Write as many as there is room for."""
        shown: dict[str, tuple[Binding, bool]] = {}
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show:
                shown.setdefault(binding.action, (binding, enabled))
        last = shown.pop(ALWAYS, None)
        end = None if last is None else self._written(*last)
        room = self.size.width - (0 if end is None else end.cell_len + 1)
        line = Text(no_wrap=True)
        for binding, enabled in shown.values():
            written = self._written(binding, enabled)
            if cell_len(line.plain) + written.cell_len > room:
                break
            line.append_text(written).append(" ")
        return line if end is None else line.append_text(end)

    def _written(self, binding: Binding, enabled: bool) -> Text:  # noqa: FBT001 -- a fact, not a switch
        pressed = Style.from_meta({"key": binding.key})
        dim = Style(dim=not enabled)
        key = self.get_component_rich_style("key-line--key") + pressed + dim
        meaning = self.get_component_rich_style("key-line--meaning") + pressed + dim
        return Text.assemble((self.app.get_key_display(binding), key), (f" {binding.description}", meaning))

    def on_click(self, event: events.Click) -> None:
        """Press the key."""
        key = event.style.meta.get("key")
        if isinstance(key, str):
            self.app.simulate_key(key)
