"""Those who come and are no clients: wrong tokens, silence, noise, half a hello, not reading, asking how it is.

Each comes from an address of its own where failing is counted by address.
"""

import asyncio
import contextlib
import json
import random
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from stui_sessiond.client import CallFailedError
from stui_sessiond.client.conversation import Conversation
from stui_sessiond.security import token as tokens
from stui_sessiond.tasks import TaskOwner

from .account import Account
from .pause import pause
from .plan import Plan
from .roads import Network, Streams

Json = dict[str, Any]

NOT_READ_S = 35.0
"""How long one who does not read does so: after 30 s the daemon has had enough."""

ENDED_S = NOT_READ_S + 15.0
"""How long the daemon may take to end what has to end."""

REVOKED_S = 5.0
"""How long a revoked token may be of use: a second, on a machine that does nothing else."""

LARGE = "x" * 200_000
"""State whose reading, again and again, is more than a connection's share of memory."""

READS = 80


class Strangers:
    """One of each manner after the other, at random."""

    def __init__(
        self,
        plan: Plan,
        network: Network,
        token: str,
        account: Account,
        rng: random.Random,
        closing: asyncio.Event,
    ) -> None:
        self._closing = closing
        self._plan = plan
        self._network = network
        self._token = token
        self._account = account
        self._random = rng
        self._serial = 0
        self.manners: dict[str, tuple[float, Callable[[], Awaitable[None]]]] = {
            "wrong token": (4, self._wrong_token),
            "silent": (2, self._silent),
            "noise": (2, self._noise),
            "half a hello": (3, self._half_hello),
            "does not read": (0.3 if plan.seconds > NOT_READ_S else 0.0, self._does_not_read),
            "asks for health": (4, self._health),
        }

    async def one(self) -> None:
        """Let one come and go."""
        names = list(self.manners)
        name = self._random.choices(names, [self.manners[each][0] for each in names])[0]
        try:
            async with asyncio.timeout(ENDED_S):
                await self.manners[name][1]()
        except TimeoutError:
            self._account.complain("strangers", f"{name}: not over within {ENDED_S:g} s")
        except (OSError, EOFError) as error:
            self._account.complain("strangers", f"{name}: {error!r}")
        else:
            self._account.causes[f"stranger: {name}"] += 1

    def _address(self) -> str:
        """One of a few thousand addresses of this machine, so that none is seen too often."""
        self._serial += 1
        return f"127.0.{2 + self._serial // 250 % 16}.{1 + self._serial % 250}"

    async def _said(self, streams: Streams) -> list[Json]:
        """All that the daemon says until it ends the connection."""
        reader, writer = streams
        said = []
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                said.append(json.loads(line))
        except ConnectionResetError:
            pass
        finally:
            writer.transport.abort()
        return said

    def _check(self, what: str, said: list[Json], wanted: str) -> None:
        names = [each.get("code") or each.get("data", {}).get("name") for each in said]
        if wanted not in names:
            self._account.complain("strangers", f"{what}: {wanted} was not said, but {said}")

    async def _wrong_token(self) -> None:
        streams = await self._network.dial_lines(self._address())
        hello = {"role": "client", "client_id": "stranger", "token": f"stui_{uuid.uuid4().hex}"}
        streams[1].write(json.dumps({"id": "1", "command": "hello", "parameters": hello}).encode() + b"\n")
        self._check("wrong token", await self._said(streams), "authentication_failed")

    async def _silent(self) -> None:
        self._check("silent", await self._said(await self._network.dial_lines(self._address())), "hello_timeout")

    async def _noise(self) -> None:
        streams = await self._network.dial_lines(self._address())
        noise = self._random.choice((b"POST / HTTP/1.1\r\n", b"}{\n", b"\xff\x00\n"))
        streams[1].write(noise)
        said = await self._said(streams)
        if not noise.startswith(b"POST"):
            self._check("noise", said, "protocol_violation")
        elif said:
            self._account.complain("strangers", f"what looks like HTTP was answered: {said}")

    async def _half_hello(self) -> None:
        dial = self._random.choice((self._network.dial_unix, self._network.dial_lines, self._network.dial_http))
        _, writer = await dial()
        writer.write(b'{"id":"1","command":"hello","parameters":{"ro')
        await writer.drain()
        writer.transport.abort()

    async def _health(self) -> None:
        reader, writer = await self._network.dial_http()
        writer.write(f"GET /healthz HTTP/1.1\r\nHost: {self._network.host}\r\nConnection: close\r\n\r\n".encode())
        said = await reader.read()
        writer.close()
        if not said.startswith(b"HTTP/1.1 200"):
            self._account.complain("strangers", f"health: {said[:200]!r}")

    async def _does_not_read(self) -> None:
        client_id = f"slow-{uuid.uuid4().hex[:8]}"
        with await self._network.dial_slow() as sock:
            line = _RawLine(sock)
            await line.ask("hello", role="client", client_id=client_id, token=self._token)
            made = await line.ask("create_session", client_id=client_id, timeout=self._plan.session_timeout_s)
            session = {"session_id": made["session_id"]}
            await line.ask("update_session_state", **session, state_data={"large": LARGE})
            with contextlib.suppress(OSError):
                for _ in range(READS):
                    await line.send("restore_session", **session)
            await pause(self._closing, NOT_READ_S)
            if not self._closing.is_set():
                await line.until_over()


