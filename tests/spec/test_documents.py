"""Is what `PROTOCOL.md`, `FRAMING.md` and `README.md` say true? Their examples are checked, and played to a daemon."""

import ast
import asyncio
import contextlib
import hashlib
import json
import re
import sys
import tempfile
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from stui_sessiond.commands import (
    context,
    gate,
    image,
    image_session,
    interruption,
    kept,
    mirror,
    objects,
    paging,
    relay,
)
from stui_sessiond.commands.table import RIGHTS
from stui_sessiond.contract import load_contract
from stui_sessiond.daemon import Daemon
from stui_sessiond.images import condition, link, memory, pace, probe, pulse, record, watch
from stui_sessiond.model import code_change, source_merge
from stui_sessiond.server import listeners, peer
from stui_sessiond.server.rights import RIGHTS_OF_ROLE
from stui_sessiond.sessions import (
    custody,
    digest,
    driving,
    handles,
    hub,
    ledger,
    manager,
    requests,
    shelf,
    telling,
    transitions,
    validator,
)
from stui_sessiond.settings import ServerSettings, Settings
from stui_sessiond.storage import changes
from stui_sessiond.storage.memory import MemoryStorage
from stui_sessiond.transports import lines, stream, web, websocket
from stui_sessiond.transports.pipe import PipeLimits
from stui_sessiond.wire.forms import ClosingEvent, command_name
from stui_sessiond.wire.limits import MAX_DEPTH, MessageLimits
from stui_sessiond.wire.messages import event
from stui_sessiond.wire.messages.connection import OpenedEvent
from stui_sessiond.wire.schema import all_schemas

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "protocol"
PAGES = ("PROTOCOL.md", "FRAMING.md", "README.md")
SCHEMAS = all_schemas()
PATIENCE_S = 20

Json = dict[str, Any]


class Example(NamedTuple):
    """One message of a page. `way` is such as `client -> daemon`, or nothing."""

    way: str
    value: Json


def page(name: str) -> str:
    """A page of the contract."""
    return (FOLDER / name).read_text("utf-8")


def section(text: str, title: str) -> str:
    """The part of a page under a heading of the second level."""
    return text.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without heads."""
    found = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    heads = {index - 1 for index, row in enumerate(found) if set("".join(row)) <= set("-")}
    return [
        [cell.strip() for cell in row]
        for index, row in enumerate(found)
        if index not in heads and index - 1 not in heads
    ]


def examples(name: str) -> list[Example]:
    """Every JSON value in the JSON blocks of a page; a `// ...` line before a value tells its way."""
    found = []
    decoder = json.JSONDecoder()
    for block in re.findall(r"^```jsonc?\n(.*?)^```", page(name), re.DOTALL | re.MULTILINE):
        for piece in re.split(r"^(?=// )", block, flags=re.MULTILINE):
            head, _, body = piece.partition("\n") if piece.startswith("// ") else ("", "", piece)
            if not piece.strip():
                continue
            value, end = decoder.raw_decode(body.strip())
            assert not body.strip()[end:], "one value after each line that tells the way"
            found.append(Example(head.removeprefix("// ").split(",")[0].strip(), value))
    return found


def fits(value: object, schema: Json) -> None:
    """Fail unless the value fits the schema."""
    Draft202012Validator(schema).validate(value)


def fits_part(value: object, command: str, part: str) -> None:
    """Fail unless the value fits a part of a command's schema."""
    document = SCHEMAS[command]
    fits(value, {**document["properties"][part], "$defs": document["$defs"]})


