"""How is an error told over HTTP? As the message that a socket would get, with a status that fits its code."""

from collections.abc import Callable, Mapping

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from stui_sessiond.contract import ErrorCode
from stui_sessiond.errors import StuiError, UnsupportedOperationError
from stui_sessiond.web.status import all_statuses

_log = structlog.get_logger(__name__)

RETRY_S = {401: None, 429: 60, 503: 2}
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

    def response(self, error: StuiError, status: int | None = None, body: bytes | None = None) -> Response:
        """Make the response of an error; `body` if the message is made already."""
        status = status or self.status(error.code)
        return Response(body or self._encode(error), status, self.headers(status, error), "application/json")

    @staticmethod
    def headers(status: int, error: StuiError | None = None) -> dict[str, str]:
        """Make the headers that go with a status."""
        headers = dict(NO_STORE)
        if status == 401:  # noqa: PLR2004 -- RFC 9110, section 11.6.1
            headers["WWW-Authenticate"] = 'Bearer realm="stui_sessiond"'
        wait = RETRY_S.get(status)
        after = error.details.get("retry_after") if error is not None else None
        if isinstance(after, int | float):
            wait = int(after) + 1
        if wait is not None:
            headers["Retry-After"] = str(wait)
        return headers

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
