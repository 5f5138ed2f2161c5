"""What is there over HTTP? Joins the routes of this room to one ASGI application."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from stui_sessiond.errors import StuiError
from stui_sessiond.web import documents, events, metrics, probes, rpc, static
from stui_sessiond.web.failure import Failures
from stui_sessiond.web.guard import Guard
from stui_sessiond.web.parts import WebParts

__all__ = ["Failures", "WebParts", "make_app"]

FAMILIES = (probes, rpc, events, metrics, documents, static)
"""Modules with a function `routes(parts)`."""


def make_app(parts: WebParts) -> ASGIApp:
    """Make the application."""
    failures = parts.failures
    app = Starlette(
        routes=[route for family in FAMILIES for route in family.routes(parts)],
        exception_handlers={StuiError: failures.handle, HTTPException: failures.handle_http},
    )
    app.router.redirect_slashes = False
    app.add_exception_handler(Exception, failures.handle_fault)
    return Guard(app, parts.callers.check_address, parts.server.hosts, parts.server.rules.origins, failures)
