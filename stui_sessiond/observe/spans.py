"""How does a request show in a trace? With a span of the daemon for it, and one for each image that it asks.

They go to a collector over OTLP/HTTP, in the background, from a queue that OpenTelemetry bounds; what it cannot take is
dropped. Attributes are ids and words of ours, never what a request carries. Nothing of this is imported unless an
operator names a collector.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from stui_sessiond import __version__
from stui_sessiond.commands.auditing import Note
from stui_sessiond.commands.dispatch import Answer, Dispatcher
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.commands.tally import CommandTally
from stui_sessiond.contract import Descriptor
from stui_sessiond.errors import StuiError
from stui_sessiond.tracing import read_traceparent, trace
from stui_sessiond.wire.forms import Request

EXPORT_S = 2.0
"""How long the collector may take over spans, further attempts included: the end of the daemon waits for the last."""

_propagator = TraceContextTextMapPropagator()


class TracedRequest(Request, frozen=True, kw_only=True):
    """A request with its span."""

    span: Span


class ImageLeg:
    """A span for what an image does."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """What the image is told."""
        found = self._span.get_span_context()
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"

    def end(self, outcome: str) -> None:
        """It has answered, or something came instead."""
        self._span.set_attribute("stui.outcome", outcome)
        if outcome not in {"ok", "error"}:  # that code met an error is a result
            self._span.set_status(Status(StatusCode.ERROR, outcome))
        self._span.end()


class DaemonTrace:
    """A trace in which the daemon has a span."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    def asking(self, command: str, image_id: str) -> ImageLeg:
        """Begin the span of an image."""
        attributes = {"rpc.system": "stui", "rpc.method": command, "stui.image_id": image_id}
        context = set_span_in_context(self._span)
        return ImageLeg(self._tracer.start_span(f"image {command}", context, SpanKind.CLIENT, attributes))


class TracedDispatcher(Dispatcher):
    """A dispatcher that makes a span for each request."""

    def trace_to(self, endpoint: str, ratio: float, server_id: str) -> None:
        """Send spans to a collector; `ratio` of the requests whose senders do not trace themselves are traced."""
        resource = Resource.create(
            {"service.name": "stui-sessiond", "service.version": __version__, "service.instance.id": server_id}
        )
        self._provider = TracerProvider(ParentBased(TraceIdRatioBased(ratio)), resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=EXPORT_S)))
        self._tracer = self._provider.get_tracer("stui_sessiond", __version__)

    async def close(self) -> None:
        """Send what has not been sent, if the collector takes it."""
        await asyncio.get_running_loop().run_in_executor(None, self._provider.shutdown)

    def answer(self, request: Request, caller: Caller) -> Answer | Awaitable[Answer]:
        """Carry a request out, within a span."""
        span = self._begin(request, caller)
        traced = TracedRequest(
            request.id, request.command, request.parameters, request.beside, request.envelope, span=span
        )
        found = super().answer(traced, caller)
        if isinstance(found, Answer):
            span.end()
        return found

    def _begin(self, request: Request, caller: Caller) -> Span:
        known = request.command if self.table.find(request.command) is not None else "unknown"
        said = {
            "rpc.system": "stui",
            "rpc.method": known,
            "stui.connection_id": caller.connection_id,
            "stui.client_id": caller.client_id,
        }
        told = read_traceparent(request.traceparent)
        context = None if told is None else _propagator.extract({"traceparent": told})
        attributes = {name: value for name, value in said.items() if value is not None}
        return self._tracer.start_span(known, context, SpanKind.SERVER, attributes)

    def _parameters(self, request: Request, descriptor: Descriptor, command: Command, caller: Caller) -> Any:  # noqa: ANN401 -- as there
        parameters = super()._parameters(request, descriptor, command, caller)
        session_id = getattr(parameters, "session_id", None)
        if isinstance(request, TracedRequest) and isinstance(session_id, str):
            request.span.set_attribute("stui.session_id", session_id)
        return parameters

    async def _finish(
        self,
        request: Request,
        result: Awaitable[object],
        caller: Caller,
        note: Note | None,
        tally: CommandTally,
        begun_at: float,
    ) -> Answer:
        span = request.span if isinstance(request, TracedRequest) else None
        if span is not None:
            trace.set(DaemonTrace(self._tracer, span))
        try:
            return await super()._finish(request, result, caller, note, tally, begun_at)
        finally:
            if span is not None:
                span.end()

    def _failure(self, request: Request, error: Exception) -> bytes:
        if isinstance(request, TracedRequest):
            code = error.code if isinstance(error, StuiError) else "internal_error"
            request.span.set_attribute("error.type", code)
            request.span.set_status(Status(StatusCode.ERROR, code))
        return super()._failure(request, error)
