"""How does a person work in one session? Tabs of tools, which all hear what happens in the session."""

from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Footer, Tab, Tabs

from stui_sessiond.client import ClientError
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.tools import KINDS
from stui_sessiond.tui.tools.tool import AnyTool, Tool

MAX_TOOLS = 40
"""Open tools in a session: more than anybody tells apart by their tabs, and few enough to restore at once."""


class SessionScreen(Screen[None]):
    """The tools of one session.

    Args:
        link: the session.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+w", "close_tool", "Close tool", show=False),
        *(Binding(f"alt+{number}", f"go_to({number})", f"Tool {number}", show=False) for number in range(1, 10)),
    ]

    def __init__(self, link: SessionLink) -> None:
        super().__init__()
        self.link = link

    def compose(self) -> ComposeResult:
        """Tabs above, the tool that is in front below."""
        yield Tabs()
        yield ContentSwitcher()
        yield Footer()

    def on_mount(self) -> None:
        """Listen to the session."""
        self.run_worker(self._listen(), name="listen", exit_on_error=False)

    # ---- tools

    @property
    def tools(self) -> list[AnyTool]:
        """The open tools, in the order of their tabs."""
        order = [tab.id for tab in self.query_one(Tabs).query(Tab)]
        return sorted(self.query(Tool), key=lambda tool: order.index(f"tab-{tool.tool_id}"))

    async def open_tool(self, kind: str, state: msgspec.Struct | None = None, title: str | None = None) -> AnyTool:
        """Open a tool, and bring it to the front."""
        make = KINDS[kind]
        taken = {tool.tool_id for tool in self.query(Tool)}
        number = next(n for n in range(1, MAX_TOOLS + 2) if f"{kind}-{n}" not in taken)
        tool: AnyTool = make(
            f"{kind}-{number}",
            self.link,
            make.state_type() if state is None else state,
            title or f"{make.label} {number}",
        )
        await self.query_one(ContentSwitcher).mount(tool)
        await self.query_one(Tabs).add_tab(Tab(tool.title, id=f"tab-{tool.tool_id}"))
        self.bring_to_front(tool)
        return tool

    def bring_to_front(self, tool: AnyTool) -> None:
        """Show a tool, with the cursor in it."""
        self.query_one(Tabs).active = f"tab-{tool.tool_id}"
        self.query_one(ContentSwitcher).current = tool.tool_id
        tool.focus_inside()

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        """Show the tool of a tab."""
        tool_id = str(event.tab.id).removeprefix("tab-")
        switcher = self.query_one(ContentSwitcher)
        if switcher.current != tool_id:
            switcher.current = tool_id
            self.query_one(f"#{tool_id}", Tool).focus_inside()

    def action_go_to(self, number: int) -> None:
        """Bring the tool with this number to the front."""
        if number <= len(self.tools):
            self.bring_to_front(self.tools[number - 1])

    async def action_close_tool(self) -> None:
        """Close the tool in front."""
        current = self.query_one(ContentSwitcher).current
        if current is not None:
            await self.query_one(Tabs).remove_tab(f"tab-{current}")
            await self.query_one(f"#{current}", Tool).remove()

    async def on_tool_open(self, wish: Tool.Open) -> None:
        """Open a tool because another one wants it."""
        await self.open_tool(wish.kind, wish.state, wish.title)

    # ---- the session

    async def _listen(self) -> None:
        try:
            async with self.link.client.watch(self.link.session_id) as events:
                async for item in events:
                    for tool in self.query(Tool):
                        tool.hear(item)
        except ClientError as error:
            self.notify(str(error), severity="error", title="Events", markup=False)
