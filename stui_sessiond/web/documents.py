"""The contract for tools, as it lies in `protocol/`: `/openapi.json` and `/asyncapi.json`. No token is needed."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stui_sessiond.contract import protocol_folder
from stui_sessiond.web.parts import WebParts

NAMES = ("openapi.json", "asyncapi.json")


def routes(parts: WebParts) -> list[Route]:
    """List the routes."""
    del parts

    async def document(request: Request) -> Response:
        found = protocol_folder() / request.url.path.lstrip("/")
        return Response(found.read_bytes(), headers={"Cache-Control": "no-cache"}, media_type="application/json")

    return [Route(f"/{name}", document) for name in NAMES]
