"""May each command be used by each kind of peer over each transport? A table made from the descriptors.

Every cell is asked of a real daemon over a real socket. What is expected comes from the command's right and from what
the peer showed, nothing else.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets.asyncio.client

from stui_sessiond.contract import Descriptor, load_contract
from stui_sessiond.security import token as tokens
from stui_sessiond.wire.forms import request_type
from tests.unit.bed.daemon import Running, running_daemon
from tests.unit.bed.http import http_peer

Json = dict[str, Any]
Ask = Callable[[Json], Awaitable[Json]]

CONTRACT = load_contract()
COMMANDS = [each for each in CONTRACT.commands.values() if each.command != "hello"]
TRANSPORTS = ("unix", "lines", "websocket", "http")
FORMS = ("command", "envelope")
REFUSALS = frozenset({"permission_denied", "authentication_required", "authentication_failed"})

RIGHTS: dict[str, frozenset[str]] = {
    "observe": frozenset({"observe"}),
    "session": frozenset({"session"}),
    "eval": frozenset({"eval"}),
    "admin": frozenset({"admin"}),
    "image": frozenset({"image"}),
    "all": frozenset({"session", "eval", "observe", "admin", "image"}),
}
"""Tokens by what they allow."""

STATES: dict[str, tuple[str | None, str]] = {
    "none": (None, "client"),
    "wrong": ("wrong", "client"),
    "expired": ("expired", "client"),
    "revoked": ("revoked", "client"),
    **{name: (name, "client") for name in RIGHTS},
    "observer": ("all", "observer"),
}
"""What a peer shows, and the role it takes up."""


def may(descriptor: Descriptor, state: str, transport: str) -> bool:
    """What the rules say."""
    name, role = STATES[state]
    if transport == "unix":  # the system vouches for the daemon's own user: what it shows does not matter
        rights = RIGHTS["all"] - {"image"}
    else:
        rights = RIGHTS.get(name or "", frozenset())
        if name not in RIGHTS:
            return False
    if role == "observer" and transport != "http":  # a POST has no role to choose
        rights &= {"observe"}
    return descriptor.right in (rights - {"image"}) | {"connect"}


class Desk:
    """A daemon with its tokens, and ways to talk to it."""

    def __init__(self, running: Running, shown: dict[str, str]) -> None:
        self.running = running
        self.shown = shown

    @asynccontextmanager
    async def peer(self, transport: str) -> AsyncIterator[Ask]:
        """Connect; the function that is given sends a message and returns the answer."""
        ready = self.running.ready
        async with AsyncExitStack() as stack:
            if transport == "websocket":
                connecting = websockets.asyncio.client.connect(f"ws://{ready.http}/", compression=None, proxy=None)
                socket = await stack.enter_async_context(connecting)

                async def over_websocket(message: Json) -> Json:
                    await socket.send(json.dumps(message))
                    return await _answer(socket.recv, message)

                yield over_websocket
                return
            talker = await stack.enter_async_context(self.running.talker(None if transport == "unix" else ready.lines))

            async def over_lines(message: Json) -> Json:
                talker.say(message)
                return await _answer(talker.line, message)

            yield over_lines

    @asynccontextmanager
    async def poster(self, token: str | None) -> AsyncIterator[Ask]:
        """Connect over HTTP; messages are sent with a token, or none."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with http_peer(self.running.ready.http) as peer:

            async def over_http(message: Json) -> Json:
                peer.ask("POST", "/rpc", json.dumps(message).encode(), **headers)
                answer: Json = (await peer.response()).json
                return answer

            yield over_http

    async def greeted(self, stack: AsyncExitStack, state: str, transport: str) -> tuple[Ask, Json]:
        """Connect and say hello in a state; also give the answer. Over HTTP each message comes with the token."""
        if transport == "http":
            shown = self.shown.get(STATES[state][0] or "")
            ask = await stack.enter_async_context(self.poster(shown))
            return ask, await ask({"id": "h", "command": "ping", "parameters": {}})
        ask = await stack.enter_async_context(self.peer(transport))
        name, role = STATES[state]
        parameters: Json = {"role": role, "protocol": ["1.0.0"]}
        if name is not None:
            parameters["token"] = self.shown[name]
        elif transport != "unix":
            return ask, {"code": "authentication_required"}
        return ask, await ask({"id": "h", "command": "hello", "parameters": parameters})


async def _answer(read: Callable[[], Awaitable[Any]], message: Json) -> Json:
    while True:
        heard: Json = json.loads(await asyncio.wait_for(read(), 10))
        if heard.get("id") == message["id"]:
            return heard


async def _ping_for_ever(ask: Ask) -> None:
    while True:
        await ask({"id": "p", "command": "ping", "parameters": {}})


def code_of(reply: Json) -> str | None:
    """The error code of an answer in either form; None: success."""
    if "payload" in reply:
        data = reply["payload"]["data"]
        if data["response_type"] != "Error":
            return None
        code: str = data["data"]["details"]["code"]
        return code
    return reply.get("code")