def check_shape(example: Example, asked: dict[str, str]) -> None:
    """Fail unless the message fits the schemas; `asked` learns and tells which command an id is about."""
    value = example.value
    from_image = example.way == "image -> daemon"
    if "command" in value:
        fits(value, SCHEMAS["command-request"])
        beside = {name: value[name] for name in ("client_id", "session_id") if name in value}
        asked[value["id"]] = value["command"]
        if value["id"] != "q2":  # it is there to show what happens without the parameter
            fits_part({**beside, **value.get("parameters", {})}, value["command"], "parameters")
    elif "payload" in value and value["payload"]["type"] == "Request":
        fits(value, SCHEMAS["envelope-request"])
        data = value["payload"]["data"]
        asked[value["id"]] = command_name(data["request_type"])
        fits_part(data.get("params", {}), asked[value["id"]], "parameters")
    elif "payload" in value:
        data = value["payload"]["data"]
        failed = data["response_type"] == "Error"
        fits(value, SCHEMAS["envelope-error" if failed else "envelope-response"])
        if not failed:
            fits_part(data["data"], asked[value["id"]], "result")
    elif "event" in value:
        closing = value["event"] == "connection.closing"
        fits(value, SCHEMAS["image-event" if from_image else "closing" if closing else "event"])
    elif value.get("status") in {"success", "error"}:
        form = "image" if from_image else "command"
        failed = value["status"] == "error"
        fits(value, SCHEMAS[f"{form}-{'failure' if failed else 'success'}"])
        if not failed:
            fits_part(value["result"], asked[value["id"]], "answer" if from_image else "result")
    else:
        assert not example.way, "a message is of a known kind"


@pytest.mark.parametrize("name", PAGES)
def test_examples_fit_the_schemas(name: str) -> None:
    """Every JSON block of a page is JSON, and what is a message in it fits the schemas."""
    asked: dict[str, str] = {}
    for example in examples(name):
        check_shape(example, asked)


# ---- the examples are played


