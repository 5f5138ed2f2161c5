"""What does whoever watches many daemons get of this one? `/metrics`, for Prometheus and those who read its form.

Takes the right `observe`, like everything that tells of others; `[observe] metrics_open` lets everybody in who reaches
the port.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stui_sessiond.observe.metrics import Metrics
from stui_sessiond.web.failure import NO_STORE
from stui_sessiond.web.parts import WebParts


def routes(parts: WebParts) -> list[Route]:
    """List the routes."""
    metrics = Metrics(parts.observed)

    async def scrape(request: Request) -> Response:
        if not parts.metrics_open:
            parts.callers.who(request, "observe")
        body, content_type = await metrics.write(request.headers.get("accept", ""))
        return Response(body, headers={**NO_STORE, "Content-Type": content_type})

    return [Route("/metrics", scrape)]