def request(descriptor: Descriptor, form: str, serial: int) -> Json:
    """The command without parameters: who may use it is told what is missing, who may not is refused."""
    parameters = {"session_id": "x", "reason": "//"} if descriptor.right != "connect" else {}
    if form == "command":
        return {"id": f"q{serial}", "command": descriptor.command, "parameters": parameters}
    data = {"request_type": request_type(descriptor.command), "params": parameters}
    return {"id": f"q{serial}", "payload": {"type": "Request", "data": data}}


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    """A daemon with TCP and WebSocket that wants tokens, and a token of every kind."""
    server = {"lines": "127.0.0.1:0", "http": "127.0.0.1:0"}
    quotas = {"requests_per_second": 0, "evaluations_per_second": 0}
    async with running_daemon(server=server, quotas=quotas) as running:
        folder = Path(running.daemon.settings.server.data_dir or "")
        now = running.clock()
        shown = {"wrong": "stui_" + "x" * 43}
        for name, rights in RIGHTS.items():
            shown[name] = tokens.create(folder, tokens.Wish(name=name, rights=sorted(rights)), now)
        everything = sorted(RIGHTS["all"])
        shown["expired"] = tokens.create(folder, tokens.Wish(name="old", rights=everything, expires_at=now - 1), now)
        shown["revoked"] = tokens.create(folder, tokens.Wish(name="gone", rights=everything), now)
        tokens.revoke(folder, "gone", now)
        running.reloader.check()
        yield Desk(running, shown)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_access_table_has_no_cell_that_the_rules_do_not_say(transport: str) -> None:
    """Every command, in every state and form, is let in or refused as its right says: none more, none less."""
    cells, allowed, refused = 0, [], []
    async with desk() as at:
        for state in STATES:
            async with AsyncExitStack() as stack:
                ask, greeting = await at.greeted(stack, state, transport)
                if code_of(greeting) == "authentication_failed":
                    assert not any(may(each, state, transport) for each in COMMANDS)
                    cells += len(COMMANDS) * len(FORMS)  # the connection is closed: nothing can be asked
                    continue
                for serial, (descriptor, form) in enumerate((one, form) for one in COMMANDS for form in FORMS):
                    code = code_of(await ask(request(descriptor, form, serial)))
                    let_in = code not in REFUSALS
                    cells += 1
                    if let_in and not may(descriptor, state, transport):
                        allowed.append((descriptor.command, state, form, code))
                    elif not let_in and may(descriptor, state, transport):
                        refused.append((descriptor.command, state, form, code))
    print(f"{transport}: {cells} cells, unexpected allows {len(allowed)}, unexpected refusals {len(refused)}")  # noqa: T201
    assert allowed == []
    assert refused == []


@pytest.mark.parametrize("transport", ["lines", "websocket"])
async def test_token_that_is_revoked_ends_its_open_connections(transport: str) -> None:
    """A token that is revoked while its holder is connected is of no use within a second; others go on."""
    async with desk() as at, AsyncExitStack() as stack:
        held, greeting = await at.greeted(stack, "all", transport)
        assert greeting["status"] == "success"
        other, _ = await at.greeted(stack, "session", transport)
        folder = Path(at.running.daemon.settings.server.data_dir or "")
        assert tokens.revoke(folder, "all", at.running.clock()) == 1
        started = time.monotonic()
        at.running.daemon.watch(at.running.reloader)
        with pytest.raises((websockets.exceptions.ConnectionClosed, ValueError, ConnectionError)):
            await _ping_for_ever(held)
        assert time.monotonic() - started < 5  # the promise is one second; a busy machine is given more
        assert (await other({"id": "p", "command": "ping", "parameters": {}}))["status"] == "success"


async def test_token_that_expires_ends_its_open_connections() -> None:
    """Time alone ends a token."""
    async with desk() as at, AsyncExitStack() as stack:
        folder = Path(at.running.daemon.settings.server.data_dir or "")
        now = at.running.clock()
        wish = tokens.Wish(name="short", rights=["observe"], expires_at=now + 60)
        at.shown["short"] = tokens.create(folder, wish, now)
        at.running.reloader.check()
        ask = await stack.enter_async_context(at.peer("lines"))
        hello = {"role": "client", "token": at.shown["short"]}
        assert (await ask({"id": "h", "command": "hello", "parameters": hello}))["status"] == "success"
        at.running.clock.now += 61
        at.running.reloader.check()
        with pytest.raises((ValueError, ConnectionError)):
            await ask({"id": "p", "command": "ping", "parameters": {}})


def test_rules_of_the_table_know_every_right() -> None:
    """A right that a new command brings is in the table, or this fails."""
    assert {each.right for each in COMMANDS} <= RIGHTS["all"] | {"connect"}
