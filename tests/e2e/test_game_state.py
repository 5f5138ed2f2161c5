"""The game of `examples/game_state` in a real browser: two phones and a board stay in step, whatever happens.

One phone is connected over WebSocket, the other over server-sent events and `POST /rpc`. Needs Chromium (Debian:
`apt-get install chromium`); `STUI_CHROMIUM` may name it. With `STUI_SCREENSHOTS=DIR` the pages are photographed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.harness import DEADLINE_S, ROOT, Json, clean_environment, folder

CHROMIUM = os.environ.get("STUI_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PHONE = {"width": 390, "height": 844}
BOARD = {"width": 1280, "height": 800}
PATIENCE_MS = 15_000.0
LIVE = 'body[data-link="live"]'

needs_browser = pytest.mark.skipif(
    CHROMIUM is None,
    reason="NO BROWSER: the game is NOT played; `apt-get install chromium`, or set STUI_CHROMIUM",
)
expect.set_options(timeout=PATIENCE_MS)


class Game:
    """The game's processes, and its links by seat."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.daemons: list[subprocess.Popen[bytes]] = []
        ports = [arg for name in ("daemon", "pages") for arg in (f"--{name}", str(free_port()))]
        command = [sys.executable, "-m", "examples.game_state.game", "--home", str(home), *ports]
        self.child = subprocess.Popen(
            command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self.child.stdout is not None
        lines = [self.child.stdout.readline().split() for _ in range(3)]
        assert all(len(line) == 2 for line in lines), (home / "daemon.log").read_text("utf-8")
        self.links = dict(lines)

    def kill_daemon(self) -> None:
        """End the daemon without a warning."""
        pid = json.loads((self.home / "ready.json").read_text("utf-8"))["pid"]
        (self.home / "ready.json").unlink()
        os.kill(pid, signal.SIGKILL)
        if self.daemons:
            self.daemons[-1].wait()

    def start_daemon(self) -> None:
        """Start it again, with the same settings."""
        command = [sys.executable, "-m", "stui_sessiond", "serve", "--config", str(self.home / "settings.toml")]
        with (self.home / "daemon.log").open("ab") as log:
            self.daemons.append(subprocess.Popen(command, env=clean_environment(), stderr=log))
        deadline = time.monotonic() + DEADLINE_S
        while not (self.home / "ready.json").exists():
            assert time.monotonic() < deadline, (self.home / "daemon.log").read_text("utf-8")
            time.sleep(0.05)

    def end(self) -> None:
        """End all of it."""
        children: list[subprocess.Popen[Any]] = [self.child, *self.daemons]
        for child in children:
            child.terminate()
            child.wait(timeout=20)
        if self.child.stdout is not None:
            self.child.stdout.close()


def free_port() -> int:
    """A port that was free just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Device:
    """A phone or a board: a page of its own, all that its WebSocket heard, and what went wrong in it."""

    def __init__(self, browser: Browser, game: Game, seat: str) -> None:
        self.seat = seat
        self.context = browser.new_context(viewport=BOARD if seat == "board" else PHONE)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.faults: list[str] = []
        self.frames: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("websocket", lambda web: web.on("framereceived", lambda text: self.frames.append(str(text))))
        self.page.on(
            "console", lambda message: self.faults.append(message.text) if "Content Security" in message.text else None
        )
        self.page.goto(game.links[seat])
        self.page.wait_for_selector(LIVE)

    def click(self, what: str) -> None:
        """Tap on something, once it is there."""
        self.page.click(what)

    def see(self, text: str) -> None:
        """Wait until a text is shown."""
        expect(self.page.locator("body")).to_contain_text(text)

    def ask(self, script: str) -> Any:  # noqa: ANN401 -- any JSON
        """Ask the page."""
        return self.page.evaluate(script)

    @property
    def state(self) -> Json:
        """The state as the page knows it."""
        found: Json = self.ask("gameLink.state")
        return found

    def check_log(self) -> None:
        """What was heard since the page was loaded is in order, each once, without a hole."""
        log = self.ask("gameLink.log")
        numbers = [seq for _, seq in log]
        assert len({epoch for epoch, _ in log}) == 1
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert self.ask("gameLink.gaps") == 0
        assert self.faults == []

    def shoot(self, name: str) -> None:
        """Take a photograph, if somebody wants to look at it."""
        if where := os.environ.get("STUI_SCREENSHOTS"):
            self.page.screenshot(path=f"{where}/{name}-{self.seat}.png")


@contextmanager
def at_the_table() -> Iterator[tuple[Game, Device, Device, Device]]:
    """Two phones and a board, connected."""
    with folder() as home:
        game = Game(home)
        try:
            with chromium() as browser:
                yield game, Device(browser, game, "p1"), Device(browser, game, "p2"), Device(browser, game, "board")
        finally:
            game.end()


def hide_numbers(one: Device, two: Device) -> None:
    """Take the seats and hide 7 and 15."""
    two.page.fill("#name", "Grace")
    one.page.fill("#name", "Ada")
    one.click("text=Sit down")
    one.see("Hello, Ada")
    two.see("Live")
    two.click("text=Sit down")  # what was written before is still there
    one.click("text=Start the game")
    one.click('[data-number="7"]')
    two.click('[data-number="15"]')
    one.see("Your turn")


def public(device: Device) -> Json:
    """What all see of the state."""
    return {name: value for name, value in device.state.items() if name != "secrets"}


@needs_browser
def test_phones_and_board_stay_in_step_through_a_game() -> None:
    """A lie is refused with its reason; nobody's page ever has the other's number; another round begins."""
    with at_the_table() as (_, one, two, board):
        for device in (one, two, board):
            device.shoot("0-seats")
        hide_numbers(one, two)
        board.see("Ada asks")
        one.click('[data-number="10"]')
        two.see("10?")
        board.see("10?")
        two.shoot("1-question")
        board.shoot("1-question")
        two.click('[data-said="lower"]')
        two.see("That is not true")
        two.see("guard_failed")
        two.shoot("2-lie")
        assert two.state["status"] == "answering"
        two.click('[data-said="higher"]')
        board.see("Higher")
        one.see("You asked 10: Higher")
        two.see("Your turn")
        expect(two.page.locator("#refusal")).to_be_hidden()
        two.shoot("3-turn")
        two.click('[data-number="7"]')
        one.click('[data-said="found"]')
        two.see("You found it!")
        one.see("Grace found yours")
        board.see("Grace wins the round")
        for device in (one, two, board):
            device.shoot("4-end")
        assert (one.state["secrets"], two.state["secrets"]) == ({"p1": 7}, {"p2": 15})
        assert "secrets" not in board.state
        assert public(one) == public(two) == public(board)
        heard = "".join(one.frames)
        assert '"p1":7' in heard
        assert '"p2":15' not in heard
        assert "secrets" not in "".join(board.frames)
        one.click("text=Another round")
        two.see("Hide a number")
        board.see("Round 2")
        refused = two.ask("gameLink.apply('hide_p1', () => ({ready: {p1: true}}))")
        assert (refused["code"], refused["details"]["allowed"]) == ("transition_not_yours", ["hide_p2"])
        for device in (one, two, board):
            device.check_log()


@needs_browser
def test_game_goes_on_after_cuts_reloads_and_a_killed_daemon() -> None:
    """Each page says the truth about its connection, and goes on where it was; no move is lost or made twice."""
    with at_the_table() as (game, one, two, board):
        hide_numbers(one, two)
        one.page.reload()
        one.page.wait_for_selector(LIVE)
        one.see("Your turn")
        assert one.state["secrets"] == {"p1": 7}
        assert "token" not in one.page.url

        two.context.set_offline(True)
        two.page.wait_for_selector('body[data-link="offline"]')
        two.see("Device is offline")
        two.shoot("5-offline")
        one.click('[data-number="3"]')
        board.see("3?")
        two.context.set_offline(False)
        two.page.wait_for_selector(LIVE)
        two.see("3?")

        two.click('[data-said="higher"]')
        one.see("Grace asks")
        two.page.evaluate("() => { gameLink.send = () => {}; }")  # the request is made, and not sent any more
        two.click('[data-number="9"]')
        assert two.ask("gameLink.pending !== null")
        game.kill_daemon()
        two.page.evaluate("() => { delete gameLink.send; }")
        for device in (one, two, board):
            device.page.wait_for_selector('body:not([data-link="live"])')
        one.see("Reconnecting")
        one.shoot("6-gone")
        game.start_daemon()
        for device in (one, two, board):
            device.page.wait_for_selector(LIVE)
        one.see("9?")
        board.see("9?")
        one.click('[data-said="lower"]')
        two.see("Ada asks")
        one.see("Your turn")

        game.kill_daemon()  # with an answer that may or may not have been stored
        one.ask("""() => { gameLink.apply("ask", () => ({ question: 12, said: "" })); }""")
        game.start_daemon()
        two.see("12?")
        two.click('[data-said="higher"]')
        board.see("Higher")
        two.see("Your turn")
        expect(one.page.locator("body")).to_contain_text("Grace asks")
        for device in (one, two, board):
            device.page.wait_for_selector(LIVE)
            device.check_log()
        assert public(one) == public(two) == public(board)
        assert one.state["tries"] == {"p1": 2, "p2": 1}
        assert board.ask("gameLink.connections") == 3
