"""Which request is the present task at work on? Known to the log, and to whoever asks an image on its behalf."""

from contextvars import ContextVar
from typing import Protocol

from stui_sessiond.wire.forms import Request


class Speaker(Protocol):
    """Whoever sent it."""

    @property
    def connection_id(self) -> str | None:
        """The name of its connection."""

    @property
    def client_id(self) -> str | None:
        """The name it gave itself."""


asked: ContextVar[tuple[Request, Speaker] | None] = ContextVar("asked", default=None)
"""Set once for each request that has a task, and for the tasks which that one starts; nobody looks unless it has to."""


def fields() -> dict[str, str]:
    """What a line of the log says of the request; nothing outside of one."""
    found = asked.get()
    if found is None:
        return {}
    request, speaker = found
    said = {
        "request_id": request.id,
        "command": request.command,
        "connection_id": speaker.connection_id,
        "client_id": speaker.client_id,
    }
    return {name: value for name, value in said.items() if value is not None}
