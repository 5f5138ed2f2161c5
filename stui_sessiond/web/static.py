"""The files of the operator's page under `/ui/`, and the headers that keep the page to itself.

All files are read at the start: a request names one of them or gets 404, and never a path. The page holds no data and
no secret; what it shows comes over the WebSocket, after a `hello` with a token (docs/adr/0021).
"""

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from stui_sessiond.web.parts import WebParts

INDEX = "index.html"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Scripts, styles and connections of this server alone, nothing inline; no page may frame it; no text becomes markup,
because the browser refuses every place where it could (Trusted Types)."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
"""`no-cache`: a browser asks each time whether its copy is still good, so that an upgrade shows at once."""


class PageFile(msgspec.Struct, frozen=True):
    """One file, as it is sent."""

    body: bytes
    media_type: str
    tag: str
    """Its ETag (RFC 9110, 8.8.3): changes exactly with the content."""


def page_folder() -> Traversable:
    """Find the files: they are part of the package."""
    return resources.files("stui_sessiond.web") / "page"


def read_page(folder: Traversable) -> dict[str, PageFile]:
    """Read the files of a kind that a page has, by name.

    Raises:
        OSError: one cannot be read.
    """
    found = {}
    for file in folder.iterdir():
        media_type = _TYPES.get("." + file.name.rpartition(".")[2])
        if media_type is not None:
            body = file.read_bytes()
            found[file.name] = PageFile(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


def routes(parts: WebParts) -> list[Route]:
    """List the routes. They take no token: whoever may reach the port may have the page, which is in every package."""
    del parts
    files = read_page(page_folder())

    async def send(request: Request) -> Response:
        file = files.get(request.path_params.get("name") or INDEX)
        if file is None:
            return Response("there is no such file; the page is at /ui/\n", 404, HEADERS, "text/plain")
        headers = {**HEADERS, "ETag": file.tag}
        if _has(request.headers.get("if-none-match"), file.tag):
            return Response(status_code=304, headers=headers)
        return Response(file.body, 200, headers, file.media_type)

    async def redirect(request: Request) -> Response:
        del request
        return RedirectResponse("/ui/", 308, HEADERS)

    return [Route("/ui", redirect), Route("/ui/", send), Route("/ui/{name}", send)]


def _has(given: str | None, tag: str) -> bool:
    """Tell whether `If-None-Match` names a tag; weak ones are the same here (RFC 9110, 13.1.2)."""
    tags = [each.strip().removeprefix("W/") for each in (given or "").split(",")]
    return tag in tags or "*" in tags
