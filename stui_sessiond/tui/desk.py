"""Where do the tools of a session stand? One in front, one pinned beside it if the user wants, a tab for each.

Tools stay mounted, and are shown or not: what is in them, and their cursors, stay where they were.
"""

import msgspec
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message
from textual.widgets import Tab, Tabs

from stui_sessiond.tui.layout import MAX_TOOLS, Direction, KeptTool
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.tools import KINDS
from stui_sessiond.tui.tools.tool import AnyTool, Tool


class Desk(Vertical):
    """The tabs and the tools.

    Args:
        link: the session.
    """

    DEFAULT_CSS = """
    Desk { height: 1fr; }
    Desk > #places { height: 1fr; layout: horizontal; }
    Desk > #places.-below { layout: vertical; }
    Desk > #places > Tool { display: none; }
    Desk > #places > Tool.-shown { display: block; }
    Desk > #places > Tool.-pinned { border-left: solid $panel; }
    Desk > #places.-below > Tool.-pinned { border-left: none; border-top: solid $panel; }
    """

    class Rearranged(Message):
        """Tools were opened, closed, brought to the front or pinned."""

    def __init__(self, link: SessionLink) -> None:
        super().__init__()
        self.link = link
        self.opened = 0
        self.active: str | None = None
        self.pinned: str | None = None
        self.direction: Direction = "beside"

    def compose(self) -> ComposeResult:
        """Tabs above, the tools below."""
        yield Tabs()
        yield Container(id="places")

    # ---- what there is

    @property
    def tools(self) -> list[AnyTool]:
        """The open tools, in the order of their tabs."""
        there = {f"tab-{tool.tool_id}": tool for tool in self.query(Tool)}
        return [there[str(tab.id)] for tab in self.query_one(Tabs).query(Tab) if tab.id in there]

    def tool(self, tool_id: str) -> AnyTool | None:
        """The tool with this id."""
        return next((tool for tool in self.query(Tool) if tool.tool_id == tool_id), None)

    @property
    def front(self) -> AnyTool | None:
        """The tool in front."""
        return None if self.active is None else self.tool(self.active)

    def kept(self) -> tuple[KeptTool, ...]:
        """The tools as a layout has them."""
        return tuple(KeptTool(tool.tool_id, tool.kind, tool.title) for tool in self.tools)

    # ---- changing it

    def new_tool(self, kind: str, title: str | None = None) -> KeptTool:
        """Name a tool that is to be opened."""
        self.opened += 1
        same = sum(tool.kind == kind for tool in self.query(Tool))
        return KeptTool(f"{kind}-{self.opened}", kind, title or f"{KINDS[kind].label} {same + 1}")

    async def add(self, kept: KeptTool, state: msgspec.Struct) -> AnyTool:
        """Open a tool behind the others. A full desk closes nothing: it refuses.

        Raises:
            ValueError: there are too many tools.
        """
        if len(self.query(Tool)) >= MAX_TOOLS:
            msg = f"{MAX_TOOLS} tools are open; close one first (Alt+Q)"
            raise ValueError(msg)
        tool: AnyTool = KINDS[kept.kind](kept.tool_id, self.link, state, kept.title)
        await self.query_one("#places").mount(tool)
        with self.prevent(Tabs.TabActivated):
            await self.query_one(Tabs).add_tab(Tab(tool.title, id=f"tab-{tool.tool_id}"))
        return tool

    def bring_to_front(self, tool_id: str, *, focus: bool = True) -> None:
        """Show a tool, with the cursor in it."""
        tool = self.tool(tool_id)
        if tool is None:
            return
        self.active = tool_id
        tabs = self.query_one(Tabs)
        if tabs.active != f"tab-{tool_id}":
            with self.prevent(Tabs.TabActivated):
                tabs.active = f"tab-{tool_id}"
        self.call_after_refresh(self._show_tab)
        self._show()
        if focus:
            tool.focus_inside()
        self.post_message(self.Rearranged())

    def _show_tab(self) -> None:
        for tab in self.query(f"#tab-{self.active}"):  # none, if it was closed meanwhile
            tab.scroll_visible(animate=False, force=True)  # the bar shows no scrollbar

    def pin(self, tool_id: str | None) -> None:
        """Keep a tool in sight beside the one in front; None lets go of it."""
        self.pinned = tool_id
        self._show()
        self.post_message(self.Rearranged())

    def turn(self, direction: Direction) -> None:
        """Put the pinned tool beside the others, or below."""
        self.direction = direction
        self._show()
        self.post_message(self.Rearranged())

    async def close(self, tool_id: str) -> None:
        """Close a tool; the one before it comes to the front."""
        tool = self.tool(tool_id)
        if tool is None:
            return
        order = [each.tool_id for each in self.tools]
        place = order.index(tool_id)
        with self.prevent(Tabs.TabActivated):
            await self.query_one(Tabs).remove_tab(f"tab-{tool_id}")
        await tool.remove()
        order.remove(tool_id)
        if self.pinned == tool_id:
            self.pinned = None
        if self.active == tool_id:
            self.active = order[max(0, place - 1)] if order else None
        if self.active is None:
            self.post_message(self.Rearranged())
        else:
            self.bring_to_front(self.active)

    def retitle(self, tool: AnyTool) -> None:
        """Have a tab say what its tool is called now."""
        self.query_one(f"#tab-{tool.tool_id}", Tab).label = tool.title
        self.post_message(self.Rearranged())

    def _show(self) -> None:
        places = self.query_one("#places")
        places.set_class(self.direction == "below", "-below")
        beside = self.pinned if self.pinned != self.active else None
        for tool in self.query(Tool):
            tool.set_class(tool.tool_id in {self.active, beside}, "-shown")
            tool.set_class(tool.tool_id == beside, "-pinned")
        pinned = None if beside is None else self.tool(beside)
        if pinned is not None and places.children and places.children[-1] is not pinned:
            places.move_child(pinned, after=places.children[-1])

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        """Somebody chose a tab."""
        event.stop()
        tool_id = str(event.tab.id).removeprefix("tab-")
        if tool_id != self.active:
            self.bring_to_front(tool_id, focus=not self.query_one(Tabs).has_focus)
