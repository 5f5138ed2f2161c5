"""The main job, shown with real parts: a daemon and a live Smalltalk as processes of their own, and a client.

Prints each step with what really came back, and stops at the first that does not hold.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
from msgspec import UNSET

from stui_sessiond.client import CallFailedError, Client, ClientError, connect
from stui_sessiond.errors import ConfigError
from stui_sessiond.wire.messages.code import CompileMethod, DefineClass
from stui_sessiond.wire.messages.context import ContextSections
from stui_sessiond.wire.messages.session import CreateSession, UpdateSessionState

CLIENT_ID = "demo"
PATIENCE_S = 30.0
"""How long a process may take to be there."""

_STATE = {"open_tools": ["workspace-1", "inspector-1"], "cursor": {"line": 3, "column": 14}, "theme": "dark"}
_TEXT = '"a counter"\nc := Counter new.\nc increment; increment.\nc count'
_INCREMENT = "increment\n\tcount := (count ifNil: [0]) + 1.\n\t^ count"
_METHODS = (_INCREMENT, "count\n\t^ count")


class DemoFailedError(Exception):
    """A step did not hold."""


def find_image(script: Path | None) -> list[str]:
    """Find what starts the live Smalltalk.

    Raises:
        ConfigError: something is missing; the text says what to do.
    """
    script = script or Path(__file__).parent.parent / "examples" / "amber_image" / "image.js"
    if not script.is_file():
        msg = f"{script} is missing: run the demo from a checkout with `make demo`, or name an image.js with --image"
        raise ConfigError(msg)
    beside = Path(sys.executable).parent / "node"
    node = os.environ.get("NODE") or shutil.which("node") or (str(beside) if beside.exists() else None)
    if node is None or not (script.parent / "node_modules").is_dir():
        msg = "the live Smalltalk is not installed: run `make install`"
        raise ConfigError(msg)
    return [node, str(script)]


class Stage:
    """Runs the processes of the demo, in a folder of its own."""

    def __init__(self, image_command: list[str]) -> None:
        self._image_command = image_command
        self._folder = Path(tempfile.mkdtemp(prefix="stui-demo-"))
        self._ready = self._folder / "ready.json"
        self._socket = self._folder / "run" / "daemon.sock"
        self._daemon: asyncio.subprocess.Process | None = None
        self._image: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where the daemon is."""
        return f"unix://{self._socket}"

    async def start_daemon(self) -> dict[str, Any]:
        """Start the daemon on the folder and wait until it accepts."""
        log = (self._folder / "daemon.log").open("ab")
        with log:
            self._daemon = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "stui_sessiond", "serve", "--log-format", "json"),
                *("--data-dir", str(self._folder / "data"), "--runtime-dir", str(self._folder / "run")),
                *("--ready-file", str(self._ready)),
                stderr=log,
            )
        async with asyncio.timeout(PATIENCE_S):
            while not self._ready.exists():
                if self._daemon.returncode is not None:
                    raise DemoFailedError((self._folder / "daemon.log").read_text())
                await asyncio.sleep(0.01)
        ready: dict[str, Any] = json.loads(self._ready.read_bytes())
        return ready

    async def stop_daemon(self) -> int:
        """Ask the daemon to end (SIGTERM) and tell its exit code."""
        if self._daemon is None:
            return 0
        self._daemon.send_signal(signal.SIGTERM)
        return await self._daemon.wait()

    async def start_image(self) -> None:
        """Start the live Smalltalk; it connects by itself."""
        log = (self._folder / "image.log").open("ab")
        with log:
            self._image = await asyncio.create_subprocess_exec(
                *self._image_command, "--connect", self.url, "--image-id", "amber-demo", stderr=log
            )

    async def kill_image(self) -> None:
        """End the live Smalltalk without a chance to save anything (SIGKILL)."""
        if self._image is not None:
            self._image.kill()
            await self._image.wait()

    async def clear(self) -> None:
        """End what still runs, and remove the folder."""
        for process in (self._image, self._daemon):
            if process is not None and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Connect, waiting for the image to be there as well."""
        async with connect(self.url, client_id=CLIENT_ID) as client:
            async with asyncio.timeout(PATIENCE_S):
                while not any(  # noqa: ASYNC110 -- another process: there is no event to wait for
                    image.status == "connected" for image in (await client.list_images()).images
                ):
                    await asyncio.sleep(0.02)
            yield client


async def run_demo(image_command: list[str]) -> None:
    """Show the main job.

    Raises:
        DemoFailedError: a step did not hold.
    """
    stage = Stage(image_command)
    try:
        await _play(stage)
    except (OSError, ClientError) as error:
        msg = f"{type(error).__name__}: {error}"
        raise DemoFailedError(msg) from error
    finally:
        await stage.clear()


async def _play(stage: Stage) -> None:
    ready = await stage.start_daemon()
    _say("daemon", f"pid {ready['pid']} accepts on {ready['unix']}")
    await stage.start_image()
    async with stage.client() as client:
        image = (await client.list_images()).images[0]
        _say("image", f"{image.name or image.image_id}: {image.dialect} {image.version} on {image.vm}")
        created = await client.create_session(CreateSession(CLIENT_ID, name="my afternoon", image_id=image.image_id))
        session_id = created.session_id
        _say("session", session_id)
        await _program(client, session_id)
        once = [
            (await client.evaluate("c increment. c count", session_id=session_id, idempotency_key="once")).result
            for _ in range(2)
        ]
        _check("the same request sent twice is run once", once, ["3", "3"])
        await _hang(client, session_id)
        updated = await client.update_session_state(UpdateSessionState(session_id, _STATE))
        _say("state", f"stored as version {updated.version}")
        await client.save_context(session_id, ContextSections(workspace={"text": _TEXT, "cursor": 42}))
        saved = await client.save_context(session_id)
        _say("context", f"with the image's bindings: {saved.size_bytes} bytes, {saved.checksum[:23]}...")
        before = await _look(client, session_id)
    _say("client", "gone")

    async with stage.client() as client:
        _check("back: everything is as it was", await _look(client, session_id), before)
    code = await stage.stop_daemon()
    _check("daemon stopped (SIGTERM): exit code", code, 0)
    again = await stage.start_daemon()
    _say("daemon", f"started again, pid {again['pid']}; the image reconnects by itself")
    async with stage.client() as client:
        _check("restored: state and context are equal", await _look(client, session_id), before)
        _check(
            "and the counter still lives in the image: c increment",
            (await client.evaluate("c increment", session_id=session_id)).result,
            "4",
        )
        digest = await client.get_digest(session_id)
        _check("what is missing of what happened", digest.gap is UNSET and "nothing", "nothing")
        _say(
            "events",
            f"{digest.events} in the log, of {len(digest.finished)} evaluations and {len(digest.changes)} clients",
        )
    await _lose_the_image(stage, session_id)


async def _hang(client: Client, session_id: str) -> None:
    """An endless loop is ended, and the image has all it had."""
    looping = asyncio.ensure_future(
        client.evaluate("[true] whileTrue: []", session_id=session_id, idempotency_key="loop")
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while (await client.get_request_status(session_id, "loop")).status != "running":  # noqa: ASYNC110 -- another process
                await asyncio.sleep(0.01)
        ended = await client.interrupt_evaluation(session_id, "loop")
        _check("[true] whileTrue: []  interrupted", ended.evaluations[0].outcome, "interrupted")
        answer = await looping
    finally:
        looping.cancel()
    _check("   it is answered with an error", answer.error is not UNSET and answer.error.class_, "Interrupted")
    _check("   and c is still there: c count", (await client.evaluate("c count", session_id=session_id)).result, "3")


async def _lose_the_image(stage: Stage, session_id: str) -> None:
    """The image dies unsaved: its objects are gone and known to be, its code comes back."""
    async with stage.client() as client:
        kept = await client.inspect("c", session_id=session_id, keep=True)
        if kept.handle is UNSET:
            msg = "the image gave no handle"
            raise DemoFailedError(msg)
    await stage.kill_image()
    _say("image", "killed, with all its objects and code")
    await stage.start_image()
    async with stage.client() as client:
        image_id = (await client.list_images()).images[0].image_id
        try:
            await client.inspect(handle=kept.handle, session_id=session_id)
            code = "no error"
        except CallFailedError as error:
            code = error.code
        _check("the object from before, asked of the new one", code, "stale_handle")
        applied = await client.reapply_code_changes(image_id)
        _check("its code is made again: class and methods", applied.applied, 1 + len(_METHODS))
        answer = await client.evaluate("Counter new increment", session_id=session_id)
        _check("Counter new increment", answer.result, "1")
        await client.close_session(session_id)


async def _program(client: Client, session_id: str) -> None:
    _check("3 + 4", (await client.evaluate("3 + 4", session_id=session_id)).result, "7")
    await client.define_class(
        DefineClass(class_name="Counter", instance_vars=["count"], package="Demo", session_id=session_id)
    )
    for source in _METHODS:
        await client.compile_method(
            CompileMethod(class_name="Counter", source=source, category="counting", session_id=session_id)
        )
    _say("class", "Counter defined, with two methods")
    try:
        await client.compile_method(
            CompileMethod(class_name="Counter", source="count ^ 0", base_source="count ^ 1", session_id=session_id)
        )
        code = "no error"
    except CallFailedError as error:
        code = error.code
    _check("who saw another `count` does not overwrite it", code, "code_conflict")
    _check(
        "c := Counter new. c increment; increment",
        (await client.evaluate("c := Counter new. c increment; increment. c count", session_id=session_id)).result,
        "2",
    )
    inspected = await client.inspect("c", session_id=session_id)
    _check("inspect c: count", inspected.instance_vars["count"].string_representation, "2")
    failed = await client.evaluate("c fly: 42", session_id=session_id)
    if not failed.has_error or not failed.error or not failed.error.stack:
        msg = "`c fly: 42` should be an error with a stack"
        raise DemoFailedError(msg)
    _say("error", f"c fly: 42 -> {failed.error.class_}: {failed.error.message}")
    for frame in failed.error.stack[:4]:
        _say("", f"{frame.index:2} {frame.class_}>>{frame.selector}")


async def _look(client: Client, session_id: str) -> tuple[object, object]:
    restored = await client.restore_session(session_id)
    loaded = await client.load_context(session_id)
    if not loaded.loaded or loaded.context is None or not loaded.context.workspace:
        msg = f"the context is {loaded.integrity.status}"
        raise DemoFailedError(msg)
    return restored.session_state, (loaded.context.workspace, loaded.integrity.checksum)


def _say(what: str, text: str) -> None:
    click.echo(f"  {what:10}{text}")


def _check(text: str, found: object, wanted: object) -> None:
    if found != wanted:
        msg = f"{text}: {found!r}, not {wanted!r}"
        raise DemoFailedError(msg)
    click.echo(
        f"  {click.style('ok', fg='green'):19}{text}" + (f"  ->  {found}" if isinstance(found, str | int) else "")
    )
