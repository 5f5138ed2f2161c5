"""How is a connection described and tried out? A form that says what is wrong beside the field where it is."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Label, Select, Static

from stui_sessiond.client import ClientError, LastingClient, Patience
from stui_sessiond.printable import printable
from stui_sessiond.tui import work
from stui_sessiond.tui.connection import Connection, Form, ProofSource, check, connection_of, form_of
from stui_sessiond.tui.dialogs import Dialog
from stui_sessiond.tui.moment import latency
from stui_sessiond.tui.proof import TokenError

TEST_S = 5.0
"""For the test of a connection: one that takes longer is no pleasure."""

Opener = Callable[[Connection, Patience | None], LastingClient]
"""Makes the client of a connection; raises `TokenError`, `ValueError` or `OSError`."""

_SOURCES: list[tuple[str, ProofSource]] = [
    ("no token", "none"),
    ("a variable of the environment", "environment"),
    ("the keyring of the desktop", "keyring"),
    ("a file that only I can read", "file"),
]

_FIELDS = (
    ("url", "Address", "wss://HOST:PORT/, tls://, tcp:// or unix:///PATH"),
    ("name", "Name", "what you call it"),
    ("client_id", "I am", "client name; empty: your login name"),
)


async def try_out(opener: Opener, connection: Connection) -> tuple[bool, str]:
    """Connect once; tell whether that worked, and what came of it, in words."""
    try:
        client = opener(connection, Patience(give_up_s=TEST_S, connect_s=TEST_S))
    except (TokenError, ValueError, OSError) as error:
        return False, str(error)
    loop = asyncio.get_running_loop()
    async with client:
        async for status in client.statuses():
            if status.online or status.reason is not None:
                break  # one try is enough: who asks wants to know now
        try:
            await client.connected(0)
            asked = loop.time()
            await client.ping()
            took = latency(loop.time() - asked)
            images = len([one for one in (await client.list_images()).images if one.status == "connected"])
        except ClientError as error:
            status = client.status
            return False, printable(str(status.reason.text if status.reason else error)) + (
                f" - {status.advice}" if status.advice else ""
            )
        greeting = client.greeting
        version = "" if greeting is None else f"daemon {greeting.server_version}, "
        return True, f"connected: {version}answers in {took}, {images} images"


class ConnectionForm(Dialog[Connection]):
    """Describes a connection.

    Args:
        opener: makes the client that tries it out.
        before: the connection that is to be changed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", priority=True),
        Binding("ctrl+t", "test", "Test", priority=True),
    ]

    DEFAULT_CSS = """
    ConnectionForm VerticalScroll { height: auto; max-height: 16; }
    ConnectionForm Horizontal { height: 1; }
    ConnectionForm Horizontal.-source { height: auto; }
    ConnectionForm Label.-field { width: 10; }
    ConnectionForm Input { width: 1fr; margin: 0; border: none; height: 1; padding: 0 1; background: $boost; }
    ConnectionForm Input:focus { background: $primary 40%; border: none; }
    ConnectionForm Select { width: 1fr; }
    ConnectionForm .-wrong { color: $text-error; height: 1; padding: 0 0 0 10; }
    ConnectionForm #result { height: auto; max-height: 3; }
    ConnectionForm #buttons { height: auto; }
    ConnectionForm Button { margin: 0 1 0 0; min-width: 12; }
    """

    def __init__(self, opener: Opener, before: Connection | None = None) -> None:
        super().__init__(
            "A new connection" if before is None else "Change a connection",
            "Tab: next field   Ctrl+T: test   Ctrl+S: save   Esc: cancel",
        )
        self._opener = opener
        self._before = before
        self._form = Form() if before is None else form_of(before)

    def contents(self) -> ComposeResult:
        """The fields."""
        with VerticalScroll(can_focus=False):
            for field, label, hint in _FIELDS:
                with Horizontal():
                    yield Label(label, classes="-field")
                    yield Input(getattr(self._form, field), placeholder=hint, id=field)
                yield Static("", id=f"wrong-{field}", classes="-wrong")
            with Horizontal(classes="-source"):
                yield Label("Token in", classes="-field")
                yield Select(_SOURCES, value=self._form.proof_from, allow_blank=False, id="proof_from", compact=True)
            with Horizontal():
                yield Label("named", classes="-field")
                yield Input(self._form.proof_at, placeholder="variable, keyring user or path", id="proof_at")
            yield Static("", id="wrong-proof_at", classes="-wrong")
            with Horizontal(classes="-source"):
                yield Label("Favourite", classes="-field")
                answers = [("no", False), ("yes", True)]
                yield Select(answers, value=self._form.favourite, allow_blank=False, id="favourite", compact=True)
        with Horizontal(id="buttons"):
            yield Button("Test", id="test", compact=True)
            yield Button("Save", id="save", variant="primary", compact=True)
        yield Static("", id="result", markup=False)

    def form(self) -> Form:
        """What is filled in."""
        texts = {name: self.query_one(f"#{name}", Input).value for name in ("url", "name", "client_id", "proof_at")}
        source = cast("ProofSource", self.query_one("#proof_from", Select).value)
        return Form(**texts, proof_from=source, favourite=self.query_one("#favourite", Select).value is True)

    def _checked(self) -> Connection | None:
        form = self.form()
        wrong = check(form)
        for name in ("url", "name", "client_id", "proof_at"):
            self.query_one(f"#wrong-{name}", Static).update(Content(wrong.get(name, "")))
        if wrong:
            self.query_one(f"#{next(iter(wrong))}").focus()
            return None
        return connection_of(form, self._before)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Test or save."""
        if event.button.id == "test":
            self.action_test()
        else:
            self.action_save()

    def on_input_submitted(self) -> None:
        """Save."""
        self.action_save()

    def action_save(self) -> None:
        """Take it, if it is right."""
        connection = self._checked()
        if connection is not None:
            self.dismiss(connection)

    def action_test(self) -> None:
        """Try it out."""
        connection = self._checked()
        if connection is not None:
            self.query_one("#result", Static).update(Content("trying ..."))
            work.start(self, partial(self._test, connection), group="test", exclusive=True)

    async def _test(self, connection: Connection) -> None:
        worked, text = await try_out(self._opener, connection)
        self.query_one("#result", Static).update(Content(("* " if worked else "! ") + text))
