"""Are requests traced? Makes the dispatcher that does it, or the one that does not and costs nothing for it."""

from typing import Any
from urllib.parse import urlsplit

from stui_sessiond.commands.dispatch import Dispatcher
from stui_sessiond.errors import ConfigError
from stui_sessiond.settings import ObserveSettings

TRACES_PATH = "/v1/traces"
"""Where a collector takes spans, unless the setting says otherwise (OTLP/HTTP, section Request)."""


def make_dispatcher(wanted: ObserveSettings, server_id: str, *parts: Any) -> Dispatcher:  # noqa: ANN401 -- those of Dispatcher
    """Make a dispatcher of its parts.

    Raises:
        ConfigError: traces are wanted, and cannot be made.
    """
    if wanted.otlp_endpoint is None:
        return Dispatcher(*parts)
    try:
        from stui_sessiond.observe.spans import TracedDispatcher  # noqa: PLC0415 -- 200 ms, and optional
    except ImportError as error:
        msg = "observe.otlp_endpoint: traces take OpenTelemetry: pip install 'stui-sessiond[otel]'"
        raise ConfigError(msg) from error
    traced = TracedDispatcher(*parts)
    traced.trace_to(traces_url(wanted.otlp_endpoint), wanted.trace_ratio, server_id)
    return traced


def traces_url(endpoint: str) -> str:
    """Complete the address of a collector: without a path, it is the usual one.

    Raises:
        ConfigError: it is no address.
    """
    found = urlsplit(endpoint)
    if found.scheme not in {"http", "https"} or not found.hostname:
        msg = f"observe.otlp_endpoint: {endpoint!r} is no address such as http://127.0.0.1:4318"
        raise ConfigError(msg)
    return endpoint if found.path.strip("/") else f"{endpoint.rstrip('/')}{TRACES_PATH}"
