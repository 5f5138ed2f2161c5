"""Proof 5: kill -9 of the real daemon under load, while it starts, recovers, changes segments and writes files."""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import stui_sessiond

from .simulated_fs import chance

CLIENTS = 16
LARGE = 60_000
START_LIMIT_S = 60.0
ZERO = ("acknowledged lost", "wrong content", "damage reports", "failed starts")

Json = dict[str, Any]


Ask = Callable[[str, Json], Awaitable[Json]]


class Known:
    """What a client knows of its session: what was acknowledged, and what was asked for and not answered."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.version = 1
        self.state: Json = {}
        self.asked: Json | None = None
        self.text: str | None = None
        self.asked_text: str | None = None
        self.position: Json | None = None
        self.key = 0

    def request(self) -> Json:
        """The update that was asked for last, under its key."""
        return {"session_id": self.session_id, "state_data": self.asked, "idempotency_key": f"key-{self.key}"}


class KillRounds:
    """Starts, loads and kills daemons on one data folder."""

    def __init__(self, seed: int = 1) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.starts_s: list[float] = []
        self._random = chance(seed)
        self._known: dict[int, Known] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="stui-kill-"))

    @property
    def failures(self) -> int:
        return sum(self.counts[name] for name in ZERO)

    def run(self, rounds: int) -> None:
        """Do it so many times, and once more to look at what is left."""
        try:
            for number in range(rounds + 1):
                asyncio.run(self._round(last=number == rounds))
                self.counts["kills"] += number < rounds
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _note(self, kind: str, example: str) -> None:
        self.counts[kind] += 1
        self.examples.setdefault(kind, example)

    async def _round(self, *, last: bool) -> None:
        early = not last and not self._random.randrange(4)
        process, ready = self._start()
        began = time.perf_counter()
        if early:  # somewhere in the start, or in the recovery
            limit = began + self._random.uniform(0, statistics.median(self.starts_s or [0.4]))
            while time.perf_counter() < limit:  # noqa: ASYNC110 -- the moment is the chance
                await asyncio.sleep(0.001)
            self.counts["killed while starting"] += not ready.exists()
            process.kill()
            process.wait()
            return
        while not ready.exists():
            if process.poll() is not None or time.perf_counter() - began > START_LIMIT_S:
                process.kill()
                self._note("failed starts", (self._folder / "log").read_text("utf-8")[-500:])
                return
            await asyncio.sleep(0.001)
        self.starts_s.append(time.perf_counter() - began)
        host, port = json.loads(ready.read_bytes())["lines"].split(":")
        load = [asyncio.ensure_future(self._client(number, host, int(port), last=last)) for number in range(CLIENTS)]
        if not last:
            await asyncio.sleep(self._random.choice((0.02, 0.1, 0.3, 0.8)) * self._random.random())
            process.kill()
        for done in await asyncio.gather(*load, return_exceptions=True):
            if isinstance(done, Exception):
                self._note("wrong content", f"{type(done).__name__}: {done}")
        process.kill()
        process.wait()

    def _start(self) -> tuple["subprocess.Popen[bytes]", Path]:
        ready = self._folder / "ready.json"
        ready.unlink(missing_ok=True)
        folder = str(Path(stui_sessiond.__file__).parents[1])
        places = ["--data-dir", str(self._folder / "data"), "--runtime-dir", str(self._folder / "run")]
        others = ["--lines", "127.0.0.1:0", "--auth", "none", "--ready-file", str(ready), "--log-format", "json"]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "stui_sessiond", "serve", *places, *others],
                stderr=log,
                env={**os.environ, "PYTHONPATH": folder},
            )
        return process, ready

    async def _client(self, number: int, host: str, port: int, *, last: bool) -> None:
        try:
            reader, writer = await asyncio.open_connection(host, port, limit=1 << 24)
        except OSError:
            return
        ask = _asker(reader, writer)
        try:
            await self._look(number, ask)
            while not last:
                await self._change(self._known[number], ask)
        except OSError:
            pass
        finally:
            writer.close()

    async def _look(self, number: int, ask: Ask) -> None:
        """Find the session as it was acknowledged, or with the one change that was not answered."""
        known = self._known.get(number)
        if known is None:
            made = await ask("create_session", {"client_id": f"client-{number}"})
            self._known[number] = Known(made["session_id"])
            return
        found = await ask("restore_session", {"session_id": known.session_id})
        stored = await ask("load_context", {"session_id": known.session_id})
        text = ((stored["context"] or {}).get("workspace") or {}).get("text")
        version, state = found["version"], found["session_state"]
        self.counts["sessions looked at"] += 1
        if version < known.version:
            self._note("acknowledged lost", f"version {version}, not {known.version}")
        elif state not in (known.state, known.asked):
            self._note("wrong content", f"version {version} of {known.version}")
        elif text not in {known.text, known.asked_text}:
            self._note("wrong content", f"context at version {version}")
        if found["integrity"]["status"] != "ok":
            self._note("damage reports", str(found["integrity"]))
        await self._look_at_events(known, ask)
        if known.asked is not None:  # sent again under the same key: carried out once, now or before
            again = await ask("update_session_state", known.request())
            if again["version"] != version + (state != known.asked) or again["session_state"] != known.asked:
                self._note("wrong content", f"the repeat made version {again['version']} of {version}")
            version, state = again["version"], again["session_state"]
        known.version, known.state, known.asked = version, state, None
        known.text, known.asked_text = text, None

    async def _look_at_events(self, known: Known, ask: Ask) -> None:
        """Where the events are is not before what was told, and everything since then is there."""
        digest = await ask("get_digest", {"session_id": known.session_id, "since": known.position})
        here = digest["position"]
        if known.position is not None:
            if here["epoch"] != known.position["epoch"] or here["seq"] < known.position["seq"]:
                self._note("acknowledged lost", f"events are at {here}, not at {known.position}")
            elif not digest["recovered"] or digest["events"] != here["seq"] - known.position["seq"]:
                self._note("acknowledged lost", f"events since {known.position} are not all there")
        known.position = here

    async def _change(self, known: Known, ask: Ask) -> None:
        size = self._random.choice((10, 500, 5000, LARGE))
        if self._random.randrange(4):
            known.asked = {"n": self._random.random(), "pad": "x" * size}
            known.key += 1
            done = await ask("update_session_state", known.request())
            known.state, known.asked = known.asked, None
        else:
            known.asked_text = f"{self._random.random()}" + "y" * size
            context = {"workspace": {"text": known.asked_text}}
            done = await ask("save_context", {"session_id": known.session_id, "context": context})
            known.text, known.asked_text = known.asked_text, None
        known.version = done["version"]
        if not self._random.randrange(3):
            known.position = (await ask("get_session_info", {"session_id": known.session_id}))["position"]
        self.counts["acknowledged"] += 1


def _asker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Ask:
    """Make what sends a command and waits for its result; OSError when the connection is gone."""

    async def ask(command: str, parameters: Json) -> Json:
        writer.write(json.dumps({"id": "1", "command": command, "parameters": parameters}).encode() + b"\n")
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError
        answer: Json = json.loads(line)
        if answer["status"] != "success":
            msg = f"{command}: {answer}"
            raise AssertionError(msg)
        result: Json = answer["result"]
        return result

    return ask


def prove(rounds: int) -> KillRounds:
    """Run it."""
    proof = KillRounds()
    started = time.perf_counter()
    proof.run(rounds)
    times = sorted(proof.starts_s)
    proof.counts["start median, ms"] = round(statistics.median(times) * 1000)
    proof.counts["start p99, ms"] = round(times[min(len(times) - 1, int(len(times) * 0.99))] * 1000)
    proof.counts["ms"] = round((time.perf_counter() - started) * 1000)
    return proof
