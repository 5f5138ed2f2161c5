"""What did a session look like? Asks the daemon for its layout and its tools, all at once."""

import asyncio

import msgspec

from stui_sessiond.client import CallFailedError, LastingClient
from stui_sessiond.tui.layout import LAYOUT_ID, Draft, Kept, KeptTool, Layout, context_id
from stui_sessiond.wire.messages.context import LoadContextResult
from stui_sessiond.wire.messages.session import GetSessionInfoResult

OVER = frozenset({"session_closed", "session_expired"})
"""What the daemon says of sessions that can be opened again."""


class Found(msgspec.Struct, frozen=True):
    """What the session has, and what was wrong with parts of it."""

    info: GetSessionInfoResult
    layout: Kept | None
    tools: dict[str, Kept]
    problems: tuple[str, ...]


async def fetch(client: LastingClient, session_id: str, drafts: dict[str, Draft]) -> Found:
    """Get what is stored of a session's tools; also of those that only drafts know.

    Raises what `LastingClient.ask` raises.
    """
    try:
        info = await client.get_session_info(session_id)
        over = not info.is_active
    except CallFailedError as error:
        if error.code not in OVER:
            raise
        over = True
    if over:
        await client.restore_session(session_id, reopen=True)
        info = await client.get_session_info(session_id)
    problems: list[str] = []
    layout = _kept(await client.load_context(session_id, context_id(LAYOUT_ID)), "the layout", problems)
    layout, listed = _tools(layout, problems)
    wanted = [tool.tool_id for tool in listed]
    wanted += [name for name in drafts if name not in wanted and name != LAYOUT_ID]
    loads = [client.load_context(session_id, context_id(name)) for name in wanted]
    loaded = zip(wanted, await asyncio.gather(*loads), strict=True)
    tools = {name: kept for name, answer in loaded if (kept := _kept(answer, name, problems)) is not None}
    return Found(info, layout, tools, tuple(problems))


def _tools(layout: Kept | None, problems: list[str]) -> tuple[Kept | None, tuple[KeptTool, ...]]:
    """The tools of a layout; one of a shape that we do not know is none."""
    if layout is None:
        return None, ()
    try:
        return layout, msgspec.convert(layout.state, Layout).tools
    except msgspec.ValidationError as error:
        problems.append(f"the layout cannot be read: {error}")
        return None, ()


def _kept(answer: LoadContextResult, what: str, problems: list[str]) -> Kept | None:
    """What was stored; where that is damaged, the newest that is sound, and where it cannot be read, nothing."""
    sections = answer.context
    if answer.integrity.status == "damaged":
        good = answer.integrity.newest_good
        sections = good.context if isinstance(good, msgspec.Struct) else None
        problems.append(f"{what} was damaged in the session; shown is {'an earlier one' if sections else 'nothing'}")
    if sections is None or sections.client is msgspec.UNSET:
        return None
    try:
        return msgspec.convert(sections.client, Kept)
    except msgspec.ValidationError as error:
        problems.append(f"{what} cannot be read: {error}")
        return None
