"""What the tests of the Squeak image stand on: the image as a process, and a daemon's end of its connection."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import ROOT, Process, clean_environment

Json = dict[str, Any]

FOLDER = ROOT / "examples" / "squeak_image"
DEADLINE_S = 60.0
"""How long anything may take, making the image among it; far more than it does."""
TOKEN = "token-for-tests"


def build_image() -> Path:
    """The built image; it is made once for a state of its sources."""
    command = [str(FOLDER / "build.sh")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    if done.returncode != 0 and "apt-get install" in done.stderr and "CI" not in os.environ:
        pytest.skip(f"Squeak is not installed: {done.stderr.strip()}")
    if done.returncode != 0:
        pytest.fail(f"the Squeak image cannot be made. {done.stderr}")
    return Path(done.stdout.strip())


def image_command(url: str, *arguments: str) -> list[str]:
    """The command line that starts an image."""
    return [str(FOLDER / "image.sh"), "--connect", url, *arguments]


class Squeak(Process):
    """A live Squeak that dials a real daemon, again and again."""

    def __init__(self, url: str, file: Path, token: str, image_id: str) -> None:
        build_image()
        command = image_command(url, "--image", str(file), "--image-id", image_id)
        super().__init__(command, clean_environment(STUI_SESSIOND_TOKEN=token))


class SqueakImage:
    """A daemon's listening socket together with the Squeak that dials it."""

    def __init__(self, file: Path, *arguments: str) -> None:
        build_image()
        self.file = file
        self.arguments = arguments
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE_S)
        self.requests = 0
        self.events: list[Json] = []
        self.answers: dict[str, Json] = {}
        self.log = file.with_suffix(".log")
        self.start_process()

    def start_process(self) -> None:
        """Start the image from its file."""
        command = image_command(f"tcp://127.0.0.1:{self.listener.getsockname()[1]}", "--image", str(self.file))
        environment = clean_environment(STUI_SESSIOND_TOKEN=TOKEN)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *self.arguments], env=environment, stderr=log)

    def accept(self) -> Json:
        """Take the next connection, answer its hello, and return the identity it gave."""
        self.accept_only()
        self.send({"id": self.hello["id"], "status": "success", "result": {"server_id": "server-1", "unknown": {}}})
        return self.identity

    def accept_only(self) -> None:
        """Take the next connection and read its hello."""
        self.connection = self.listener.accept()[0]
        self.connection.settimeout(DEADLINE_S)
        self.reader = self.connection.makefile("rb")
        self.hello = self.receive()
        self.identity: Json = self.hello["parameters"]["identity"]

    def hang_up(self) -> None:
        """Close the connection, as a daemon that is gone."""
        self.reader.close()
        self.connection.close()

    def kill(self) -> None:
        """End the process the hard way."""
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.hang_up()

    def restart(self) -> Json:
        """Kill it and start it again from its file; the identity it comes with."""
        self.kill()
        self.start_process()
        return self.accept()

    def stop(self) -> None:
        """End everything."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(DEADLINE_S)
        if hasattr(self, "connection"):
            self.hang_up()
        self.listener.close()

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        self.connection.sendall(data)

    def send(self, message: Json) -> None:
        """Send a message."""
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def receive(self) -> Json:
        """The next message."""
        line = self.reader.readline()
        assert line.endswith(b"\n"), f"the image closed the connection: {self.log.read_text()}"
        message: Json = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
        return message

    def start(self, command: str, **parameters: object) -> str:
        """Send a request and return its id without waiting."""
        self.requests += 1
        request_id = f"r-{os.getpid()}-{self.requests}"
        self.send({"id": request_id, "command": command, "parameters": parameters})
        return request_id

    def answer(self, request_id: str) -> Json:
        """The answer to a request; events and other answers on the way are kept."""
        while request_id not in self.answers:
            self._take()
        return self.answers.pop(request_id)

    def event(self, name: str) -> Json:
        """The next event with that name; others before it are dropped."""
        while True:
            while not self.events:
                self._take()
            event = self.events.pop(0)
            if event["event"] == name:
                return event

    def _take(self) -> None:
        message = self.receive()
        if "event" in message:
            self.events.append(message)
        else:
            self.answers[message["id"]] = message

    def result_of(self, request_id: str) -> Json:
        """The result of a request that was started and is expected to work."""
        answer = self.answer(request_id)
        assert answer["status"] == "success", answer
        result: Json = answer["result"]
        return result

    def result(self, command: str, **parameters: object) -> Json:
        """The result of a request that is expected to work."""
        return self.result_of(self.start(command, **parameters))

    def refusal(self, command: str, **parameters: object) -> Json:
        """The answer to a request that is expected to fail."""
        answer = self.answer(self.start(command, **parameters))
        assert answer["status"] == "error", answer
        assert answer["error"]
        return answer

    def evaluate(self, code: str, session: str | None = None, **parameters: object) -> Json:
        """What evaluating gives, errors included."""
        return self.result("evaluate", code=code, session_id=session, **parameters)

    def value(self, code: str, session: str | None = None, **parameters: object) -> str:
        """The printed value of code that is expected to work."""
        reply = self.evaluate(code, session, **parameters)
        assert reply["has_error"] is False, reply
        printed: str = reply["result"]
        return printed

    def error(self, code: str, session: str | None = None, **parameters: object) -> Json:
        """The error of code that is expected to fail."""
        reply = self.evaluate(code, session, **parameters)
        assert reply["has_error"] is True, reply
        assert reply["result"] is None
        assert reply["result_type"] == reply["error"]["class"]
        error: Json = reply["error"]
        return error

    def suspend(self, code: str, session: str) -> str:
        """The id under which the process of code waits that is expected to fail."""
        debugger_id: str = self.error(code, session, on_error="suspend")["debugger_id"]
        return debugger_id

    def debug(self, operation: str, debugger_id: str, session: str, **parameters: object) -> Json:
        """What a debugger's operation gives: its result, and debug_info."""
        return self.result("debug", operation=operation, debugger_id=debugger_id, session_id=session, **parameters)

    def save(self, session: str) -> Json:
        """Save the image; the identity with which it connects again."""
        saving = self.start("evaluate", code="StuiImage save", session_id=session)
        assert not self.reader.readline(), "the image hangs up to be saved"
        self.hang_up()
        identity = self.accept()
        assert self.result_of(saving)["has_error"] is False
        return identity
