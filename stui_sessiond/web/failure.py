"""How is an error told over HTTP? As the message that a socket would get, with a status that fits its code."""

from collections.abc import Callable, Mapping

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from stui_sessiond.contract import ErrorCode
from stui_sessiond.errors import StuiError, UnsupportedOperationError
from stui_sessiond.web.outcome import Failed
from stui_sessiond.web.status import all_statuses

_log = structlog.get_logger(__name__)

UNAUTHORIZED = 401

RETRY_S = {429: 60, 503: 2}
"""What `Retry-After` says where the error does not: attempts are counted over a minute, a restart takes a moment."""

NO_STORE = {"Cache-Control": "no-store"}
"""Answers are about now, and for whoever asked."""

_WORDS = {404: "there is nothing at this path; /openapi.json lists what there is"}


class Failures:
    """Turns errors into responses."""

    def __init__(self, errors: Mapping[str, ErrorCode], encode: Callable[[StuiError], bytes]) -> None:
        self._statuses = all_statuses(errors)
        self._encode = encode

    def status(self, code: str) -> int:
        """Tell the status of an error code; of one that is not known, that of a fault."""
        return self._statuses.get(code, 500)

    def response(self, error: StuiError, status: int | None = None) -> Response:
        """Make the response of an error."""
        status = status or self.status(error.code)
        after = error.details.get("retry_after")
        headers = _headers(status, after if isinstance(after, int | float) else None)
        return Response(self._encode(error), status, headers, "application/json")

    def answer(self, message: bytes, failed: Failed | None) -> Response:
        """Make the response that carries an answer."""
        if failed is None:
            return Response(message, 200, dict(NO_STORE), "application/json")
        status = self.status(failed.code)
        return Response(message, status, _headers(status, failed.retry_after), "application/json")

    async def handle(self, request: Request, error: Exception) -> Response:
        """Answer a request that met an error of ours."""
        del request
        if isinstance(error, StuiError):
            return self.response(error)
        raise error

    async def handle_http(self, request: Request, error: Exception) -> Response:
        """Answer a request for which there is no route, or none with this method."""
        if not isinstance(error, HTTPException):
            raise error
        text = _WORDS.get(error.status_code, f"{request.method} is not possible here")
        response = self.response(UnsupportedOperationError(text), error.status_code)
        response.headers.update(error.headers or {})
        return response

    async def handle_fault(self, request: Request, error: Exception) -> Response:
        """Answer a request that met a fault of the daemon."""
        _log.error("http.crashed", path=request.url.path, exc_info=error)
        return self.response(StuiError("a fault in the daemon; its log has the details"))


def _headers(status: int, retry_after: float | None) -> dict[str, str]:
    headers = dict(NO_STORE)
    if status == UNAUTHORIZED:  # RFC 9110, section 11.6.1
        headers["WWW-Authenticate"] = 'Bearer realm="stui_sessiond"'
    wait = RETRY_S.get(status) if retry_after is None else int(retry_after) + 1
    if wait is not None:
        headers["Retry-After"] = str(wait)
    return headers
