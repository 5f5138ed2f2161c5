"""`GET /events`: the events of a session, or of topics, as server-sent events (WHATWG HTML, section 9.2).

The query is the command `subscribe`, and goes the way of that command. `Last-Event-ID` is `since`.
"""

import secrets
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stui_sessiond.contract import CloseReason
from stui_sessiond.errors import ParameterError
from stui_sessiond.transports.event_frame import read_position, write_fields, write_position
from stui_sessiond.transports.events import HEAD, EventPipe, write_head
from stui_sessiond.web.guard import cors_headers
from stui_sessiond.web.outcome import failure_in
from stui_sessiond.web.parts import WebParts
from stui_sessiond.web.rpc import closed
from stui_sessiond.wire.forms import encode_request
from stui_sessiond.wire.messages import plain
from stui_sessiond.wire.messages.connection import OpenedData, OpenedEvent, SubscribeResult

RETRY_MS = 1000
"""How long a client waits, at least, before it connects again."""

RETRY_SPREAD_MS = 2000
"""So much longer at random, so that not all come at once when the daemon is back."""

_FLAGS = {"true": True, "false": False}


class _Answer(msgspec.Struct):
    result: SubscribeResult


_read_answer = msgspec.json.Decoder(_Answer).decode


def routes(parts: WebParts) -> list[Route]:
    """List the routes."""
    server = parts.server

    async def events(request: Request) -> Response:
        asker = parts.callers.who(request, "observe")
        wanted = wish(request)
        if request.method == "HEAD":
            return Response(None, 200, HEAD)
        head = write_head(cors_headers(request.headers.getlist("origin")))
        since = wanted.get("since")

        def start(answer: bytes) -> bytes | None:
            if failure_in(answer) is not None:
                return None
            opened = OpenedData(peer.connection_id or "", plain(server.beat.interval_s), _read_answer(answer).result)
            return head + _begin(opened, since, numbered=numbered)

        numbered = "topics" not in wanted
        state = request.scope["state"]
        pipe = EventPipe(
            state["connection"](),
            asker.address,
            server.pipe_limits,
            state["ticket"],
            server.turn,
            server.beat,
            start,
            numbered=numbered,
        )
        peer = server.enter(pipe, asker.principal, asker.client_id, lasting=True)
        pipe.give_to(peer)
        peer.receive(encode_request("events", "subscribe", wanted))
        answer = await pipe.opened
        if answer is None:
            return Response()  # nobody hears of it: the connection is the pipe's
        peer.lost()
        if isinstance(answer, CloseReason):
            raise closed(answer)
        return parts.failures.answer(answer, failure_in(answer))

    return [Route("/events", events)]


def wish(request: Request) -> dict[str, Any]:
    """Read what a query asks for, as the parameters of `subscribe`.

    Raises:
        ParameterError: it cannot be read; the text says what is wrong.
    """
    query = request.query_params
    wanted: dict[str, Any] = {name: _one(query.getlist(name), name) for name in ("session_id",) if name in query}
    if "topics" in query:
        wanted["topics"] = [name for text in query.getlist("topics") for name in text.split(",")]
    if "positions" in query:
        wanted["positions"] = dict(_entry(text) for text in query.getlist("positions"))
    known = request.headers.getlist("last-event-id") or query.getlist("since")
    if known:
        if "topics" in wanted:
            msg = "with `topics` say what you know as `positions=SESSION@EPOCH:SEQ`, once for each session"
            raise ParameterError(msg, field="since")
        wanted["since"] = _position(_one(known, "since"), "since")
    for name in ("deltas", "with_state"):
        if name in query:
            wanted[name] = _flag(_one(query.getlist(name), name), name)
    return wanted


def _begin(opened: OpenedData, since: dict[str, Any] | None, *, numbered: bool) -> bytes:
    """Write the first event. Its id is what the client knows already: what it missed comes only now."""
    position = None
    if numbered:
        here = opened.subscription.position
        position = write_position(here.epoch, here.seq) if since is None else write_position(**since)
    retry = f"retry: {RETRY_MS + secrets.randbelow(RETRY_SPREAD_MS)}\n".encode()
    return retry + write_fields(msgspec.json.encode(OpenedEvent(opened)), name="connection.opened", position=position)


def _one(given: list[str], name: str) -> str:
    if len(given) != 1:
        msg = f"give `{name}` once"
        raise ParameterError(msg, field=name)
    return given[0]


def _flag(text: str, name: str) -> bool:
    if text not in _FLAGS:
        msg = f"`{name}` is `true` or `false`"
        raise ParameterError(msg, field=name)
    return _FLAGS[text]


def _position(text: str, name: str) -> dict[str, Any]:
    found = read_position(text)
    if found is None:
        msg = f"`{name}` is EPOCH:SEQ, as the `id` of an event has it"
        raise ParameterError(msg, field=name)
    return {"epoch": found[0], "seq": found[1]}


def _entry(text: str) -> tuple[str, dict[str, Any]]:
    session_id, _, position = text.rpartition("@")
    return session_id, _position(position, "positions")
