"""Is the daemon alive, and should work be sent to it? `/healthz` and `/readyz`, which take no token, and `/`."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stui_sessiond.web.failure import NO_STORE
from stui_sessiond.web.health import readiness
from stui_sessiond.web.parts import WebParts

UPGRADE_REQUIRED = 426
UNAVAILABLE = 503


def routes(parts: WebParts) -> list[Route]:
    """List the routes."""

    async def healthz(request: Request) -> Response:
        del request
        found = parts.health()
        return _json(found, ok=found.status == "ok")

    async def readyz(request: Request) -> Response:
        del request
        found = readiness(parts.health())
        return _json(found, ok=found.ready)

    async def root(request: Request) -> Response:
        del request
        text = "This is stui_sessiond. Open a WebSocket here (stui.v1), or /ui/ in a browser; see /openapi.json.\n"
        return Response(text, UPGRADE_REQUIRED, {"Upgrade": "websocket"}, media_type="text/plain")

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/", root)]


def _json(body: object, *, ok: bool) -> Response:
    return Response(msgspec.json.encode(body), 200 if ok else UNAVAILABLE, dict(NO_STORE), "application/json")
