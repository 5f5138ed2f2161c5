"""How does one process of the daemon hand over to the next, without refusing a connection?

    predecessor                                successor
    starts it, with the listening sockets  ->  loads code, settings, keys, certificate
    serves on                              <-  prepared
    drains, syncs, lets go of the store
                                go         ->  opens the store, accepts
                                           <-  ready
    tells the service manager
                              done         ->  says that it is ready
    ends

They talk over a pair of sockets, a line of JSON a word. Whatever goes wrong before `ready`, the predecessor serves on:
before `go` it never stopped, after it it takes the store and its sockets up again. docs/adr/0023 says why it is so.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Literal

import msgspec

from stui_sessiond.errors import ConfigError
from stui_sessiond.service.activation import Given, Inherited

VARIABLE = "STUI_SESSIOND_SUCCESSION"
"""Tells a process that it is a successor, and what it is given."""

MAX_WORD_BYTES = 16 * 1024
"""A word is shorter: the longest has the reason of a failure."""

REASON_CHARS = 2000

END_S = 10.0
"""How long a successor that failed, or is not wanted any more, may take to end before it is killed."""


OUTCOME_FILE = "restart.json"
"""Beside the unix socket: how the last succession went."""


class SuccessionError(Exception):
    """The other side is gone, or cannot."""


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one says to the other."""

    word: Literal["prepared", "go", "ready", "failed", "done"]
    text: str = ""
    pid: int = 0
    server_id: str = ""


class _Estate(msgspec.Struct, frozen=True):
    """What a successor is given: descriptors, and what each listener had been asked for (None: the manager's)."""

    channel: int
    listeners: Mapping[str, tuple[Sequence[int], str | None]]


class Channel:
    """One end of the pair."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 -- the name of the method says what
        self._sock = sock
        self._behind = b""

    def say(self, word: Word) -> None:
        """Send a word. It is short and the socket is empty, so it never waits; who is gone hears nothing."""
        with contextlib.suppress(OSError):
            self._sock.send(msgspec.json.encode(word) + b"\n")

    async def hear(self, *wanted: str) -> Word:
        """Wait for one of these words.

        Raises:
            SuccessionError: the other side failed, is gone, or said something else.
        """
        loop = asyncio.get_running_loop()
        while b"\n" not in self._behind:
            try:
                data = await loop.sock_recv(self._sock, MAX_WORD_BYTES)
            except OSError as error:
                raise SuccessionError(str(error)) from error
            if not data or len(self._behind) > MAX_WORD_BYTES:
                msg = "it ended without a word; its log says why"
                raise SuccessionError(msg)
            self._behind += data
        line, _, self._behind = self._behind.partition(b"\n")
        try:
            word = msgspec.json.decode(line, type=Word)
        except msgspec.DecodeError as error:
            msg = f"it said what is no word of a succession: {error}"
            raise SuccessionError(msg) from error
        if word.word == "failed":
            raise SuccessionError(word.text)
        if word.word not in wanted:
            msg = f"it said {word.word} instead of {' or '.join(wanted)}"
            raise SuccessionError(msg)
        return word

    def close(self) -> None:
        """Let go."""
        self._sock.close()


class Successor:
    """The next process, as the present one sees it."""

    def __init__(self, process: "subprocess.Popen[bytes]", channel: Channel) -> None:
        self.pid = process.pid
        self.channel = channel
        self._process = process

    @classmethod
    def start(cls, estate: Mapping[str, Given], environment: Mapping[str, str]) -> "Successor":
        """Start the program anew, as this process was started: what is installed by now.

        Raises:
            SuccessionError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        given = {kind: ([sock.fileno() for sock in each.sockets], each.asked) for kind, each in estate.items()}
        passed = [theirs.fileno(), *(descriptor for descriptors, _ in given.values() for descriptor in descriptors)]
        kept = {name: value for name, value in environment.items() if name not in {"WATCHDOG_PID", "LISTEN_PID"}}
        kept[VARIABLE] = msgspec.json.encode(_Estate(theirs.fileno(), given)).decode()
        try:
            process = subprocess.Popen(  # noqa: S603 -- the command this process was started with
                [sys.executable, *sys.orig_argv[1:]], env=kept, pass_fds=passed, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            ours.close()
            msg = f"it cannot be started: {error.strerror or error}"
            raise SuccessionError(msg) from error
        finally:
            theirs.close()
        return cls(process, Channel(ours))

    def end(self) -> None:
        """Have it end, one way or the other; returns when it has. It sees that we hung up."""
        self.channel.close()
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Have it stop in order."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def release(self) -> None:
        """It is on its own from now on; this process ends before it."""
        self._process.returncode = 0  # Popen would complain that nobody waits for it


class Arrival:
    """The process before this one, as this one sees it."""

    def __init__(self, channel: Channel, inherited: Inherited) -> None:
        self.channel = channel
        self.inherited = inherited

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "Arrival | None":
        """Tell whether this process is a successor, and take what it is given.

        Raises:
            ConfigError: the variable was set by hand.
        """
        text = environment.pop(VARIABLE, None)
        if text is None:
            return None
        try:
            estate = msgspec.json.decode(text, type=_Estate)
            channel = Channel(_adopt(estate.channel))
            inherited = {
                kind: Given([_adopt(descriptor) for descriptor in descriptors], asked)
                for kind, (descriptors, asked) in estate.listeners.items()
            }
        except (msgspec.DecodeError, OSError) as error:
            msg = f"{VARIABLE} is for processes that take over from another one; do not set it ({error})"
            raise ConfigError(msg) from error
        return cls(channel, inherited)

    def fail(self, reason: str) -> None:
        """Say why it cannot be."""
        self.channel.say(Word("failed", text=reason[:REASON_CHARS]))


def _adopt(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)  # noqa: FBT003 -- the name of the function says what
    return socket.socket(fileno=descriptor)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the last succession went, for `stui-sessiond restart` and for people."""

    state: Literal["preparing", "handing_over", "taken_over", "failed"]
    pid: int
    """Who serves."""
    server_id: str
    reason: str = ""
    pause_s: float | None = None
    """How long nobody was served, in seconds."""

    def as_json(self) -> str:
        """Write it."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return json.dumps(told) + "\n"
