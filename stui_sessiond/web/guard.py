"""May this request come in at all? Address, Host, Origin and Content-Type, before anything else looks at it.

A page of another origin that the operator's list names is told by CORS headers (Fetch standard, section 3.2) that it
may read. Others are refused; so is every request that a page could send without having been told.
"""

from collections.abc import Callable, Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stui_sessiond.errors import RefusedError, WireError
from stui_sessiond.security.origin import of_foreign_page, refusal
from stui_sessiond.web.failure import Failures

JSON_TYPES = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
"""What a POST may be. A page of another origin cannot send it without asking first."""

UNSUPPORTED_TYPE = 415

PREFLIGHT_S = 600
"""How long a browser may remember what a page may send."""

_MAY_SEND = "authorization, content-type, last-event-id, stui-client-id"
_MAY_READ = "Retry-After, WWW-Authenticate"


class Guard:
    """Lets in only requests that name this server, and come from an address that may, and from no foreign page."""

    def __init__(
        self,
        app: ASGIApp,
        check_address: Callable[[Scope], None],
        hosts: Collection[str],
        origins: Collection[str],
        failures: Failures,
    ) -> None:
        self._app = app
        self._check_address = check_address
        self._hosts = hosts
        self._origins = origins
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at a request."""
        try:
            self._check_address(scope)
        except RefusedError as refused:
            response = self._failures.response(refused)
            response.headers["Connection"] = "close"  # as over the other transports
            await response(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        reason = refusal(headers.getlist("host"), origins, self._hosts, self._origins, scope["scheme"])
        if reason is None and of_foreign_page(
            origins, headers.getlist("sec-fetch-site"), headers.getlist("sec-fetch-mode")
        ):
            reason = "pages of other sites are not allowed here"
        if reason is not None:
            await self._failures.response(RefusedError(reason))(scope, receive, send)
            return
        allow = cors_headers(origins)
        answer = _telling(send, allow) if allow else send
        if allow and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(None, 204, _PREFLIGHT)(scope, receive, answer)
            return
        types = headers.getlist("content-type")
        if scope["method"] == "POST" and (len(types) != 1 or types[0].lower() not in JSON_TYPES):
            error = WireError("what is sent has one Content-Type, application/json")
            await self._failures.response(error, UNSUPPORTED_TYPE)(scope, receive, answer)
            return
        await self._app(scope, receive, answer)


def cors_headers(origins: Collection[str]) -> dict[str, str]:
    """Make the headers that let a page read the answer; `origins` were let in already."""
    if not origins:
        return {}
    (origin,) = origins
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Expose-Headers": _MAY_READ}


_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": _MAY_SEND,
    "Access-Control-Max-Age": str(PREFLIGHT_S),
}


def _telling(send: Send, more: dict[str, str]) -> Send:
    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(more)
        await send(message)

    return telling
