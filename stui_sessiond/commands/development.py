"""The development commands: from a client through the router to the session's image, and the answer back."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import ImageUnavailableError, RefusedError
from stui_sessiond.ids import DEFAULT_TOOL, ImageId
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.images.router import choose
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.wire.messages import development as wire

T = TypeVar("T")

ANSWER_TIMEOUT_S = 30.0
"""How long an image may take over a request that runs no user code, unless the request says otherwise."""

_UNLIMITED = frozenset({"evaluate", "debug"})
"""They run user code, which may take as long as it likes: no timeout unless the request names one."""


class Relay:
    """Asks the image that a request is for."""

    def __init__(self, manager: SessionManager, images: ImageRegistry) -> None:
        self._manager = manager
        self._images = images

    async def ask(self, command: str, asked: wire.Relayed, wanted: type[T]) -> T:
        """Relay a request and return the image's answer.

        Raises:
            SessionError: the session is not there, or over.
            ParameterError, ImageError: see `images.router.choose` and `images.link.ImageLink.ask`.
        """
        header = self._manager.use(asked.session_id) if asked.session_id else None
        named = ImageId(asked.image_id) if asked.image_id else None
        image_id = choose(header.image_id if header else None, named, self._images.connected)
        if header is not None and header.image_id is None:
            await self._manager.bind_image(header.session_id, image_id)
        link = self._images.find(image_id)
        if link is None:  # it left while the session was being bound
            msg = f"image {image_id!r} is not connected"
            raise ImageUnavailableError(msg, image_id=image_id)
        timeout_s = asked.timeout or (None if command in _UNLIMITED else ANSWER_TIMEOUT_S)
        sent = replace(asked, tool_id=asked.tool_id or DEFAULT_TOOL, image_id=UNSET, timeout=UNSET)
        return await link.ask(command, sent, wanted, timeout_s)


_RELAYED: tuple[tuple[str, type[wire.Relayed], type[Any]], ...] = (
    ("evaluate", wire.Evaluate, wire.EvaluateResult),
    ("inspect", wire.Inspect, wire.InspectResult),
    ("browse_class", wire.BrowseClass, wire.BrowseClassResult),
    ("get_method", wire.GetMethod, wire.GetMethodResult),
    ("list_classes", wire.ListClasses, wire.ListClassesResult),
    ("system_info", wire.SystemInfo, wire.SystemInfoResult),
    ("debug", wire.Debug, wire.DebugResult),
    ("code_completion", wire.CodeCompletion, wire.CodeCompletionResult),
)


class DevelopmentCommands:
    """Carries out the development commands."""

    def __init__(self, relay: Relay, uptime_s: Callable[[], float]) -> None:
        self._relay = relay
        self._uptime_s = uptime_s

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        yield Command("ping", wire.Ping, self.ping)
        for name, parameters, result in _RELAYED:
            yield Command(name, parameters, self._relayed(name, result))

    def _relayed(self, name: str, wanted: type[Any]) -> Callable[[Caller, Any], Any]:
        async def handle(caller: Caller, asked: wire.Relayed) -> Any:  # noqa: ANN401 -- `wanted`, known at run time
            del caller
            return await self._relay.ask(name, asked, wanted)

        return handle

    def ping(self, caller: Caller, asked: wire.Ping) -> Any:  # noqa: ANN401 -- the result, or a coroutine of it
        """Carry out `ping`: at once, unless an image is meant, which counts as work with its session."""
        if asked.session_id or asked.image_id:
            if "eval" not in caller.rights:
                msg = "to ping an image takes the right `eval`, which this connection does not have"
                raise RefusedError(msg, right="eval")
            return self._relay.ask("ping", asked, wire.PingResult)
        return wire.PingResult(asked.message or None, "ready", round(self._uptime_s(), 3))
