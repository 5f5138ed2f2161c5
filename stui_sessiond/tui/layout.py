"""What is kept of a screen of tools, and what is shown when a draft and what is stored differ? Pure.

In the session: one context for the layout and one for each tool, section `client`. Names that begin with `stui.` keep
them apart from the contexts with which images describe the tools' variables.
"""

from typing import Any, Literal

import msgspec

from stui_sessiond.tui.preferences import SharedPreferences

LAYOUT_ID = "stui.layout"
"""The context with the layout."""

PREFIX = "stui.tool."
"""Before the id of a tool: the context with its state."""

FORMAT = 1

MAX_TOOLS = 40
"""Open tools in a session: more than anybody tells apart by their tabs, and few enough to restore at once."""

MAX_DIGITS = 10
"""Of the number in a tool's id; one that is longer is none of ours."""

Direction = Literal["beside", "below"]


def context_id(tool_id: str) -> str:
    """The context that keeps a tool's state."""
    return tool_id if tool_id == LAYOUT_ID else f"{PREFIX}{tool_id}"


class Stamp(msgspec.Struct, frozen=True):
    """Which program wrote something, and its how-manieth writing it was."""

    writer: str
    number: int


class KeptTool(msgspec.Struct, frozen=True):
    """A tool in a layout."""

    tool_id: str
    kind: str
    title: str


class Layout(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which tools are open, in the order of their tabs."""

    tools: tuple[KeptTool, ...] = ()
    active: str | None = None
    pinned: str | None = None
    """The tool that stays in sight beside the others."""
    direction: Direction = "beside"
    opened: int = 0
    """How many tools were ever opened: a new one gets a name that no other had, and so variables that no other had."""
    preferences: SharedPreferences = SharedPreferences()


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored under one context."""

    state: dict[str, Any]
    stamp: Stamp
    format: int = FORMAT


class Draft(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was on the screen, as the journal on this machine keeps it until it is stored."""

    tool_id: str
    state: dict[str, Any]
    stamp: Stamp
    base: Stamp | None = None
    """What was stored when it was written."""
    tool: KeptTool | None = None
    """None for the layout."""


class Done(msgspec.Struct, frozen=True):
    """What the journal says when a draft is stored, or not needed any more."""

    tool_id: str
    number: int


class Opening(msgspec.Struct, frozen=True):
    """A tool that is to be opened: with its state, and what the session has of it."""

    tool: KeptTool
    state: dict[str, Any] | None
    stored: Stamp | None
    unsaved: bool = False
    """It has to be saved: it comes from a draft."""


class Plan(msgspec.Struct, frozen=True):
    """What a screen begins with."""

    layout: Layout
    layout_stored: Stamp | None
    openings: tuple[Opening, ...]
    recovered: int
    """How many tools come from drafts, because a terminal ended before the session had them."""
    beside: int
    """How many of them were opened beside what somebody else stored meanwhile."""


Choice = Literal["stored", "draft", "both"]


def choose(stored: Kept | None, draft: Draft) -> Choice:
    """Tell which of the two is the newer one; both where neither was made from the other."""
    if stored is None or stored.stamp == draft.base:
        return "draft"
    if stored.stamp == draft.stamp or stored.state == draft.state:
        return "stored"
    if stored.stamp.writer == draft.stamp.writer:
        return "stored" if stored.stamp.number > draft.stamp.number else "draft"
    return "both"


def unsaved_of(records: list[Draft | Done]) -> dict[str, Draft]:
    """Play a journal: the last draft of each tool that is not done."""
    left: dict[str, Draft] = {}
    for record in records:
        if isinstance(record, Draft):
            left[record.tool_id] = record
        elif record.tool_id in left and left[record.tool_id].stamp.number <= record.number:
            del left[record.tool_id]
    return left


def number_of(tool_id: str) -> int:
    """The number at the end of a tool's id; 0 where there is none."""
    end = tool_id.rpartition("-")[2]
    return int(end) if end.isascii() and end.isdecimal() and len(end) < MAX_DIGITS else 0


def plan(stored_layout: Kept | None, stored: dict[str, Kept], drafts: dict[str, Draft]) -> Plan:
    """Tell what to open, from what the session has and what was left on this machine. Nothing of either is left out."""
    layout = _layout(stored_layout)
    draft = drafts.get(LAYOUT_ID)
    if draft is not None and (choice := choose(stored_layout, draft)) != "stored":
        left = msgspec.convert(draft.state, Layout)
        layout = left if choice == "draft" else _both(layout, left)
    known = {tool.tool_id for tool in layout.tools}
    tools = list(layout.tools)
    tools += [one.tool for one in drafts.values() if one.tool is not None and one.tool.tool_id not in known]
    openings: list[Opening] = []
    opened, recovered, beside = max([layout.opened, *(number_of(tool.tool_id) for tool in tools)]), 0, 0
    for tool in tools[:MAX_TOOLS]:
        kept, draft = stored.get(tool.tool_id), drafts.get(tool.tool_id)
        choice = "stored" if draft is None else choose(kept, draft)
        stamp = None if kept is None else kept.stamp
        if draft is None or choice == "stored":
            openings.append(Opening(tool, None if kept is None else kept.state, stamp))
            continue
        recovered += 1
        if choice == "draft":
            openings.append(Opening(tool, draft.state, stamp, unsaved=True))
            continue
        opened, beside = opened + 1, beside + 1
        copy = KeptTool(f"{tool.kind}-{opened}", tool.kind, f"{tool.title} (unsaved)")
        openings.append(Opening(tool, None if kept is None else kept.state, stamp))
        openings.append(Opening(copy, draft.state, None, unsaved=True))
    layout = msgspec.structs.replace(layout, tools=tuple(one.tool for one in openings), opened=opened)
    return Plan(layout, stored_layout.stamp if stored_layout else None, tuple(openings), recovered, beside)


def _layout(kept: Kept | None) -> Layout:
    return Layout() if kept is None else msgspec.convert(kept.state, Layout)


def _both(theirs: Layout, ours: Layout) -> Layout:
    """Their layout, and our tools that are not in it."""
    there = {tool.tool_id for tool in theirs.tools}
    more = tuple(tool for tool in ours.tools if tool.tool_id not in there)
    return msgspec.structs.replace(theirs, tools=theirs.tools + more, opened=max(theirs.opened, ours.opened))
