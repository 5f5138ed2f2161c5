"""The HTTP side of the port that also carries the WebSocket: health, and errors that say what to do."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from stui_sessiond.security.origin import refusal
from stui_sessiond.transports.health import Health

UPGRADE_REQUIRED = 426

JSON_TYPES = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
"""What a POST may be. A page of another origin cannot send it without asking first, and nobody here says yes."""


class _Guard:
    """Lets in only requests that name this server and come from no foreign page."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], origins: Collection[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value.decode("latin-1")) for name, value in scope.get("headers", ())]
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        reason = refusal(hosts, origins, self._hosts, self._origins)
        if reason is not None:
            await Response(f"{reason}\n", 403, media_type="text/plain")(scope, receive, send)
            return
        types = [value for name, value in headers if name == b"content-type"]
        if scope["method"] == "POST" and (len(types) != 1 or types[0].lower() not in JSON_TYPES):
            text = "a POST has one Content-Type, application/json\n"
            await Response(text, 415, media_type="text/plain")(scope, receive, send)
            return
        await self._app(scope, receive, send)


def make_app(
    health: Callable[[], Health],
    hosts: Callable[[], Collection[str]],
    origins: Collection[str],
    more: Sequence[BaseRoute] = (),
) -> Any:  # noqa: ANN401 -- an ASGI application
    """Make the application; `hosts` is asked when a request comes, because the port is known only then."""

    async def healthz(request: Request) -> Response:
        del request
        found = health()
        code = 200 if found.status == "ok" else 503
        return Response(msgspec.json.encode(found), code, media_type="application/json")

    async def root(request: Request) -> Response:
        del request
        text = "This is stui_sessiond. Open a WebSocket here (subprotocol stui.v1); health is at /healthz, a page at /ui/.\n"
        return Response(text, UPGRADE_REQUIRED, {"Upgrade": "websocket"}, media_type="text/plain")

    app = Starlette(routes=[Route("/healthz", healthz), Route("/", root), *more])

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        await _Guard(app, hosts(), origins)(scope, receive, send)

    return guarded
