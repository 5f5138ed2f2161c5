"""Traces of real requests, taken by a real collector: an HTTP server that reads OTLP."""

import gzip
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.unit.bed.daemon import Talker, running_daemon
from tests.unit.observe.bed import OPEN

trace_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs the extra `otel`"
)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TOLD = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
SECRET = "canary-7f3a"


class Collector:
    """Takes spans over OTLP/HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.raw = b""
        self.services: set[str] = set()
        self.port = 0

    def take(self, body: bytes) -> None:
        """Read an export."""
        self.raw += body
        request = trace_service.ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            self.services |= {
                one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> Any:  # noqa: ANN401 -- a generated class
        """The one span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector on a thread."""
    found = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf":
                found.take(body)
                self.send_response(200)
            else:
                self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as there
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def attributes(span: Any) -> dict[str, str]:  # noqa: ANN401 -- a generated class
    """What a span says."""
    return {one.key: one.value.string_value for one in span.attributes}


async def evaluated(client: Talker, image: Talker, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- fields of the message
    """Have an image evaluate something; give the request that it got."""
    client.say({"id": "e-1", "command": "evaluate", "parameters": {"code": f"'{SECRET}'"}, **more})
    request = await image.hear()
    result = {"result": SECRET, "result_type": "String", "execution_time": 0, "has_error": False}
    image.say({"id": request["id"], "status": "success", "result": result})
    assert (await client.reply_to("e-1"))["status"] == "success"
    return request


async def test_trace_follows_a_request_to_the_image_and_back() -> None:
    """The daemon's span is a child of the client's, and the image's of the daemon's; the image is told of it."""
    with collector() as found:
        wanted = {"otlp_endpoint": f"http://127.0.0.1:{found.port}"}
        async with running_daemon(observe=wanted) as running, running.talker() as client, running.image() as image:
            await client.call("hello", role="client", client_id="me")
            request = await evaluated(client, image, traceparent=TOLD)
    daemon, leg = found.named("evaluate"), found.named("image evaluate")
    assert daemon.trace_id.hex() == leg.trace_id.hex() == TRACE_ID
    assert daemon.parent_span_id.hex() == "00f067aa0ba902b7"
    assert leg.parent_span_id == daemon.span_id
    assert request["traceparent"] == f"00-{TRACE_ID}-{leg.span_id.hex()}-01"
    assert daemon.start_time_unix_nano <= leg.start_time_unix_nano <= leg.end_time_unix_nano
    assert leg.end_time_unix_nano <= daemon.end_time_unix_nano
    assert attributes(daemon)["stui.client_id"] == "me"
    assert attributes(leg)["stui.image_id"] == "pharo"
    assert found.services == {"stui-sessiond"}
    assert SECRET.encode() not in found.raw


async def test_requests_that_fail_and_trace_nothing_themselves() -> None:
    """Each begins a trace; the code of the error is there, a name that somebody made up is not."""
    with collector() as found:
        wanted = {"otlp_endpoint": f"http://127.0.0.1:{found.port}/v1/traces"}
        async with running_daemon(observe=wanted) as running, running.talker() as client:
            await client.call("get_session_info", session_id="session_1_1_none")
            await client.call(SECRET)
    failed = found.named("get_session_info")
    assert failed.status.code == 2
    assert attributes(failed)["error.type"] == "session_not_found"
    assert attributes(failed)["stui.session_id"] == "session_1_1_none"
    assert attributes(found.named("unknown"))["error.type"] == "unknown_command"
    assert failed.trace_id != found.named("unknown").trace_id
    assert SECRET.encode() not in found.raw


async def test_only_so_many_requests_are_traced() -> None:
    """With ratio 0 only those whose senders trace them; what a sender does not sample is not sampled here."""
    with collector() as found:
        wanted = {"otlp_endpoint": f"http://127.0.0.1:{found.port}", "trace_ratio": 0.0}
        async with running_daemon(observe=wanted) as running, running.talker() as client, running.image() as image:
            await evaluated(client, image)
            request = await evaluated(client, image, traceparent=TOLD[:-1] + "0")
            await evaluated(client, image, traceparent=TOLD)
    assert request["traceparent"].startswith(f"00-{TRACE_ID}-")
    assert request["traceparent"].endswith("-00")
    assert {span.trace_id.hex() for span in found.spans} == {TRACE_ID}
    assert len(found.spans) == 2


async def test_trace_of_a_header_over_http() -> None:
    """`/rpc` takes the trace from where HTTP has it."""
    with collector() as found:
        wanted = {"otlp_endpoint": f"http://127.0.0.1:{found.port}"}
        async with running_daemon(server=OPEN, observe=wanted) as running, httpx.AsyncClient(trust_env=False) as web:
            body = {"id": "1", "command": "list_images"}
            answer = await web.post(f"http://{running.ready.http}/rpc", json=body, headers={"traceparent": TOLD})
            assert answer.status_code == 200
    assert found.named("list_images").trace_id.hex() == TRACE_ID


async def test_daemon_without_traces_passes_them_on() -> None:
    """It leaves no mark, and the image hears of the trace all the same; one that is none goes nowhere."""
    async with running_daemon() as running, running.talker() as client, running.image() as image:
        assert (await evaluated(client, image, traceparent=TOLD))["traceparent"] == TOLD
        assert "traceparent" not in await evaluated(client, image, traceparent="00-nonsense")
        assert "traceparent" not in await evaluated(client, image)


async def test_collector_that_is_not_there() -> None:
    """Requests are answered as ever, and the daemon ends in time."""
    async with running_daemon(observe={"otlp_endpoint": "http://127.0.0.1:9"}) as running, running.talker() as client:
        assert "images" in await client.call("list_images")


def test_nothing_of_it_is_imported_unless_it_is_wanted() -> None:
    """A daemon that does not trace does not even know how."""
    program = "import stui_sessiond.daemon, sys; print(sorted(n for n in sys.modules if 'opentelemetry' in n))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
