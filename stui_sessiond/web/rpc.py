"""`POST /rpc`: one message in, its answer out. The same peer, dispatcher, limits and rights as over a socket."""

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from stui_sessiond.contract import CloseReason
from stui_sessiond.errors import AuthenticationFailedError, MessageTooLargeError, ShuttingDownError, StuiError
from stui_sessiond.tracing import read_traceparent
from stui_sessiond.transports.once import OncePipe
from stui_sessiond.web.outcome import failure_in
from stui_sessiond.web.parts import WebParts


def routes(parts: WebParts) -> list[Route]:
    """List the routes."""

    async def rpc(request: Request) -> Response:
        asker = parts.callers.who(request, "connect")
        try:
            payload = await _read_body(request, parts.server.limits.messages.client_bytes)
        except ClientDisconnect:
            return Response()  # nobody hears of it: it left in the middle
        pipe = OncePipe(asker.address, request.scope["state"]["ticket"])
        peer = parts.server.enter(pipe, asker.principal, asker.client_id, lasting=False)
        try:
            peer.receive(with_traceparent(payload, request.headers.get("traceparent")))
            answer = await pipe.answer  # the request goes on if the client leaves, and so does this
        finally:
            peer.lost()
        if isinstance(answer, CloseReason):
            raise closed(answer)
        return parts.failures.answer(answer, failure_in(answer))

    return [Route("/rpc", rpc, methods=["POST"])]


def with_traceparent(payload: bytes, header: str | None) -> bytes:
    """Put the trace that the header names into the message, as a message over a socket has it; its own goes before."""
    told = read_traceparent(header)
    start = payload.lstrip()
    if told is None or not start.startswith(b"{") or start[1:].lstrip().startswith(b"}"):
        return payload
    return b'{"traceparent":"%s",%s' % (told.encode(), start[1:])


def closed(reason: CloseReason) -> StuiError:
    """Make the error for a request whose answer cannot be waited for."""
    text = f"{reason.meaning} The request may still be carried out: ask get_request_status for its idempotency_key."
    return ShuttingDownError(text) if reason.reconnect else AuthenticationFailedError(text, reason=reason.name)


async def _read_body(request: Request, limit_bytes: int) -> bytes:
    """Read a message.

    Raises:
        MessageTooLargeError: it is longer than a message may be; no more of it was read than that.
    """
    pieces: list[bytes] = []
    length = 0
    async for piece in request.stream():
        length += len(piece)
        if length > limit_bytes:
            msg = f"the message is longer than {limit_bytes} bytes; it was dropped"
            raise MessageTooLargeError(msg, limit_bytes=limit_bytes)
        pieces.append(piece)
    return b"".join(pieces)
