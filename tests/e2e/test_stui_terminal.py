"""The front end as a person uses it: in a real terminal, against the real daemon, with a live Smalltalk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.chaos.proxy import Proxy
from tests.e2e.harness import DEADLINE_S, IMAGE_ID, Amber, Daemon, clean_environment, folder
from tests.e2e.squeak import Squeak
from tests.e2e.terminal import Terminal

RUN = "M-p"
"""Print it."""
SQUEAK_ID = "squeak-test"


def new_session(terminal: Terminal, name: str, image_id: str = IMAGE_ID) -> None:
    """Start a session in the image of the list, as a person does."""
    terminal.wait_for(image_id, "connected")
    terminal.press("n")
    terminal.wait_for("Its name")
    terminal.type(name)
    terminal.press("Enter")
    terminal.wait_for(name, "Workspace 1", "alt+d runs")


def is_back(text: str) -> bool:
    """Whether the line of the connection says that there is one, just restored or for longer."""
    return "* restored" in text or "* connected" in text


@contextlib.contextmanager
def live_amber(daemon: Daemon) -> Iterator[None]:
    """An Amber, connected to a daemon."""
    with Amber(daemon.url):
        daemon.wait_for("image.connected", image_id=IMAGE_ID)
        yield


@contextlib.contextmanager
def live_squeak(daemon: Daemon, home: Path) -> Iterator[None]:
    """A Squeak, whose processes can wait, connected to a daemon on TCP."""
    host, port = daemon.place("lines")
    with Squeak(f"tcp://{host}:{port}", home / "squeak.image", daemon.token(), SQUEAK_ID) as image:
        image.wait_for_line(lambda line: "connected to" in line, "connection")
        yield


@contextlib.contextmanager
def started_daemon(home: Path) -> Iterator[None]:
    """Ends the daemon that the front end started: it outlives its terminal."""
    try:
        yield
    finally:
        log = home / "state" / "stui" / "daemon.log"
        found = re.search(r"pid=(\d+)", log.read_text()) if log.exists() else None
        if found is not None:
            pid, end = int(found[1]), time.monotonic() + DEADLINE_S
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                while time.monotonic() < end:
                    os.kill(pid, 0)
                    time.sleep(0.02)  # not a child of ours: there is nothing to wait on


class CutLink:
    """A link to a daemon that is cut on demand, in a loop of its own thread."""

    def __init__(self, place: tuple[str, int]) -> None:
        self._place = place
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._proxy = Proxy(self._dial)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._place)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._proxy.__aenter__(), self._loop).result(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.__aexit__(), self._loop).result(DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    @property
    def url(self) -> str:
        """Where the front end connects."""
        return f"tcp://{self._proxy.place[0]}:{self._proxy.place[1]}"

    def cut(self, *, refuse: bool) -> None:
        """Cut it without a word, and let nobody in again if that is wanted."""

        def work() -> None:
            self._proxy.refusing = refuse
            self._proxy.cut_all()

        self._loop.call_soon_threadsafe(work)


def test_first_day_and_a_killed_terminal() -> None:
    """First start to inspector, browser and an error; the terminal is killed with work unsaved; all of it is back."""
    with folder() as home, started_daemon(home), Amber(f"unix://{home}/run/daemon.sock"):
        terminal = Terminal(home, size=(120, 36))
        with terminal:
            terminal.wait_for("no daemon runs here; Enter starts one")
            terminal.press("Enter")
            terminal.wait_for("Start one?")
            terminal.press("y")
            new_session(terminal, "first day")
            terminal.type("a := 3 + 4")
            terminal.press(RUN)
            terminal.wait_for("⇒ 7")
            terminal.press("End", "Enter")
            terminal.type("3 fly: 4")
            terminal.press("M-d")
            terminal.wait_for("MessageNotUnderstood: 3 does not understand #fly:")
            terminal.press("M-e")
            terminal.wait_for("What to do")
            terminal.press("Escape")
            terminal.wait_until(lambda text: "What to do" not in text, "the error to be put away")
            terminal.press("End", "Enter")
            terminal.type("#(1 2 3)")
            terminal.wait_for("#(1 2 3)")
            terminal.press("M-i")
            terminal.wait_for("Inspect #(1 2 3)")
            terminal.press("F3")
            terminal.wait_for("Open a tool")
            terminal.press("Down", "Enter")
            terminal.wait_for("Kernel-Collections")
            terminal.press("M-1")
            terminal.wait_for("3 fly: 4", "#(1 2 3)")
            terminal.press("C-End", "Enter")
            terminal.type("'typed at the last moment'")
            terminal.wait_for("'typed at the last moment'")
            wait_for_journal(home, b"typed at the last moment'")
            terminal.kill()
        terminal.start("--restore")
        shown = terminal.wait_for("first day", "Workspace 1", "Classes 1", "'typed at the last moment'", "3 fly: 4")
        assert "a := 3 + 4" in shown
        terminal.press("C-End", "Enter")
        terminal.type("a + 1")
        terminal.press(RUN)
        terminal.wait_for("⇒ 8")
        terminal.press("M-4")
        terminal.wait_for("Kernel-Collections")
        terminal.leave()


def wait_for_journal(home: Path, text: bytes) -> None:
    """Wait until what was typed is safe, on this machine or in the session."""
    end = time.monotonic() + DEADLINE_S
    places = [home / "state" / "stui" / "drafts", home / "data"]
    while not any(text in path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()):
        assert time.monotonic() < end, "what was typed is nowhere"
        time.sleep(0.02)


def test_daemon_killed_and_started_again() -> None:
    """The daemon is killed while a person types; they type on; it is started again, and everything is saved."""
    with folder() as home:
        first = Daemon(home)
        with live_amber(first), Terminal(home, "--url", first.url) as terminal:
            new_session(terminal, "long day")
            terminal.type("a := 6 * 7")
            terminal.press(RUN)
            terminal.wait_for("⇒ 42")
            first.kill()
            terminal.wait_for("reconnecting", "type on")
            terminal.press("C-End", "Enter")
            terminal.type("a + 1 'while nobody was there'")
            terminal.wait_for("while nobody was there", "unsaved")
            with Daemon(home) as second:
                second.wait_for("image.connected", image_id=IMAGE_ID)
                terminal.wait_until(lambda text: is_back(text) and "unsaved" not in text, "the connection")
                terminal.press("C-End", "Enter")
                terminal.type("a - 1")
                terminal.press(RUN)
                terminal.wait_for("⇒ 41")
                terminal.leave()
                terminal.start("--restore")
                terminal.wait_for("while nobody was there", "a - 1")
                terminal.leave()


def test_killed_terminal_leaves_the_debugger_to_the_next_one() -> None:
    """Code fails, its process is looked at and stepped; after kill -9 of the terminal it is taken again and goes on."""
    with folder() as home, Daemon(home, "--lines", "127.0.0.1:0") as daemon, live_squeak(daemon, home):
        terminal = Terminal(home)
        with terminal:
            terminal.wait_for("a daemon runs here")
            terminal.press("Enter")
            new_session(terminal, "a sum", SQUEAK_ID)
            terminal.type("| a b | a := 3. b := a / 0. b := b + a. b * 2")
            terminal.press(RUN)
            terminal.wait_for("ZeroDivide", "waits: open the debugger", "d Debug")
            terminal.press("d")
            terminal.wait_for("1 SmallInteger>>/  3", "2 UndefinedObject>>doIt", "nobody works with it")
            terminal.press("Down")
            terminal.wait_for("b := a / 0", "a 3", "b nil")
            terminal.press("Up")
            terminal.wait_for("t1 = 0 ifTrue:")
            terminal.press("v")
            terminal.wait_for("Return from frame 1 the value of")
            terminal.press("C-u")
            terminal.type("39")
            terminal.press("Enter")
            terminal.wait_for("1 UndefinedObject>>doIt", "a 3", "b 39", "you work with it")
            terminal.press("o")
            terminal.wait_for("b 42")
            terminal.kill()
        terminal.start()
        terminal.wait_for("a sum on this machine")
        terminal.press("c")
        terminal.wait_for(
            "a sum", "Debug ZeroDivide", "1 UndefinedObject>>doIt", "b 42", "you work with it", "k Let go"
        )
        terminal.press("k")
        terminal.wait_for("nobody works with it", "k Take")
        terminal.press("k")
        terminal.wait_for("you work with it", "k Let go")
        terminal.press("c")
        terminal.wait_for("It has finished: 84")
        terminal.press("F3")
        terminal.wait_for("Open a tool")
        terminal.press(*["Down"] * 5, "Enter")
        terminal.wait_for("Evaluations 1", "⇒ ZeroDivide: division by 0", "⇒ finished: 84")
        terminal.leave()


def test_link_cut_while_typing() -> None:
    """The link is cut, and cut again, in the middle of words; no letter is lost or doubled, and all of it is saved."""
    with folder() as home, Daemon(home, "--lines", "127.0.0.1:0", "--auth", "none") as daemon, live_amber(daemon):
        with CutLink(daemon.place("lines")) as link, Terminal(home, "--url", link.url) as terminal:
            new_session(terminal, "train")
            words = [f"word{number:02}" for number in range(20)]
            for number, word in enumerate(words):
                terminal.type(f"{word} ")
                if number % 4 == 2:
                    link.cut(refuse=number == 10)
                if number == 10:
                    terminal.wait_for("reconnecting", "word10")
                if number == 14:
                    link.cut(refuse=False)
            terminal.wait_for("word19")
            terminal.wait_until(is_back, "the connection")
            terminal.wait_until(lambda text: "unsaved" not in text, "everything to be saved")
            assert re.sub(r"\s+", "", terminal.text).count("".join(words)[:60]) == 1
            terminal.press("F4")
            terminal.wait_for("The connection", "lasted")
            terminal.press("Escape")
            terminal.leave()
        stored = cli("inspect", "1", "--url", daemon.url, "--image", IMAGE_ID)
        assert stored.returncode == 0, stored.stderr


def cli(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run `stui` with a command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "stui_sessiond.tui", *arguments],
        input=stdin,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
