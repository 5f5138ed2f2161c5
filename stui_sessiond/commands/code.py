"""The commands that change code in an image: asked once, written down before the client hears that it was done.

A change that an image makes after its client stopped waiting, or answers over its next link, is written down all the
same; it goes to no client then, but into the list and to those who listen.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from stui_sessiond.commands.mirror import Mirror
from stui_sessiond.commands.relay import ANSWER_TIMEOUT_S, Relay
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.commands.translation import to_image
from stui_sessiond.errors import (
    CodeConflictError,
    ImageLostError,
    ImageTimeoutError,
    StorageError,
    StuiError,
    error_of,
)
from stui_sessiond.ids import InstanceId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.model.code_change import CodeChange, plain_ends
from stui_sessiond.model.source_merge import Merge, merge_sources
from stui_sessiond.tasks import TaskOwner
from stui_sessiond.wire.codec import decode_result
from stui_sessiond.wire.forms import Reply
from stui_sessiond.wire.messages import code as wire

T = TypeVar("T", wire.CompileMethodResult, wire.RemoveMethodResult, wire.DefineClassResult, wire.RemoveClassResult)
Changing = wire.CompileMethod | wire.RemoveMethod | wire.DefineClass | wire.RemoveClass

_log = structlog.get_logger(__name__)

MAX_LOST: Final = 256
"""Changes that were asked for over links that broke, and whose answers may still come; as many as one link may have
unanswered."""


class _Asked(msgspec.Struct, frozen=True):
    """A change that an image was asked for."""

    link: ImageLink
    client_id: str | None
    parameters: Changing
    wanted: type[Any]


class CodeCommands:
    """Carries out the commands that change code."""

    def __init__(self, relay: Relay, mirror: Mirror, clock: Callable[[], float]) -> None:
        self._relay = relay
        self._mirror = mirror
        self._clock = clock
        self._tasks = TaskOwner("code")
        self._lost: OrderedDict[str, _Asked] = OrderedDict()

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("compile_method", wire.CompileMethod, self.compile_method),
            Command("remove_method", wire.RemoveMethod, self.remove_method),
            Command("define_class", wire.DefineClass, self.define_class),
            Command("remove_class", wire.RemoveClass, self.remove_class),
        )

    async def compile_method(self, caller: Caller, asked: wire.CompileMethod) -> wire.CompileMethodResult:
        """Carry out `compile_method`."""
        return await self._change(caller, "compile_method", asked, wire.CompileMethodResult)

    async def remove_method(self, caller: Caller, asked: wire.RemoveMethod) -> wire.RemoveMethodResult:
        """Carry out `remove_method`."""
        return await self._change(caller, "remove_method", asked, wire.RemoveMethodResult)

    async def define_class(self, caller: Caller, asked: wire.DefineClass) -> wire.DefineClassResult:
        """Carry out `define_class`."""
        return await self._change(caller, "define_class", asked, wire.DefineClassResult)

    async def remove_class(self, caller: Caller, asked: wire.RemoveClass) -> wire.RemoveClassResult:
        """Carry out `remove_class`."""
        return await self._change(caller, "remove_class", asked, wire.RemoveClassResult)

    async def _change(self, caller: Caller, command: str, parameters: Changing, wanted: type[T]) -> T:
        client_id = caller.client_id
        link = await self._relay.reach(command, parameters, client_id)
        asked = _Asked(link, client_id, parameters, wanted)
        work = self._tasks.start(self._carry_out(command, asked), command)
        timeout_s = parameters.timeout or ANSWER_TIMEOUT_S
        try:
            async with asyncio.timeout(timeout_s):
                ended: T | StuiError = await asyncio.shield(work)
        except TimeoutError:
            msg = f"image {link.image_id!r} did not answer {command} within {timeout_s:g} s; it may still do it"
            raise ImageTimeoutError(msg, image_id=link.image_id, timeout=timeout_s) from None
        if isinstance(ended, StuiError):
            raise error_of(ended.code, ended.message, ended.details)
        return ended

    async def _carry_out(self, command: str, asked: _Asked) -> Any:  # noqa: ANN401 -- `wanted`, or a StuiError
        request_id = f"c-{secrets.token_hex(8)}"
        try:
            answer = await asked.link.ask(
                command, to_image(asked.link, asked.parameters), asked.wanted, None, request_id
            )
            return await self._write_down(asked, answer)  # nothing is awaited between: the order is that of the answers
        except CodeConflictError as error:
            error.details = await _explained(asked.parameters, error.details)
            return error
        except ImageLostError as error:
            self._lost[request_id] = asked
            if len(self._lost) > MAX_LOST:
                self._lost.popitem(last=False)
            return error
        except StuiError as error:
            return error

    async def _write_down(self, asked: _Asked, answer: Any) -> Any:  # noqa: ANN401 -- `wanted`
        change = change_of(asked.parameters, answer, asked.link, asked.client_id, self._clock())
        if change is None:
            return answer
        try:
            kept = await self._mirror.record(change)
        except StorageError as error:
            image_id = asked.link.image_id
            msg = (
                f"image {image_id!r} has made the change, and it could not be written down here, so "
                f"list_code_changes does not show it: {error.message}"
            )
            raise error_of(error.code, msg, {**error.details, "image_id": image_id, "made": True}) from error
        return replace(answer, change_id=kept.change_id)

    def receive_stray(self, link: ImageLink, reply: Reply) -> bool:
        """Take an answer over another link than the one that was asked; tell whether it is one of a change."""
        asked = self._lost.get(reply.id)
        if asked is None or asked.link.image_id != link.image_id:
            return False
        del self._lost[reply.id]
        if reply.result is not None and asked.link.identity.instance_id == link.identity.instance_id:
            self._tasks.start(self._write_down_late(asked, reply), "late")
        return True

    async def _write_down_late(self, asked: _Asked, reply: Reply) -> None:
        try:
            await self._write_down(asked, decode_result(reply, asked.wanted))
        except StuiError as error:
            _log.warning("change.not_kept", image_id=asked.link.image_id, code=error.code)

    async def close(self) -> None:
        """Stop waiting for images; what they have answered is with the mirror."""
        await self._tasks.close()


def change_of(asked: Changing, answer: Any, link: ImageLink, client_id: str | None, at: float) -> CodeChange | None:  # noqa: ANN401 -- the result that belongs to it
    """Make what is kept of a change; None when nothing was changed."""
    if isinstance(answer, wire.RemoveMethodResult | wire.RemoveClassResult) and not answer.removed:
        return None
    made = CodeChange(
        image_id=link.image_id,
        instance_id=InstanceId(link.identity.instance_id),
        generation=link.identity.generation,
        at=at,
        kind="class_removed",
        class_name=asked.class_name,
        client_id=client_id,
        session_id=asked.session_id or None,
    )
    if isinstance(asked, wire.CompileMethod):
        return replace(
            made,
            kind="method",
            class_name=answer.class_name,
            selector=answer.selector,
            is_class_method=asked.is_class_method,
            category=answer.category,
            source=asked.source,
            previous_source=answer.previous_source,
        )
    if isinstance(asked, wire.RemoveMethod):
        return replace(
            made,
            kind="method_removed",
            selector=asked.method_name,
            is_class_method=asked.is_class_method,
            previous_source=answer.previous_source,
        )
    if isinstance(asked, wire.DefineClass):
        return replace(
            made,
            kind="class",
            source=definition_text(asked),
            definition=answer.definition,
            previous_source=answer.previous_definition,
        )
    return replace(made, previous_source=answer.previous_definition)


def definition_text(asked: wire.DefineClass) -> str:
    """What `define_class` took, as JSON text, without whom it was for."""
    told = msgspec.to_builtins(asked)
    for name in ("session_id", "tool_id", "image_id", "timeout", "base_definition"):
        told.pop(name, None)
    return msgspec.json.encode(told).decode()


async def _explained(asked: Changing, details: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
    """Add what both sides did; `present` is the image's."""
    present = details.get("present")
    present = plain_ends(present) if isinstance(present, str) else None
    yours = None
    if isinstance(asked, wire.CompileMethod | wire.RemoveMethod):
        base = asked.base_source
        yours = plain_ends(asked.source) if isinstance(asked, wire.CompileMethod) else None
    else:
        base = asked.base_definition
    base = plain_ends(base) if isinstance(base, str) else None
    merge = Merge(None)
    if base is not None and yours is not None and present is not None:
        merge = await asyncio.to_thread(merge_sources, base, yours, present)
    conflicts = [
        {"base": list(clash.base), "yours": list(clash.yours), "present": list(clash.present)}
        for clash in merge.clashes
    ]
    return {**details, "present": present, "base": base, "yours": yours, "merged": merge.text, "conflicts": conflicts}
