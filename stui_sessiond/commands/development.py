"""The development commands: from a client through the router to the session's image, and the answer back."""

from collections.abc import Callable, Iterable
from typing import Any

from stui_sessiond.commands.relay import Relay
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import RefusedError
from stui_sessiond.images.link import RUNS_CODE
from stui_sessiond.wire.messages import code
from stui_sessiond.wire.messages import development as wire

_RELAYED: tuple[tuple[str, type[wire.Relayed], type[Any]], ...] = (
    ("evaluate", wire.Evaluate, wire.EvaluateResult),
    ("inspect", wire.Inspect, wire.InspectResult),
    ("browse_class", wire.BrowseClass, wire.BrowseClassResult),
    ("get_method", wire.GetMethod, wire.GetMethodResult),
    ("list_classes", wire.ListClasses, wire.ListClassesResult),
    ("system_info", wire.SystemInfo, wire.SystemInfoResult),
    ("debug", wire.Debug, wire.DebugResult),
    ("code_completion", wire.CodeCompletion, wire.CodeCompletionResult),
    ("list_packages", code.ListPackages, code.ListPackagesResult),
    ("get_hierarchy", code.GetHierarchy, code.GetHierarchyResult),
    ("find_methods", code.FindMethods, code.FindMethodsResult),
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
        def handle(caller: Caller, asked: Any) -> Any:  # noqa: ANN401 -- `wanted`, known at run time
            if name in RUNS_CODE:
                return self._relay.run(caller, name, asked, wanted)
            return self._relay.ask(name, asked, wanted, caller.client_id)

        return handle

    def ping(self, caller: Caller, asked: wire.Ping) -> Any:  # noqa: ANN401 -- the result, or a coroutine of it
        """Carry out `ping`: at once, unless an image is meant, which counts as work with its session."""
        if asked.session_id or asked.image_id:
            if "eval" not in caller.rights:
                msg = "to ping an image takes the right `eval`, which this connection does not have"
                raise RefusedError(msg, right="eval")
            return self._relay.ask("ping", asked, wire.PingResult)
        return wire.PingResult(asked.message or None, "ready", round(self._uptime_s(), 3))
