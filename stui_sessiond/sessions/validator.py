"""May this client, this id, this payload in? The rules, and the operator's lists.

The blacklist wins; an empty whitelist lets everyone in.
"""

import re

import msgspec

from stui_sessiond.errors import (
    ClientNotAllowedError,
    ClientQuotaError,
    ParameterError,
    SessionNotFoundError,
    SessionTooLargeError,
)
from stui_sessiond.ids import ClientId, SessionId, ToolId
from stui_sessiond.model.session import Session
from stui_sessiond.security.access import Access
from stui_sessiond.sessions.history import HistoryRules
from stui_sessiond.wire.limits import MAX_CONTENT_DEPTH, check_depth

MAX_ID_CHARS = 256
MAX_TOOLS = 256
"""Stored contexts per session; a tool is a window that a person opened."""

_SESSION_ID = re.compile(r"session_[0-9]{1,20}_[0-9]{1,20}_[A-Za-z0-9_-]{1,64}")

_encode = msgspec.json.Encoder().encode


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of sessions; the defaults are those clients have been told."""

    max_per_client: int = 5
    default_timeout_s: float = 3600.0
    max_timeout_s: float = 30 * 86400.0
    max_bytes: int = 10_000_000
    max_client_bytes: int = 100_000_000
    """Of all active sessions of a client together."""
    history: HistoryRules = HistoryRules()


class SessionValidator:
    """Answers with silence or with the error the client is to see."""

    def __init__(self, rules: SessionRules, access: Access) -> None:
        self.rules = rules
        self._access = access

    def admit_client(self, client_id: str) -> ClientId:
        """Let a client in.

        Raises:
            ParameterError: the id is no proper name.
            ClientNotAllowedError: the lists keep it out.
        """
        self._check_name(client_id, "client_id")
        if not self._access.rules.clients.admits(client_id):
            msg = f"client {client_id!r} is not allowed here"
            raise ClientNotAllowedError(msg, client_id=client_id)
        return ClientId(client_id)

    def session_id(self, text: str) -> SessionId:
        """Accept what can be a session id.

        Raises:
            SessionNotFoundError: nothing we make looks like that, so there is no such session.
        """
        if not self.is_session_id(text):
            msg = f"there is no session {text[:MAX_ID_CHARS]!r}"
            raise SessionNotFoundError(msg, session_id=text[:MAX_ID_CHARS])
        return SessionId(text)

    @staticmethod
    def is_session_id(text: str) -> bool:
        """Tell whether this looks like one of our ids."""
        return _SESSION_ID.fullmatch(text) is not None

    def tool_id(self, text: str) -> ToolId:
        """Accept what can be a tool's name.

        Raises:
            ParameterError: it is no proper name.
        """
        self._check_name(text, "tool_id")
        return ToolId(text)

    def timeout_s(self, asked: float | None) -> float:
        """Choose a session's time without activity.

        Raises:
            ParameterError: longer than a session may wait.
        """
        if asked is None:
            return self.rules.default_timeout_s
        if asked > self.rules.max_timeout_s:
            msg = f"`timeout` is at most {self.rules.max_timeout_s:g} seconds"
            raise ParameterError(msg, field="timeout", maximum=self.rules.max_timeout_s)
        return asked

    def check_client_bytes(self, client_id: ClientId, total: int, grown: int) -> None:
        """Refuse a change by which a client has more than it may have. One that makes less of it is welcome.

        Raises:
            ClientQuotaError: it would have more, in all its sessions together.
        """
        if grown > 0 and total > self.rules.max_client_bytes:
            msg = f"the sessions of {client_id!r} would have {total} bytes; {self.rules.max_client_bytes} are allowed"
            raise ClientQuotaError(msg, size_bytes=total, limit_bytes=self.rules.max_client_bytes)

    def check_text(self, text: str | None, field: str) -> None:
        """Refuse text with control characters in a name.

        Raises:
            ParameterError: it has some.
        """
        if text is not None:
            self._check_name(text, field)

    def measure(self, session: Session) -> int:
        """Tell how large the content is: the state, the contexts and the named snapshots.

        Raises:
            SessionTooLargeError: larger than a session may be.
            MessageTooDeepError: nested deeper than a message may be, so that nobody could read it back.
            ParameterError: more tools than a session may have.
        """
        state = _encode(session.state)
        check_depth(state, MAX_CONTENT_DEPTH)
        if len(session.contexts) > MAX_TOOLS:
            msg = f"a session has contexts of at most {MAX_TOOLS} tools"
            raise ParameterError(msg, field="tool_id", maximum=MAX_TOOLS)
        size = len(state)
        for stored in session.contexts.values():
            size += stored.size_bytes
        for kept in session.snapshots.values():
            size += kept.size_bytes
        for told in (session.config, session.client_info):
            size += len(_encode(told)) if told else 0
        if session.machine is not None:
            size += len(session.machine.definition)
        if size > self.rules.max_bytes:
            msg = f"the session would have {size} bytes; {self.rules.max_bytes} are allowed"
            raise SessionTooLargeError(msg, size_bytes=size, limit_bytes=self.rules.max_bytes)
        return size

    @staticmethod
    def _check_name(text: str, field: str) -> None:
        if not text or len(text) > MAX_ID_CHARS or not text.isprintable() or text != text.strip():
            msg = f"`{field}` is 1 to {MAX_ID_CHARS} printable characters without white space at the ends"
            raise ParameterError(msg, field=field)
