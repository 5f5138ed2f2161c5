"""What is a tool? A widget with an id, variables of its own in the image, and a state that survives the terminal.

A tool keeps the promise that `present_state()` given to a new tool of its kind shows the same again. It posts
`StateChanged` whenever that changes; saving is the business of the shell, which waits for a quiet moment.
"""

from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from textual.message import Message
from textual.widget import Widget

from stui_sessiond.client import Gap
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.wire.forms import EventMessage

S = TypeVar("S", bound=msgspec.Struct)

TEXT_MODE = "-text"
"""Class of the application while lists are to be plain lines, for a screen reader."""


class Tool(Widget, Generic[S]):
    """One tool of a session.

    Args:
        tool_id: names it within the session; the image keeps its variables under it.
        link: the session.
        state: what it shows; that of before, or `state_type()`.
        title: what its tab says; the name of the kind and a number to begin with.
    """

    kind: ClassVar[str]
    """Stable word for stored layouts: `workspace`."""
    label: ClassVar[str]
    """What people read: `Workspace`."""
    state_type: ClassVar[type[msgspec.Struct]]
    """A Struct of which every field has a default, so that older and newer programs read each other's."""

    DEFAULT_CSS = """
    Tool { width: 1fr; height: 1fr; layout: vertical; }
    """

    class StateChanged(Message):
        """There is something to save."""

        def __init__(self, tool: "AnyTool") -> None:
            self.tool = tool
            super().__init__()

    class TitleChanged(Message):
        """The tab has to say something else."""

        def __init__(self, tool: "AnyTool") -> None:
            self.tool = tool
            super().__init__()

    class Open(Message):
        """Somebody wants another tool beside this one: an inspector on a result, a debugger on an error.

        Args:
            kind: of the new tool.
            state: of its `state_type`; None for an empty one.
            title: None for the usual one.
        """

        def __init__(self, kind: str, state: msgspec.Struct | None = None, title: str | None = None) -> None:
            self.kind = kind
            self.state = state
            self.title = title
            super().__init__()

    def __init__(self, tool_id: str, link: SessionLink, state: S, title: str) -> None:
        super().__init__(id=tool_id)
        self.tool_id = tool_id
        self.link = link
        self.title = title
        self.initial = state

    def present_state(self) -> S:
        """Tell what has to be kept to show the same again. Cheap: it is called after every pause in typing."""
        raise NotImplementedError

    def hear(self, item: EventMessage | Gap) -> None:
        """Something happened in the session. Every tool hears everything, each once, in order; must not wait."""

    def focus_inside(self) -> None:
        """Put the cursor where a person goes on."""
        for widget in self.query("*"):
            if widget.focusable:
                widget.focus()
                return

    def changed(self) -> None:
        """Say that there is something to save."""
        self.post_message(self.StateChanged(self))

    def rename(self, title: str) -> None:
        """Have the tab say something else."""
        if title != self.title:
            self.title = title
            self.post_message(self.TitleChanged(self))

    @property
    def text_mode(self) -> bool:
        """Whether lists are to be plain lines."""
        return self.app.has_class(TEXT_MODE)


AnyTool = Tool[Any]
"""A tool of whatever kind."""