class Line:
    """A connection over the unix socket, for a test that knows what comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: Json) -> None:
        """Send one line."""
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def receive(self) -> Json:
        """Wait for one line."""
        async with asyncio.timeout(PATIENCE_S):
            found: Json = json.loads(await self._reader.readline())
        return found

    async def ask(self, message: Json) -> Json:
        """Send a request and wait for what comes next."""
        self.send(message)
        return await self.receive()

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[tuple[Daemon, str]]:
    """A daemon in memory, and the path of its socket (short: a socket's path has few bytes)."""
    with tempfile.TemporaryDirectory(prefix="stui") as folder:
        places = ServerSettings(data_dir=folder, runtime_dir=folder)
        daemon = Daemon(Settings(server=places), MemoryStorage())
        ready = await daemon.start()
        assert ready.unix is not None
        try:
            yield daemon, ready.unix
        finally:
            await daemon.stop()


async def connect(path: str) -> Line:
    """Connect to the daemon."""
    return Line(*await asyncio.open_unix_connection(path))


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SESSION = re.compile(r"session_1_[0-9]+_[A-Za-z0-9_-]{22,}")
_RELAYED = re.compile(_SESSION.pattern + ":[0-9a-f]{16}")
_CONNECTION = re.compile(r"conn_[A-Za-z0-9_-]{16}")
_VARIES = {"server_id", "resume_token", "epoch", "uptime", "duration"}


def settled(value: Any, session_id: str) -> Any:  # noqa: ANN401 -- any JSON
    """The value with everything that differs from run to run made the same."""
    if isinstance(value, dict):
        return {k: "*" if k in _VARIES else settled(v, session_id) for k, v in value.items()}
    if isinstance(value, list):
        return [settled(item, session_id) for item in value]
    if isinstance(value, str):
        named = _SESSION.sub(session_id, _RELAYED.sub(f"{session_id}:<serial>", _TIME.sub("<time>", value)))
        return _CONNECTION.sub("<connection>", named)
    return value


class Real:
    """What the daemon really calls the things that the text names."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def learn(self, shown: Any, got: Any) -> None:  # noqa: ANN401 -- any JSON
        """Remember how ids of sessions and requests, epochs and tokens in a message differ from those in the text."""
        if isinstance(shown, dict) and isinstance(got, dict):
            for key in shown.keys() & got.keys():
                if key in {"session_id", "resume_token", "epoch"} and isinstance(shown[key], str):
                    self._names[shown[key]] = str(got[key])
                self.learn(shown[key], got[key])

    def learn_request(self, shown: Json, got: Json) -> None:
        """Remember under which id an image is really asked."""
        self._names[shown["id"]] = got["id"]

    def put_in(self, value: Any) -> Any:  # noqa: ANN401 -- any JSON
        """The message with the real names."""
        if isinstance(value, dict):
            return {key: self.put_in(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.put_in(item) for item in value]
        return self._names.get(value, value) if isinstance(value, str) else value


async def play(conversation: list[Example], told: Callable[[Json, Json], None]) -> None:
    """Send what peers send; hand over what the daemon sends, with what the text says of it."""
    async with running() as (_, path):
        peers: dict[str, Line] = {}
        real = Real()
        for way, value in conversation:
            sender, _, receiver = way.partition(" -> ")
            if sender != "daemon":
                if sender not in peers:
                    peers[sender] = await connect(path)
                peers[sender].send(real.put_in(value))
                continue
            got = await peers[receiver].receive()
            while str(got.get("id")).startswith("p-"):  # of the daemon's own accord, at any time
                got = await peers[receiver].receive()
            real.learn(value, got)
            if receiver == "image" and "command" in got:
                real.learn_request(value, got)
                got["id"] = value["id"]
            told(value, got)
        for peer in peers.values():
            await peer.close()


def compare(shown: Json, got: Json) -> None:
    """Fail unless a message is what the text says, but for what differs each time."""
    assert settled(got, "<session>") == settled(shown, "<session>")


def test_examples_of_the_protocol_are_true() -> None:
    """The examples of PROTOCOL.md, played in order, get the answers that it shows."""
    conversation = [example for example in examples("PROTOCOL.md") if example.way]
    assert len(conversation) > 90
    asyncio.run(play(conversation, compare))


def test_programs_of_the_readme_work() -> None:
    """The client and the image in README.md, as they stand there, work together."""
    client_text, image_text = re.findall(r"^```python\n(.*?)^```", page("README.md"), re.DOTALL | re.MULTILINE)

    async def start(text: str, path: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(sys.executable, "-c", text, path, stdout=pipe, stderr=pipe)

    async def run() -> None:
        async with running() as (_, path):
            watcher = await connect(path)
            wish = {"client_id": "watcher", "image_id": "sums"}
            made = await watcher.ask({"id": "1", "command": "create_session", "parameters": wish})
            of_session = {"session_id": made["result"]["session_id"]}
            await watcher.ask({"id": "2", "command": "subscribe", "parameters": of_session})
            image_program = await start(image_text, path)
            assert (await watcher.receive())["event"] == "image.connected"
            client_program = await start(client_text, path)
            out, error = await client_program.communicate()
            assert (out, error) == (b"{'draft': '3 + 4'}\n7\n", b"")
            await watcher.close()
        out, error = await image_program.communicate()
        assert (image_program.returncode, out, error) == (0, b"", b"")

    asyncio.run(run())


# ---- figures, names and rules


FIXED = {
    "`json_depth`: nested arrays and objects in a message": MAX_DEPTH,
    "a message before a `hello` that is needed, bytes": MessageLimits().before_hello_bytes,
    "request line, headers and trailers of an HTTP request, bytes": web.HEAD_BYTES,
    "HTTP requests that wait behind another one, per connection": web.MAX_WAITING,
    "a name or an identifier, characters": validator.MAX_ID_CHARS,
    "tools with a context per session": validator.MAX_TOOLS,
    "operations in one JSON Patch": transitions.MAX_PATCH_OPERATIONS,
    "elements of arrays that they shift": transitions.MAX_SHIFTED,
    "unanswered requests per image": link.MAX_PENDING,
    "an image's events per second, without end": pace.EVENTS.per_second,
    "an image's events at once": pace.EVENTS.burst,
    "an image's connections per second, without end": pace.ARRIVALS.per_second,
    "an image's connections at once": pace.ARRIVALS.burst,
    "objects that images keep for one session": handles.MAX_HANDLES,
    "objects that images keep for all sessions": handles.MAX_HANDLES_TOGETHER,
    "an object that an image keeps and nobody uses, seconds": handles.UNUSED_S,
    "processes of one session that wait at an error": custody.MAX_DEBUGGERS,
    "a process that waits and nobody touches, seconds": custody.UNTOUCHED_S,
    "a process is held after the last operation, seconds": custody.LEASE_S,
    "between looks for these three, seconds": kept.SWEEP_INTERVAL_S,
    "sessions that ended while their image was away": kept.MAX_OWED,
    "an image's answer to `release_handles`, seconds": objects.RELEASE_TIMEOUT_S,
    "a patch in an event, bytes": telling.MAX_PATCH_BYTES,
    "images that are not connected and are remembered": memory.REMEMBERED_IMAGES,
    "connections of an image that are remembered": record.MAX_CONNECTIONS,
    "clean-ups of an image's sessions that are remembered": record.MAX_CLEANUPS,
    "silence of an image before it is asked for a sign of life, seconds": pulse.QUIET_S,
    "between signs of life of an image that does not answer, seconds": pulse.SUSPECT_S,
    "an image's answer to what it is tried with after `hello`, seconds": probe.PROBE_TIMEOUT_S,
    "sessions that a clean-up tells one by one": image_session.MAX_DETAILS,
    "an image's event, data as JSON, bytes": image.MAX_PUSHED_BYTES,
    "changes of code kept of an image": changes.MAX_CHANGES,
    "the same, bytes": changes.MAX_BYTES,
    "the same with all that is kept of images, bytes": changes.MAX_TOTAL_BYTES,
    "a source that is kept with a change, bytes": code_change.MAX_TEXT_BYTES,
    "changes in one answer of `list_code_changes`, bytes": changes.MAX_PAGE_BYTES,
    "changes that an image tells and that wait for the disk, bytes": mirror.MAX_PUSHED_WAITING_BYTES,
    "a source that is merged when two changed it, characters": source_merge.MAX_CHARS,
    "the same, lines from the first that differs to the last": source_merge.MAX_LINES,
    "a part of an image's long output, characters": image.PART_CHARS,
    "an idempotency key, characters": 200,
    "requests that a session remembers": manager.LEDGER.max_requests,
    "longer results in pages that are held in memory": paging.HELD_RESULTS,
    "longer results in pages that are held in memory, bytes": paging.HELD_BYTES,
    "unanswered interrupts per image, beside these": link.MAX_INTERRUPTS,
    "an image's answer to `interrupt`, seconds": interruption.INTERRUPT_TIMEOUT_S,
    "code and results that a session remembers, together, bytes": manager.LEDGER.max_result_bytes,
    "a result that is remembered, bytes": ledger.MAX_RESULT_BYTES,
    "age of remembered requests that go first, seconds": manager.LEDGER.max_age_s,
    "answers kept for a connection that broke": peer.KEPT_ANSWERS,
    "answers kept for a connection that broke, bytes": peer.KEPT_BYTES,
    "answers kept for a connection that broke, seconds": listeners.PARKED_S,
    "connections that answers are kept for": listeners.MAX_PARKED,
    "events of one session that wait for the disk": shelf.MAX_WAITING_NEWS,
    "events of one session that wait for the disk, bytes": shelf.MAX_WAITING_BYTES,
    "clients that a session is shared with": transitions.MAX_SHARES,
    "clients that ask to drive one session": driving.MAX_REQUESTS,
    "a request to drive before its client may take over, seconds": driving.PATIENCE_S,
    "an image's answer, except to `evaluate` and `debug`, seconds": relay.ANSWER_TIMEOUT_S,
    "an image's answer to `capture_context`, seconds": context.CAPTURE_TIMEOUT_S,
    "unsent bytes above which a peer is not read and gets no events": PipeLimits(message_bytes=1).outbound_soft_bytes,
    "a peer with so much unsent that reads nothing is cut off, seconds": PipeLimits(message_bytes=1).stall_s,
    "unsent bytes above which a peer is cut off": PipeLimits(message_bytes=1).outbound_hard_bytes,
    "WebSocket: between pings, seconds": listeners.ServerRules(token_needed=True).ping_interval_s,
    "WebSocket: wait for any frame after a ping, seconds": websocket.WebSocketRules(
        hosts=(), origins=()
    ).ping_timeout_s,
    "WebSocket: wait for the peer's close frame, seconds": websocket.CLOSE_TIMEOUT_S,
    "TCP: unacknowledged data, milliseconds (Linux)": stream.TCP_USER_TIMEOUT_MS,
}


def test_limits_in_the_text_are_those_in_the_code() -> None:
    """Every row of the table of limits names a setting or a constant, and its real default."""
    defaults = Settings()
    table = rows(section(page("PROTOCOL.md"), "Limits"))
    fixed = set()
    for title, default, setting in table:
        number = float(default.replace(",", ""))
        if setting == "-":
            fixed.add(title)
            assert number == FIXED[title], title
        else:
            part, _, key = setting.strip("`").partition(".")
            assert number == getattr(getattr(defaults, part), key), title
    assert fixed == FIXED.keys()


def test_longest_idempotency_key_is_that_of_the_structs() -> None:
    """The number of characters in the table is the one that the parameters are checked with."""
    schema = SCHEMAS["evaluate"]["$defs"]["Evaluate"]["properties"]["idempotency_key"]
    assert {each.get("maxLength") for each in schema["anyOf"]} == {
        FIXED["an idempotency key, characters"],
        None,
    }


@pytest.mark.parametrize(
    "text",
    [
        f"its first {requests.SHOWN_CODE_CHARS:,} characters",
        f"the first {requests.SHOWN_RESULT_CHARS:,} characters",
        f"`patch` of more than {telling.MAX_PATCH_BYTES // 1024} KiB",
        f"longer than {image.MAX_PUSHED_BYTES // 1024} KiB",
        f"at most {image.PART_CHARS:,} characters",
        f"keep only the first {ledger.FADED_CODE_CHARS} characters",
        f"The image has {interruption.INTERRUPT_TIMEOUT_S:g} seconds to say what it does",
        f"at most {paging.HELD_RESULTS}, and {paging.HELD_BYTES // 2**20} MiB of them",
        f"it has the newest {digest.MAX_ROWS}",
        f"{Settings().events.count:,} events, {Settings().events.bytes // 1024} KiB",
        f"last {manager.LEDGER.max_requests:,} requests and {manager.LEDGER.max_result_bytes // 2**20} MiB",
        f"more than {ledger.MAX_RESULT_BYTES // 1024} KiB is not kept",
        f"kept for {listeners.PARKED_S / 60:g} minutes: at most {peer.KEPT_ANSWERS}, and",
        f"and {peer.KEPT_BYTES // 2**20} MiB, for a connection",
        f"for {listeners.MAX_PARKED:,} connections",
        f"request is {driving.PATIENCE_S:g} seconds old",
        f"nothing at all for {PipeLimits(message_bytes=1).stall_s:g} seconds",
        f"more than {PipeLimits(message_bytes=1).outbound_soft_bytes // 2**20} MiB unread",
    ],
)
def test_figures_in_the_text_are_those_in_the_code(text: str) -> None:
    """The numbers in the prose of PROTOCOL.md are the real ones."""
    assert text in " ".join(page("PROTOCOL.md").split())


@pytest.mark.parametrize(
    "text",
    [
        f"nothing came from it for {pulse.QUIET_S:g} seconds",
        f"every {pulse.SUSPECT_S:g} seconds while an answer is missing",
        f"at most {pulse.MAX_UNANSWERED} of them wait",
        f"does not answer in {probe.PROBE_TIMEOUT_S:g} seconds",
        f"less than {condition.RECONNECTING_S:g} seconds ago",
        f"grace period ({Settings().images.grace / 60:g} minutes)",
        f"missing for {condition.SILENT_S:g} seconds or longer",
        f"missing for {condition.CRITICAL_S:g} seconds",
        f"lasted for {watch.SETTLE_S:g} seconds",
    ],
)
def test_figures_of_images_are_those_in_the_code(text: str) -> None:
    """The numbers in the prose of IMAGES.md are the real ones."""
    assert text in " ".join(page("IMAGES.md").split())


def test_limits_that_hello_tells_are_in_the_text() -> None:
    """The first rows of the table are the fields of `limits` in the reply to `hello`."""
    told = next(e.value for e in examples("PROTOCOL.md") if e.value.get("id") == "h1" and "result" in e.value)
    titles = [row[0] for row in rows(section(page("PROTOCOL.md"), "Limits"))]
    assert [title.split("`")[1] for title in titles[: len(told["result"]["limits"])]] == list(told["result"]["limits"])


@pytest.mark.parametrize(
    "text",
    [
        f"Above {PipeLimits(message_bytes=1).outbound_soft_bytes:,} unsent bytes",
        f"Above {PipeLimits(message_bytes=1).outbound_hard_bytes:,} unsent bytes",
        f"a ping every {websocket.WebSocketRules(hosts=(), origins=()).ping_interval_s:g} s",
        f"close frame within {websocket.CLOSE_TIMEOUT_S:g} s",
        f"{stream.TCP_USER_TIMEOUT_MS // 1000} s is gone",
        f"nothing at all for {PipeLimits(message_bytes=1).stall_s:g} s, the connection is closed (4401)",
        f"after another {lines.LINGER_S:g} s (over WebSocket, {websocket.CLOSE_TIMEOUT_S:g} s)",
        f"({Settings().server.drain_timeout:g} s at most)",
        f"up to {['', 'once', 'twice'][websocket._FRAME_SLACK]} the limit",
    ],
)
def test_figures_in_framing_are_those_in_the_code(text: str) -> None:
    """The numbers in the prose of FRAMING.md are the real ones."""
    assert text in " ".join(page("FRAMING.md").split())


_TELLERS = ("approval.py", "debuggers.py", "image.py", "mirror.py")
_TELLING = {"_post_to", "post_to", "News", "news", "post", "announce"}
"""What makes or tells an event: its name is among the arguments."""
_EVENT_NAME = re.compile(r"[a-z]+\.[a-z_]+|gap")


def test_statuses_of_a_request_are_those_in_the_code() -> None:
    """STATES.md lists every status that `get_request_status` may tell, and no other."""
    table = rows(section(page("STATES.md"), "A request that is carried out once"))
    listed = {row[0].strip("`") for row in table if len(row) == 3}
    assert listed == set(typing.get_args(event.RequestStatus))


def test_events_in_the_states_are_in_the_table() -> None:
    """Every event that STATES.md names stands in the table of PROTOCOL.md."""
    known = {row[0].strip("`") for row in rows(section(page("PROTOCOL.md"), "Events"))}
    named = set(re.findall(r"`((?:session|context|evaluation|client|driver|image)\.[a-z]+)`", page("STATES.md")))
    assert len(named) > 10
    assert named <= known


def test_roles_in_the_text_are_those_of_the_gate() -> None:
    """The table of roles has each role, the weakest first."""
    table = [row[0].strip("`") for row in rows(section(page("PROTOCOL.md"), "Sharing and driving"))]
    assert ("none", *table) == gate._RANKS


def told_events() -> Iterator[str]:
    """The names of events that the code tells, found in its source."""
    yield hub.GAP_EVENT
    commands = ROOT / "stui_sessiond" / "commands"
    for file in (*(ROOT / "stui_sessiond" / "sessions").rglob("*.py"), *(commands / name for name in _TELLERS)):
        for function in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            named: dict[str, list[str]] = {}
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    named[node.targets[0].id] = _texts(node.value)
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _called(node) in _TELLING:
                    for given in node.args[:2]:
                        names = named.get(given.id, []) if isinstance(given, ast.Name) else _texts(given)
                        yield from filter(_EVENT_NAME.fullmatch, names)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _texts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return _texts(node.body) + _texts(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_events_in_the_text_are_those_in_the_code() -> None:
    """The table of events has every name that is told, passed on, or sent first or last, and no other."""
    listed = [row[0].strip("`") for row in rows(section(page("PROTOCOL.md"), "Events"))]
    assert len(set(listed)) == len(listed)
    closing = str(ClosingEvent.__struct_config__.tag)
    opened = str(OpenedEvent.__struct_config__.tag)
    assert set(listed) == {*told_events(), *image.PUSHED_EVENTS, closing, opened}


def test_rights_in_the_text_are_those_in_the_code() -> None:
    """The table of rights says which role has which right."""
    table = [row for row in rows(section(page("PROTOCOL.md"), "Connection")) if len(row) == 5]
    assert {row[0].strip("`") for row in table} == RIGHTS
    for column, role in enumerate(("client", "observer", "image"), start=2):
        assert {row[0].strip("`") for row in table if row[column] == "yes"} == RIGHTS_OF_ROLE[role]


def test_error_types_and_envelope_codes_are_in_the_text() -> None:
    """The fixed words that older clients match on are all named under Errors."""
    errors = load_contract().errors.values()
    named = set(re.findall(r"`([A-Za-z_]+)`", section(page("PROTOCOL.md"), "Errors")))
    assert {error.error_type for error in errors} | {error.envelope_code for error in errors} <= named


def test_codes_that_an_image_may_use_are_those_in_the_code() -> None:
    """The codes that pass from an image to a client unchanged are listed under Images."""
    text = section(page("PROTOCOL.md"), "Images").split("It MAY use these codes")[1].split("Any other code")[0]
    known = load_contract().errors.keys()
    assert set(re.findall(r"`([a-z_]+)`", text)) & known == link._RELAYED_ERRORS.keys()


def test_commands_that_come_later_are_those_not_built() -> None:
    """The list of what comes later names every command that is described and not built, under its version."""
    text = section(page("PROTOCOL.md"), "What comes later")
    commands = load_contract().commands
    for line in text.split("\n- ")[1:]:
        version = line.partition(":")[0]
        named = set(re.findall(r"`([a-z_]+)`", line)) & commands.keys()
        assert named == {name for name, d in commands.items() if not d.built and d.since == version}
    assert {d.since for d in commands.values() if not d.built} <= set(re.findall(r"\d\.\d\.\d", text))


def test_pages_name_only_codes_that_exist() -> None:
    """Every close code in parentheses is one of `close-codes.json`."""
    known = {reason.code for reason in load_contract().close_reasons.values()}
    for name in (*PAGES, "STATES.md"):
        assert {int(code) for code in re.findall(r"\((4\d{3})\)", page(name))} <= known


def test_files_that_the_readme_lists_are_there() -> None:
    """The table of files leads somewhere."""
    listed = [row[0].strip("`") for row in rows(page("README.md").split("## A client")[0])]
    assert listed
    for pattern in listed:
        assert list(FOLDER.glob(pattern)), pattern


PLAIN_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a table is made first
@given(st.dictionaries(st.sampled_from(["workspace", "inspector", "client"]), PLAIN_JSON))
def test_checksum_of_text_and_whole_numbers_is_that_of_an_ordinary_library(sections: Json) -> None:
    """Sorted keys, no white space, UTF-8: what the text says is what another JSON library does."""
    text = json.dumps(sections, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    stored = transitions.seal(sections, 0.0)
    assert stored.checksum == f"sha256:{hashlib.sha256(text).hexdigest()}"
    assert stored.size_bytes == len(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1.0"),
        (100000.0, "100000.0"),
        (0.00001, "0.00001"),
        (1.5e-7, "1.5e-7"),
        (9999999999999998.0, "9999999999999998.0"),
        (1e16, "1e16"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
    ],
)
def test_checksum_writes_doubles_as_the_text_says(number: float, text: str) -> None:
    """The rule for numbers with a fraction or an exponent, at its edges."""
    stored = transitions.seal({"workspace": number}, 0.0)
    canonical = '{"workspace":' + text + "}"
    assert stored.checksum == f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def test_heartbeat_that_hello_tells_is_that_of_the_listener() -> None:
    """The example's interval is the interval of the pings."""
    told = next(e.value for e in examples("PROTOCOL.md") if e.value.get("id") == "h1" and "result" in e.value)
    interval = listeners.ServerRules(token_needed=True).ping_interval_s
    assert told["result"]["heartbeat_interval"] == interval
