"""The command that moves a session to another image: what goes along, what stays?"""

from collections.abc import Iterable, Iterator, Sequence

from stui_sessiond.commands.kept import Kept
from stui_sessiond.commands.running import RunningTable
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.errors import ImageUnavailableError, ParameterError, SessionBusyError
from stui_sessiond.ids import ImageId
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.model.session import Session, SessionHeader, StoredContext
from stui_sessiond.sessions.belonging import Belonging
from stui_sessiond.wire.messages import image as wire

SHOWN_NAMES = 20
"""Names of variables, and of tools, that are told one by one."""


class SwitchCommands:
    """Carries out `switch_image_context`."""

    def __init__(self, images: ImageRegistry, belonging: Belonging, running: RunningTable, kept: Kept) -> None:
        self._images = images
        self._belonging = belonging
        self._running = running
        self._kept = kept

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (Command("switch_image_context", wire.SwitchImageContext, self.switch),)

    async def switch(self, caller: Caller, asked: wire.SwitchImageContext) -> wire.SwitchImageContextResult:
        """Carry out `switch_image_context`."""
        to = ImageId(asked.to_image_id)

        def check(header: SessionHeader) -> None:
            if asked.from_image_id is not None and asked.from_image_id != header.image_id:
                msg = f"switch_image_context: the session belongs to {header.image_id!r}, not {asked.from_image_id!r}"
                raise ParameterError(msg, field="from_image_id", image_id=header.image_id)
            if self._images.find(to) is None:
                names = sorted(self._images.connected)
                msg = f"image {to!r} is not connected; a session moves only to one that is"
                raise ImageUnavailableError(msg, image_id=to, connected=names)
            running = next(iter(self._running.of_session(header.session_id)), None)
            if running is not None:
                msg = "code of the session is under way; wait for it, or end it with interrupt_evaluation"
                raise SessionBusyError(msg, session_id=header.session_id, evaluation=running.key)

        before, after = await self._belonging.switch(
            asked.session_id, to, check, keep_contexts=asked.preserve_context, by=caller.client_id
        )
        moved_from = before.header.image_id
        if moved_from is not None and moved_from != to:
            await self._kept.leave_image(before.header)
        return wire.SwitchImageContextResult(
            session_id=after.header.session_id,
            image_id=to,
            from_image_id=moved_from,
            to_image_id=to,
            context_preserved=asked.preserve_context,
            carried=list(_carried(after)),
            left_behind=_cleared(before, after) if moved_from in {None, to} else list(_left_behind(before, after)),
            version=after.header.version,
        )


def _carried(after: Session) -> Iterator[str]:
    """What went along, in words."""
    yield "the state"
    if after.contexts:
        yield f"the stored contexts of {_tools(sorted(after.contexts))}"
    yield f"the history, up to version {after.header.version}"
    if after.snapshots:
        yield _count(len(after.snapshots), "named snapshot")
    yield "the log of events"
    yield "the list of evaluations and what is kept of their results"


def _left_behind(before: Session, after: Session) -> Iterator[str]:
    """What stayed in the image, in words."""
    names = sorted({name for stored in before.contexts.values() for name in _bindings(stored)})
    printed = "; their printed forms are in the stored contexts" if names and after.contexts else ""
    known = f": {', '.join(names[:SHOWN_NAMES])}" if names else ""
    yield f"variables with their values{known}{printed}"
    yield "objects that the image keeps for the session, and handles of them"
    yield "suspended processes"
    yield from _cleared(before, after)


def _cleared(before: Session, after: Session) -> list[str]:
    gone = sorted(before.contexts.keys() - after.contexts.keys())
    if not gone:
        return []
    return [f"the stored contexts of {_tools(gone)}; they were cleared"]


def _bindings(stored: StoredContext) -> Iterable[str]:
    """The names of the variables in a context; its content is the client's, and may be anything."""
    workspace = stored.sections.get("workspace")
    bindings = workspace.get("bindings") if isinstance(workspace, dict) else None
    return bindings if isinstance(bindings, dict) else ()


def _tools(names: Sequence[str]) -> str:
    return f"{_count(len(names), 'tool')}: {', '.join(names[:SHOWN_NAMES])}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