class _RawLine:
    """A connection that reads only when it wants an answer."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = b""

    async def send(self, command: str, **parameters: object) -> None:
        """Send a request."""
        message = {"id": "1", "command": command, "parameters": parameters}
        await asyncio.get_running_loop().sock_sendall(self._sock, json.dumps(message).encode() + b"\n")

    async def ask(self, command: str, **parameters: object) -> Json:
        """Send a request and read its answer."""
        await self.send(command, **parameters)
        parts = [self._rest]
        while b"\n" not in parts[-1]:
            part = await asyncio.get_running_loop().sock_recv(self._sock, 65536)
            if not part:
                raise EOFError
            parts.append(part)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        answer: Json = json.loads(line)
        if answer["status"] != "success":
            raise OSError(answer["code"])
        result: Json = answer["result"]
        return result

    async def until_over(self) -> None:
        """Read what is there until the other end is gone."""
        with contextlib.suppress(ConnectionResetError):
            while await asyncio.get_running_loop().sock_recv(self._sock, 65536):
                pass


class Revoking:
    """Tokens that are made, used, and revoked under those who use them."""

    def __init__(self, folder: Path, network: Network, account: Account, rng: random.Random) -> None:
        self._folder = folder
        self._network = network
        self._account = account
        self._random = rng
        self.worst_s = 0.0
        self._serial = 0

    async def run(self, every_s: float, closing: asyncio.Event) -> None:
        """Do it again and again, until everybody is asked to leave."""
        while True:
            await pause(closing, every_s)
            if closing.is_set():
                return
            self._serial += 1
            await self._one(f"fleeting-{self._serial}")

    async def _one(self, name: str) -> None:
        wish = tokens.Wish(name=name, rights=("session", "eval", "observe"))
        secret = await asyncio.to_thread(tokens.create, self._folder, wish, time.time())
        await asyncio.sleep(1.5)  # a running daemon knows of it within a second
        owner = TaskOwner("revoked")
        there = []
        for kind in self._network.kinds:
            road = await self._network.open(kind)
            if road.trusted:
                road.channel.abort()
                continue
            ids = (f"{name}-{serial}" for serial in range(1000))
            there.append(Conversation(road.channel, owner, ids, lambda _event, _size: None, lambda _answer: None))
        try:
            for conversation in there:
                await conversation.ask("hello", {"role": "client", "client_id": name, "token": secret})
                await conversation.ask("subscribe", {"topics": [f"client:{name}"]})
            await asyncio.to_thread(tokens.revoke, self._folder, name, time.time())
            began = time.perf_counter()
            async with asyncio.timeout(REVOKED_S):
                endings = [await conversation.over() for conversation in there]
            self.worst_s = max(self.worst_s, time.perf_counter() - began)
            for ending in endings:
                self._account.expect(
                    "revoked",
                    "connection lost: token revoked" if ending.name == "access_revoked" else None,
                    str(ending),
                )
        except CallFailedError as error:
            self._account.complain("revoked", f"hello with a new token: {error.code} {error}")
        except TimeoutError:
            self._account.complain("revoked", f"still there after {REVOKED_S:g} s")
        finally:
            for conversation in there:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        await conversation.close()
            await owner.close()
            await asyncio.to_thread(tokens.prune, self._folder, time.time())
