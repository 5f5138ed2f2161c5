"""The four context commands: from wire parameters to the SessionManager, or to the image, and back."""

from collections.abc import Iterable
from typing import Any

import msgspec

from stui_sessiond.commands.objects import ObjectCommands
from stui_sessiond.commands.relay import Relay
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.ids import DEFAULT_TOOL, SessionId, ToolId
from stui_sessiond.model.session import Session, StoredContext
from stui_sessiond.sessions.ledger import once_of
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.transitions import found_checksum
from stui_sessiond.wire.messages import context as wire
from stui_sessiond.wire.messages.development import CaptureContext, CaptureContextResult
from stui_sessiond.wire.timestamp import format_time

CAPTURE_TIMEOUT_S = 30.0
"""How long an image may take to tell what it knows of a tool."""


class ContextCommands:
    """Carries out the context commands."""

    def __init__(self, manager: SessionManager, relay: Relay, objects: ObjectCommands) -> None:
        self._manager = manager
        self._relay = relay
        self._objects = objects

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("save_context", wire.SaveContext, self.save),
            Command("load_context", wire.LoadContext, self.load),
            Command("get_context_summary", wire.GetContextSummary, self.summarize),
            Command("clear_context", wire.ClearContext, self.clear),
        )

    async def save(self, caller: Caller, asked: wire.SaveContext) -> wire.SaveContextResult:
        """Carry out `save_context`."""
        tool = asked.tool_id or DEFAULT_TOOL
        captured = asked.context is None
        once = once_of("save_context", asked, caller.client_id)
        session = await self._manager.carried_out(asked.session_id, once) if captured and once is not None else None
        if session is None:
            sections = await self._capture(asked.session_id, tool) if captured else _sections(asked.context)
            session = await self._manager.save_context(
                asked.session_id, tool, sections, into=captured, by=caller.client_id, once=once
            )
        stored = session.contexts[ToolId(tool)]
        return wire.SaveContextResult(
            session_id=session.header.session_id,
            tool_id=tool,
            saved=True,
            checksum=stored.checksum,
            saved_at=format_time(stored.saved_at),
            size_bytes=stored.size_bytes,
            version=session.header.version,
        )

    async def _capture(self, session_id: str, tool: str) -> dict[str, Any]:
        asked = CaptureContext(session_id=session_id, tool_id=tool, timeout=CAPTURE_TIMEOUT_S)
        told = await self._relay.ask("capture_context", asked, CaptureContextResult)
        found = (
            ("workspace", told.workspace),
            ("inspector", told.inspector),
            ("object_registry", told.object_registry or self._objects.registry_of(SessionId(session_id), tool)),
        )
        return {name: section for name, section in found if section}

    async def load(self, caller: Caller, asked: wire.LoadContext) -> wire.LoadContextResult:
        """Carry out `load_context`."""
        del caller
        tool = asked.tool_id or DEFAULT_TOOL
        session = await self._manager.session(asked.session_id)
        stored = session.contexts.get(ToolId(tool))
        if stored is None:
            nothing = wire.ContextIntegrity("none")
            return wire.LoadContextResult(asked.session_id, tool, loaded=False, context=None, integrity=nothing)
        saved_at = format_time(stored.saved_at)
        found = found_checksum(stored)
        if found != stored.checksum:
            damage = wire.ContextIntegrity("damaged", stored.checksum, saved_at, found, _newest_good(session, tool))
            return wire.LoadContextResult(asked.session_id, tool, loaded=False, context=None, integrity=damage)
        return wire.LoadContextResult(
            asked.session_id,
            tool,
            loaded=True,
            context=wire.ContextSections(**stored.sections),
            integrity=wire.ContextIntegrity("ok", stored.checksum, saved_at),
        )

    async def summarize(self, caller: Caller, asked: wire.GetContextSummary) -> wire.GetContextSummaryResult:
        """Carry out `get_context_summary`."""
        del caller
        contexts = (await self._manager.session(asked.session_id)).contexts
        wanted = {tool: stored for tool, stored in contexts.items() if asked.tool_id in (None, tool)}
        newest = max((stored.saved_at for stored in wanted.values()), default=None)
        return wire.GetContextSummaryResult(
            session_id=asked.session_id,
            tools=sorted(wanted),
            variable_count=sum(_count(stored, "workspace", "bindings") for stored in wanted.values()),
            history_count=sum(_count(stored, "workspace", "history") for stored in wanted.values()),
            object_count=sum(len(stored.sections.get("object_registry", {})) for stored in wanted.values()),
            size_bytes=sum(stored.size_bytes for stored in wanted.values()),
            last_saved=None if newest is None else format_time(newest),
        )

    async def clear(self, caller: Caller, asked: wire.ClearContext) -> wire.ClearContextResult:
        """Carry out `clear_context`."""
        cleared = await self._manager.clear_context(asked.session_id, asked.tool_id, by=caller.client_id)
        return wire.ClearContextResult(asked.session_id, sorted(cleared))


def _newest_good(session: Session, tool: str) -> wire.GoodContext | None:
    """Find the newest kept version in which the tool's context is what was saved."""
    history = session.history
    for version in range(session.header.version - 1, history.base_version - 1, -1):
        document = history.document_at(version)
        kept = document["contexts"].get(tool) if document else None
        if kept is not None:
            stored = StoredContext(**kept)
            if found_checksum(stored) == stored.checksum:
                sections = wire.ContextSections(**stored.sections)
                return wire.GoodContext(version, format_time(stored.saved_at), stored.checksum, sections)
    return None


def _sections(context: wire.ContextSections | None) -> dict[str, Any]:
    if context is None:
        return {}
    found: dict[str, Any] = msgspec.to_builtins(context)
    return found


def _count(stored: StoredContext, section: str, name: str) -> int:
    """Count what a client put under a name, if it put a list or an object there."""
    found = stored.sections.get(section, {}).get(name)
    return len(found) if isinstance(found, list | dict) else 0
