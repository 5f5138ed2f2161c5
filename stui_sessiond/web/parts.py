"""What is an HTTP application made of? Put together by `daemon`, and given to every module that has routes."""

from collections.abc import Callable

import msgspec

from stui_sessiond.observe.parts import ObservedParts
from stui_sessiond.server.listeners import Server
from stui_sessiond.web.caller import Callers
from stui_sessiond.web.failure import Failures
from stui_sessiond.web.health import Health


class WebParts(msgspec.Struct, frozen=True, kw_only=True):
    """All that routes may use."""

    health: Callable[[], Health]
    callers: Callers
    failures: Failures
    observed: ObservedParts
    metrics_open: bool = False
    """Whether `/metrics` takes no token."""
    server: Server
    """Who holds peers, limits, and what `Host` and `Origin` may be."""
