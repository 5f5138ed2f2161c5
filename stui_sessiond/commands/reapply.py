"""How does an image that was not saved get the changes back that it lost? One after the other, each looked at first.

A change is made with the text that was looked at as its base, so nothing that changes meanwhile is overwritten. One
that cannot be made does not stop the others; an image that does not answer does.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET

from stui_sessiond.commands.approval import Approvals
from stui_sessiond.commands.mirror import Mirror
from stui_sessiond.commands.relay import ANSWER_TIMEOUT_S
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.commands.translation import to_image
from stui_sessiond.errors import (
    ClassNotFoundError,
    CodeConflictError,
    ImageBusyError,
    ImageError,
    ImageLostError,
    ImageTimeoutError,
    ImageUnavailableError,
    MethodNotFoundError,
    ParameterError,
    StorageError,
    StuiError,
)
from stui_sessiond.ids import ImageId, InstanceId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.model.code_change import CodeChange, KeptChange, serial_of
from stui_sessiond.model.code_plan import Step, make_plan
from stui_sessiond.wire.messages import code, development
from stui_sessiond.wire.messages import mirror as wire

T = TypeVar("T")

_Row = tuple[Step, wire.ReappliedChange]

_STOPPING: Final = (ImageLostError, ImageTimeoutError, ImageBusyError)
"""After these the next change would only wait as long again."""

_BY_HAND: Final = "the image told of it in its own words, which `define_class` does not take; define the class by hand"
_NOT_KEPT: Final = "its source is too long to have been kept"
_DIFFERENT: Final = "the image has a text that no change of the list knows; `force` replaces it"


class ReapplyCommands:
    """Carries out `reapply_code_changes`."""

    def __init__(
        self,
        images: ImageRegistry,
        mirror: Mirror,
        approvals: Approvals,
        clock: Callable[[], float],
    ) -> None:
        self._images = images
        self._mirror = mirror
        self._approvals = approvals
        self._clock = clock

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (Command("reapply_code_changes", wire.ReapplyCodeChanges, self.reapply_code_changes),)

    async def reapply_code_changes(
        self, caller: Caller, asked: wire.ReapplyCodeChanges
    ) -> wire.ReapplyCodeChangesResult:
        """Carry out `reapply_code_changes`."""
        image_id = ImageId(asked.image_id)
        link = self._images.find(image_id)
        if link is None:
            msg = f"image {image_id!r} is not connected"
            raise ImageUnavailableError(msg, image_id=image_id, connected=sorted(self._images.connected))
        client_id = caller.client_id  # read before anything is awaited: the connection may go
        changes = await self._mirror.all(image_id)
        steps = make_plan(changes, _chosen(changes, asked.change_ids))
        rows = [(step, _row(step)) for step in steps]
        todo = rows
        while todo:
            again = await self._pass(todo, link, asked, client_id)
            todo = again if len(again) < len(todo) else []
        found = [row for _, row in rows]
        return wire.ReapplyCodeChangesResult(image_id, sum(row.outcome == "applied" for row in found), found)

    async def _pass(
        self, todo: Sequence[_Row], link: ImageLink, asked: wire.ReapplyCodeChanges, client_id: str | None
    ) -> list[_Row]:
        """Go through changes once; give the removals of classes that may succeed when others are made.

        A class cannot be removed while another one is below it, and which were, in what the image has, nobody knows.
        """
        again: list[_Row] = []
        stopped: StuiError | None = None
        for step, row in todo:
            if stopped is not None:
                row.reason = f"not tried: {stopped.message}"
                continue
            row.outcome, row.reason = "failed", None
            try:
                await self._go_through(step, row, link, asked, client_id)
            except CodeConflictError:
                row.outcome, row.reason = "conflict", "somebody changed it in this moment"
            except StuiError as error:
                row.reason = error.message
                if isinstance(error, _STOPPING):
                    stopped = error
                elif step.change.kind == "class_removed":
                    again.append((step, row))
        return [] if stopped else again

    async def _go_through(
        self,
        step: Step,
        row: wire.ReappliedChange,
        link: ImageLink,
        asked: wire.ReapplyCodeChanges,
        client_id: str | None,
    ) -> None:
        """Look at what the image has, and do what has to be done; say so in `row`.

        Raises:
            StuiError: it could not be done.
        """
        change = step.change
        present = await _present(link, change)
        row.state = step.state(present)
        if row.state == "present":
            row.outcome = "not_needed"
        elif not step.can_compare:
            row.reason = _NOT_KEPT
        elif change.kind == "class" and change.origin == "image":
            row.outcome, row.reason = "by_hand", _BY_HAND
        elif row.state == "different" and not asked.force:
            row.outcome, row.reason = "conflict", _DIFFERENT
        elif asked.dry_run:
            row.outcome = "would_apply"
        else:
            if change.kind == "method":
                await self._approvals.require("reapply_code_changes", change.source or "", client_id, None, None)
            await _make(link, change, present)
            row.outcome = "applied"
            if row.state == "different":
                await self._note_forced(row, link, change, present, client_id)

    async def _note_forced(
        self, row: wire.ReappliedChange, link: ImageLink, change: CodeChange, present: str | None, client_id: str | None
    ) -> None:
        """Write down what was replaced: it is in no other change."""
        forced = msgspec.structs.replace(
            change,
            instance_id=InstanceId(link.identity.instance_id),
            generation=link.identity.generation,
            at=self._clock(),
            previous_source=present,
            origin="client",
            client_id=client_id,
            session_id=None,
        )
        try:
            await self._mirror.record(forced)
        except StorageError as error:
            row.reason = f"what was there before could not be written down: {error.message}"


def _chosen(changes: Iterable[KeptChange], change_ids: list[str] | None) -> set[int] | None:
    if change_ids is None:
        return None
    known = {kept.serial for kept in changes}
    chosen: set[int] = set()
    for change_id in change_ids:
        serial = serial_of(change_id)
        if serial is None or serial not in known:
            msg = f"reapply_code_changes: no change {change_id[:80]!r} of this image is kept"
            raise ParameterError(msg, field="change_ids")
        chosen.add(serial)
    return chosen


def _row(step: Step) -> wire.ReappliedChange:
    change = step.change
    return wire.ReappliedChange(
        change_id=step.kept.change_id,
        kind=change.kind,
        class_name=change.class_name,
        selector=change.selector,
        is_class_method=change.is_class_method,
        state=None,
        outcome="failed",
    )


async def _present(link: ImageLink, change: CodeChange) -> str | None:
    """The text that the image has; None when it has no such method or class."""
    try:
        if change.selector is not None:
            method = development.GetMethod(
                class_name=change.class_name, method_name=change.selector, is_class_method=change.is_class_method
            )
            return (await _ask(link, "get_method", method, development.GetMethodResult)).method.source
        browse = development.BrowseClass(
            class_name=change.class_name,
            include_methods=False,
            include_instance_vars=False,
            include_class_vars=False,
        )
        found = (await _ask(link, "browse_class", browse, development.BrowseClassResult)).class_info.definition
    except (ClassNotFoundError, MethodNotFoundError):
        return None
    if found is UNSET:
        msg = f"image {link.image_id!r} does not tell the `definition` of a class"
        raise ImageError(msg, image_id=link.image_id)
    return found


async def _make(link: ImageLink, change: CodeChange, present: str | None) -> None:
    base = present or ""
    if change.kind == "method":
        method = code.CompileMethod(
            class_name=change.class_name,
            source=change.source or "",
            is_class_method=change.is_class_method,
            category=UNSET if change.category is None else change.category,
            base_source=base,
        )
        await _ask(link, "compile_method", method, code.CompileMethodResult)
    elif change.kind == "method_removed":
        gone = code.RemoveMethod(
            class_name=change.class_name,
            method_name=change.selector or "",
            is_class_method=change.is_class_method,
            base_source=base,
        )
        await _ask(link, "remove_method", gone, code.RemoveMethodResult)
    elif change.kind == "class":
        try:
            defined = msgspec.json.decode(change.source or "", type=code.DefineClass)
        except msgspec.DecodeError as error:
            msg = f"what is kept of the definition cannot be used: {error}"
            raise ParameterError(msg) from None
        defined.base_definition = base
        await _ask(link, "define_class", defined, code.DefineClassResult)
    else:
        removed = code.RemoveClass(class_name=change.class_name, base_definition=base)
        await _ask(link, "remove_class", removed, code.RemoveClassResult)


async def _ask(link: ImageLink, command: str, asked: development.Relayed, wanted: type[T]) -> T:
    return await link.ask(command, to_image(link, asked), wanted, ANSWER_TIMEOUT_S)
