"""Who asks over HTTP, and may they? A bearer token, with the same rules, and the same counts, as those of `hello`.

A route says `asker = parts.callers.who(request, "observe")`; what it raises becomes 401, 403 or 429.
"""

from typing import TYPE_CHECKING

import msgspec
import structlog

from stui_sessiond.commands.authentication import Authenticator
from stui_sessiond.errors import (
    AuthenticationFailedError,
    AuthenticationRequiredError,
    ParameterError,
    RefusedError,
    TooManyAttemptsError,
)
from stui_sessiond.security.access import Access
from stui_sessiond.security.admission import Ticket
from stui_sessiond.security.audit import Actor, AuditLog
from stui_sessiond.security.principal import LOCAL, Principal
from stui_sessiond.server.rights import rights_in_role

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

_log = structlog.get_logger(__name__)

CLIENT_HEADER = "Stui-Client-Id"
"""Names the client, as `client_id` of `hello` does. Whoever cannot send headers says `client_id` in the query."""


class Asker(msgspec.Struct, frozen=True):
    """Who sent a request."""

    principal: Principal
    client_id: str | None
    rights: frozenset[str]
    address: str | None = None


class Callers:
    """Tells who asks."""

    def __init__(self, authenticator: Authenticator, access: Access, audit: AuditLog, *, token_needed: bool) -> None:
        self._authenticator = authenticator
        self._access = access
        self._audit = audit
        self._token_needed = token_needed

    def who(self, request: "Request", right: str) -> Asker:
        """Tell who asks, if they have the right.

        Raises:
            StuiError: they have not, or are not let in; it is in the audit log.
        """
        ticket: Ticket = request.scope["state"]["ticket"]
        actor = Actor(transport="http", address=shown_address(request))
        try:
            principal = self._principal(request, ticket)
        except RefusedError as error:
            self._audit.record("peer.refused", actor, outcome=error.code)
            raise
        try:
            client_id = self._authenticator.bind_client(principal, _client_id(request))
            rights = rights_in_role("client", principal.rights)
            _require(right, rights, request)
        except RefusedError as error:
            known = msgspec.structs.replace(actor, principal=principal.name)
            self._audit.record("permission.denied", known, outcome=error.code, command=request.url.path[:100])
            raise
        ticket.known()
        return Asker(principal, client_id, rights, actor.address)

    def check_address(self, scope: "Scope") -> None:
        """Go on only if the operator's lists let the address in, whatever it asks for.

        Raises:
            RefusedError: they do not; it is in the audit log.
        """
        ticket: Ticket = scope["state"]["ticket"]
        if self._access.rules.addresses.admits(ticket.address):
            return
        _log.warning("peer.address_not_allowed", address=ticket.address)
        error = RefusedError("the operator's lists do not let this address in")
        self._audit.record("peer.refused", Actor(transport="http", address=_shown(scope["client"])), outcome=error.code)
        raise error

    def _principal(self, request: "Request", ticket: Ticket) -> Principal:
        if not self._token_needed:
            return LOCAL
        if ticket.blocked:
            msg = "too many attempts to authenticate failed from this address"
            raise TooManyAttemptsError(msg)
        given = request.headers.getlist("authorization")
        scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
        if not given:
            msg = "send a token: Authorization: Bearer TOKEN"
            raise AuthenticationRequiredError(msg)
        try:
            return self._authenticator.find(token.strip() if scheme.lower() == "bearer" else None)
        except AuthenticationFailedError:
            ticket.failed()
            _log.warning("peer.authentication_failed", address=ticket.address)
            raise


def _require(right: str, rights: frozenset[str], request: "Request") -> None:
    if right not in rights:
        msg = f"{request.url.path} takes the right `{right}`, which this token does not have"
        raise RefusedError(msg, right=right)


def shown_address(request: "Request") -> str | None:
    """Write who is at the other end as other transports do."""
    return _shown(request.client)


def _shown(place: tuple[str, int] | None) -> str | None:
    if place is None:
        return None
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _client_id(request: "Request") -> str | None:
    """Find the one client that the request names.

    Raises:
        ParameterError: it names two.
    """
    named = {*request.headers.getlist(CLIENT_HEADER), *request.query_params.getlist("client_id")}
    if len(named) > 1:
        msg = f"name one client, in the header {CLIENT_HEADER} or as `client_id` in the query"
        raise ParameterError(msg, field="client_id")
    return named.pop() if named else None
