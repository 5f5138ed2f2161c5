"""What the end-to-end tests stand on: the real daemon and a live Smalltalk as processes, and plain sockets to them.

Waiting means waiting for something that happens: a line of a log, a message, the end of a process. Everything has a
deadline, so that what does not happen is a failure with the log in it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
AMBER_FOLDER = ROOT / "examples" / "amber_image"
DEADLINE_S = 20.0
"""How long anything may take; far more than it does."""

IMAGE_ID = "amber-test"


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of a daemon that the person running the tests may have."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STUI_SESSIOND_")}
    return {**kept, **more}


def find_node() -> str:
    """The Node executable, with the Amber packages there as well."""
    beside = Path(sys.executable).parent / "node"
    found = os.environ.get("NODE") or shutil.which("node") or (str(beside) if beside.exists() else None)
    if found is None or not (AMBER_FOLDER / "node_modules" / "@ambers" / "lang").is_dir():
        pytest.fail("Node or the Amber packages are missing: run `make install`")
    return found


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of one's own whose path is short enough for a unix socket."""
    with tempfile.TemporaryDirectory(prefix="stui-e2e-") as name:
        yield Path(name)


class Process:
    """A child process whose standard error is kept, line by line."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._over = False
        self.child = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stderr is not None
        with self.child.stderr as stream:
            for line in stream:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    @property
    def log(self) -> str:
        """All it has written so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for_line(self, wanted: Callable[[str], bool], what: str) -> str:
        """The first line that is wanted, as soon as it is there."""
        end = time.monotonic() + DEADLINE_S
        checked = 0
        with self._changed:
            while True:
                for line in self._lines[checked:]:
                    if wanted(line):
                        return line
                checked = len(self._lines)
                if self._over or not self._changed.wait(end - time.monotonic()):
                    break
        pytest.fail(f"no {what} in the log:\n{self.log}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.child.send_signal(number)

    def wait(self) -> int:
        """The exit code, once it has ended and its log is complete."""
        code = self.child.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code

    def kill(self) -> None:
        """End it the hard way, if it still runs."""
        if self.child.poll() is None:
            self.child.kill()
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Daemon(Process):
    """`stui-sessiond serve` on a folder, ready to accept."""

    def __init__(self, home: Path, *options: str, settings: str = "") -> None:
        self.home = home
        self.data = home / "data"
        self.socket_path = home / "run" / "daemon.sock"
        self.ready_file = home / "ready.json"
        super().__init__(serve_command(home, *options, settings=settings), clean_environment())
        try:
            self.wait_for("daemon.ready")
            self.ready: Json = json.loads(self.ready_file.read_bytes())
        except BaseException:
            self.kill()
            raise
        assert self.ready["pid"] == self.child.pid

    @property
    def url(self) -> str:
        """Its unix socket, as a URL."""
        return f"unix://{self.socket_path}"

    def place(self, listener: str) -> tuple[str, int]:
        """Where it accepts TCP: `lines` or `http`."""
        host, _, port = self.ready[listener].rpartition(":")
        return host, int(port)

    def wait_for(self, event: str, **fields: object) -> Json:
        """The first record of its log with this event and these fields."""

        def matches(line: str) -> bool:
            if not line.startswith("{"):
                return False
            record: Json = json.loads(line)
            return record["event"] == event and all(record.get(name) == value for name, value in fields.items())

        found: Json = json.loads(self.wait_for_line(matches, f"{event} {fields or ''}"))
        return found

    def token(self) -> str:
        """The token it has made and shown."""
        line = self.wait_for_line(lambda line: re.fullmatch(r" {4}\S{40,}\n", line) is not None, "token")
        return line.strip()

    def terminate(self) -> int:
        """Ask it to end, and tell its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.child.pid}/fd").iterdir()))


def serve_command(home: Path, *options: str, settings: str = "") -> list[str]:
    """The command line of a daemon on a folder."""
    command = [sys.executable, "-m", "stui_sessiond", "serve", "--log-format", "json"]
    command += ["--data-dir", str(home / "data"), "--runtime-dir", str(home / "run")]
    command += ["--ready-file", str(home / "ready.json")]
    if settings:
        (home / "settings.toml").write_text(settings)
        command += ["--config", str(home / "settings.toml")]
    return [*command, *options]


class Refused(Process):
    """`stui-sessiond serve` that is expected not to start."""

    def __init__(self, home: Path, *options: str, settings: str = "", **environment: str) -> None:
        command = serve_command(home, *options, settings=settings)
        super().__init__(command, clean_environment(**environment))
        try:
            self.code = self.wait()
        finally:
            self.kill()


class Amber(Process):
    """A live Amber Smalltalk that dials a daemon, again and again."""

    def __init__(self, url: str, image_id: str = IMAGE_ID) -> None:
        command = [find_node(), str(AMBER_FOLDER / "image.js"), "--connect", url, "--image-id", image_id]
        super().__init__(command, clean_environment())


class Connection:
    """A peer over a plain socket: one JSON message per line."""

    def __init__(self, place: Path | tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        if isinstance(place, Path):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(DEADLINE_S)
            self.socket.connect(str(place))
        else:
            self.socket = socket.create_connection(place, DEADLINE_S)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname=place[0])
        self._reader = self.socket.makefile("rb")
        self._answers: dict[str, Json] = {}
        self._events: list[Json] = []

    def close(self) -> None:
        """Hang up."""
        self._reader.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, message: Json) -> None:
        """Send any message."""
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def read(self) -> Json | None:
        """The next message of any kind; None at the end of the connection."""
        try:
            line = self._reader.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        message: Json = json.loads(line)
        return message

    def start(self, command: str, **parameters: object) -> str:
        """Send a request and return its id without waiting."""
        request_id = uuid.uuid4().hex
        self.write({"id": request_id, "command": command, "parameters": parameters})
        return request_id

    def answer(self, request_id: str) -> Json:
        """The answer to a request; other messages on the way are kept."""
        while request_id not in self._answers:
            self._take()
        return self._answers.pop(request_id)

    def event(self, name: str) -> Json:
        """The next event with this name; others before it are dropped."""
        while True:
            while not self._events:
                self._take()
            event = self._events.pop(0)
            if event["event"] == name:
                return event

    def next_event(self) -> Json:
        """The next event of any name."""
        while not self._events:
            self._take()
        return self._events.pop(0)

    def take_events(self) -> list[Json]:
        """All events that came on the way to answers, none of which is waited for."""
        taken, self._events = self._events, []
        return taken

    def events_to(self, position: Json) -> list[Json]:
        """All events up to a position in a stream."""
        heard: list[Json] = []
        while not heard or (heard[-1]["epoch"], heard[-1]["seq"]) != (position["epoch"], position["seq"]):
            heard.append(self.next_event())
        return heard

    def _take(self) -> None:
        message = self.read()
        assert message is not None, "the daemon closed the connection"
        if "event" in message:
            self._events.append(message)
        else:
            self._answers[message["id"]] = message

    def ask(self, command: str, **parameters: object) -> Json:
        """The answer to a request, whatever it is."""
        return self.answer(self.start(command, **parameters))

    def result(self, command: str, **parameters: object) -> Json:
        """The result of a request that is expected to work."""
        return self.result_of(self.start(command, **parameters))

    def result_of(self, request_id: str) -> Json:
        """The result of a request that was started and is expected to work."""
        answer = self.answer(request_id)
        assert answer["status"] == "success", answer
        result: Json = answer["result"]
        return result

    def refusal(self, command: str, **parameters: object) -> Json:
        """The error of a request that is expected to fail."""
        answer = self.ask(command, **parameters)
        assert answer["status"] == "error", answer
        return answer

    def new_session(self, **parameters: object) -> str:
        """The id of a new session, of a client of its own."""
        wish = {"client_id": uuid.uuid4().hex, **parameters}
        session_id: str = self.result("create_session", **wish)["session_id"]
        return session_id

    def value(self, code: str, session_id: str, tool_id: str | None = None) -> str:
        """The printed value of code that is expected to work."""
        reply = self.result("evaluate", code=code, session_id=session_id, tool_id=tool_id)
        assert reply["has_error"] is False, reply
        printed: str = reply["result"]
        return printed


class ScriptedImage(Connection):
    """An image that a test plays itself: it takes requests and answers when the test says so, or never."""

    def __init__(self, place: Path | tuple[str, int], image_id: str, instance_id: str | None = None) -> None:
        super().__init__(place)
        self.image_id = image_id
        identity = {"image_id": image_id, "instance_id": instance_id or uuid.uuid4().hex, "dialect": "Scripted"}
        self.greeting = self.result("hello", role="image", protocol=["1.0.0"], identity=identity)

    def request(self) -> Json:
        """The next request that a client is behind; what the daemon asks of its own accord is left unanswered."""
        while True:
            message = self.read()
            assert message is not None, "the daemon closed the connection"
            if not str(message["id"]).startswith("p-"):
                return message

    def reply(self, request: Json, result: Json) -> None:
        """Answer a request."""
        self.write({"id": request["id"], "status": "success", "result": result})


def run_cli(
    *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `stui-sessiond` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "stui_sessiond", *arguments],
        input=stdin,
        env=clean_environment(**(environment or {})),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_example(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
