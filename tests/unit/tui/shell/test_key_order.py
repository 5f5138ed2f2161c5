"""Keys that come at once, as a slow line brings them, into an application with a field, a text and a dialog."""

from __future__ import annotations

from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key, Paste
from textual.widgets import Input, TextArea

from stui_sessiond.tui.dialogs import Ask, Choose
from stui_sessiond.tui.key_order import KeyOrder
from tests.unit.tui.bed import run, until


class Notes(KeyOrder[None]):
    """A text and a field; keys that run, ask and close."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+p", "run", "Run", priority=True),
        Binding("f3", "choose", "Choose"),
        Binding("f5", "ask", "Ask"),
        Binding("f9", "close", "Close"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.answers: list[str | None] = []

    def compose(self) -> ComposeResult:
        """The text above."""
        yield TextArea()
        yield Input()

    @property
    def text(self) -> str:
        """What was typed into the text."""
        return self.screen_stack[0].query_one(TextArea).text

    def action_run(self) -> None:
        """Note what would be run."""
        self.ran.append(self.text)

    def action_choose(self) -> None:
        """Ask which one."""
        self.push_screen(Choose("Which one?", [("a", "first"), ("b", "second"), ("c", "third")]), self.answers.append)

    def action_ask(self) -> None:
        """Ask for a word."""
        self.push_screen(Ask("Which word?", "nil"), self.answers.append)

    async def action_close(self) -> None:
        """Close the text, and what is on its way to it."""
        await self.query_one(TextArea).remove()
        self.query_one(Input).focus()

    def send(self, *typed: str) -> None:
        """Send keys, all of them at once; a text in angle brackets is pasted."""
        for key in typed:
            if key.startswith("<"):
                self.post_message(Paste(key[1:-1]))
            else:
                self.post_message(Key(key, key if len(key) == 1 else None))


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        pytest.param([*"ab", "backspace", "c"], "ac", id="backspace"),
        pytest.param([*"ac", "left", "b", "end", "d"], "abcd", id="arrows"),
        pytest.param([*"ab", "ctrl+u", *"39"], "39", id="a-line-deleted"),
        pytest.param(["a", "<bc>", "backspace", "d"], "abd", id="pasted"),
        pytest.param([*"ab", "shift+left", "x"], "ax", id="selected"),
    ],
)
async def test_text_is_as_it_was_typed(typed: list[str], text: str) -> None:
    """Letters and keys that move and delete are obeyed one after the other."""
    app = Notes()
    async with run(app) as pilot:
        app.send(*typed)
        await until(pilot, lambda: app.text == text, text)


async def test_key_with_priority_waits_for_what_was_typed() -> None:
    """Code is run with all of its letters, and without those that were typed later."""
    app = Notes()
    async with run(app) as pilot:
        app.send(*"3+4", "alt+p", *"56", "alt+p")
        await until(pilot, lambda: len(app.ran) == 2)
        assert app.ran == ["3+4", "3+456"]


async def test_keys_for_a_dialog_get_there() -> None:
    """What is typed right after the key that brings a dialog is for the dialog, what comes after it for the text."""
    app = Notes()
    async with run(app) as pilot:
        app.send("a", "f3", "down", "down", "enter", "b", "f5", "ctrl+u", *"xy", "enter", "c")
        await until(pilot, lambda: app.text == "abc", "the letters")
        assert app.answers == ["c", "xy"]


async def test_keys_go_on_when_a_widget_is_gone() -> None:
    """A widget that is closed takes nothing with it that was typed for the next one."""
    app = Notes()
    async with run(app) as pilot:
        app.send("f9", *"next")
        await until(pilot, lambda: app.query_one(Input).value == "next")
