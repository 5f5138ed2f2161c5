"""Do secrets leak? Canaries are planted in every parameter, header and token, through every error path.

What a peer made up may come back to that peer in the text of its error. It must not come into the log, and a token
must not come back at all.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets.asyncio.client
import websockets.exceptions

from stui_sessiond.contract import load_contract
from stui_sessiond.wire.forms import request_type
from tests.e2e.harness import Connection, Daemon, folder

Json = dict[str, Any]

CODE = "canaryCodeZq81"
STATE = "canaryStateZq82"
TOKEN = "stui_canaryTokenZq83xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
CANARIES = (CODE, STATE, TOKEN)

KINDS: dict[str, object] = {
    "string": CODE,
    "object": {STATE: STATE},
    "array": [CODE],
    "integer": CODE,
    "number": CODE,
    "boolean": CODE,
    "any": STATE,
    "null": None,
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that wants tokens and has nothing against guesses."""
    settings = (
        "[limits]\nfailed_authentications = 100000\n[quotas]\nrequests_per_second = 0\nevaluations_per_second = 0\n"
    )
    options = ("--lines", "127.0.0.1:0", "--http", "127.0.0.1:0", "--auth", "token", "--log-level", "debug")
    with folder() as home, Daemon(home, *options, settings=settings) as running:
        yield running


def messages(session_id: str) -> Iterator[Json]:
    """Every command in both forms: with canaries for all parameters, and with one for each alone."""
    for name, descriptor in load_contract().commands.items():
        parameters = {field: KINDS[spec["type"].split("|")[0]] for field, spec in descriptor.parameters.items()}
        variants = [parameters, {**parameters, "session_id": session_id}, {**parameters, "token": TOKEN}]
        variants += [{field: value} for field, value in parameters.items()]
        for number, given in enumerate(variants):
            yield {"id": f"{name}-{number}", "command": name, "parameters": given}
            data = {"request_type": request_type(name), "params": given}
            yield {"id": f"{name}-{number}-e", "payload": {"type": "Request", "data": data}}


def found_in(text: str) -> dict[str, int]:
    """How often each canary is in a text."""
    return {canary: text.count(canary) for canary in CANARIES if canary in text}


def test_canaries_in_parameters_stay_out_of_the_log(daemon: Daemon) -> None:
    """Code, state and tokens in every parameter of every command, over the unix socket: none is logged."""
    replies, asked = [], 0
    with Connection(daemon.socket_path) as local:
        session_id = local.new_session()
        local.result("update_session_state", session_id=session_id, state_data={STATE: STATE})
    waiting = list(messages(session_id))
    while asked < len(waiting):  # some end the connection: the next ones are asked over another
        with Connection(daemon.socket_path) as local:
            while asked < len(waiting):
                local.write(waiting[asked])
                asked += 1
                while (reply := local.read()) is not None and "event" in reply:
                    pass
                if reply is None:
                    break
                replies.append(json.dumps(reply))
    print(f"{asked} requests, {len(replies)} answers, {len(daemon.log)} characters of log")  # noqa: T201
    assert len(replies) > asked * 0.9
    assert found_in(daemon.log) == {}
    assert TOKEN not in "".join(replies)


def test_canaries_in_tokens_come_back_nowhere(daemon: Daemon) -> None:
    """A wrong token in `hello`, in the header, in the URL and in broken JSON: neither answered nor logged."""
    heard = [b""]
    lines = (
        {"id": "h", "command": "hello", "parameters": {"role": "client", "token": TOKEN}},
        {"id": "h", "command": "hello", "parameters": {"role": TOKEN, "token": TOKEN}},
        {"id": "h", "command": "hello", "token": TOKEN, "parameters": {"role": "client", "protocol": TOKEN}},
        {"id": "h", "payload": {"type": "Request", "data": {"request_type": "Hello", "params": {"token": TOKEN}}}},
    )
    for payload in (*(json.dumps(line).encode() for line in lines), b'{"token": "' + TOKEN.encode()):
        with Connection(daemon.place("lines")) as stranger:
            stranger.socket.sendall(payload + b"\n")
            while data := stranger.socket.recv(65536):
                heard.append(data)
                if b"\n" in data:
                    break
    place = "{}:{}".format(*daemon.place("http"))
    for path in ("/", "/healthz", "/nowhere", f"/?token={TOKEN}", f"/events?session_id={TOKEN}&since={TOKEN}"):
        answer = httpx.get(f"http://{place}{path}", headers={"Authorization": f"Bearer {TOKEN}", "X-Canary": CODE})
        heard += [answer.content, repr(answer.headers).encode()]
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"Authorization": TOKEN, "Stui-Client-Id": TOKEN}):
        answer = httpx.post(
            f"http://{place}/rpc?client_id={TOKEN}", headers=headers, json={"id": TOKEN, "token": TOKEN}
        )
        heard += [answer.content, repr(answer.headers).encode()]
    heard.append(asyncio.run(_over_websocket(place)))
    text = b"".join(heard).decode("utf-8", "replace")
    assert "authentication_failed" in text
    assert found_in(text) == {}
    assert found_in(daemon.log) == {}


async def _over_websocket(place: str) -> bytes:
    connecting = websockets.asyncio.client.connect(
        f"ws://{place}/?token={TOKEN}", additional_headers={"Authorization": f"Bearer {TOKEN}"}, proxy=None
    )
    try:
        async with connecting as socket:
            await socket.send(json.dumps({"id": "h", "command": "hello", "parameters": {"role": "client"}}))
            return str(await socket.recv()).encode()
    except websockets.exceptions.InvalidStatus as error:
        return bytes(error.response.body)


def test_canaries_of_the_daemon_are_not_kept_in_clear(daemon: Daemon) -> None:
    """The first token, which is shown at the start, is in no file of the data folder."""
    files = [file for file in daemon.data.rglob("*") if file.is_file()]
    token = daemon.token().encode()
    assert any(file.name == "tokens.json" for file in files)
    assert [file.name for file in files if token in file.read_bytes()] == []
