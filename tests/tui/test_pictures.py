"""Every tool, at 80x24 and 160x48, looks as it did (`tests.unit.tui.snapshot` tells how to change that)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.widgets import TextArea

from stui_sessiond.tui.smalltalk.passage import Place
from stui_sessiond.tui.tools.browser import Browser
from stui_sessiond.tui.tools.browser_state import BrowserState, Method
from stui_sessiond.tui.tools.conflict_screen import Clash, ConflictScreen
from stui_sessiond.tui.tools.debugger import Debugger
from stui_sessiond.tui.tools.evaluations import Evaluations
from stui_sessiond.tui.tools.inspector import Inspector
from stui_sessiond.tui.tools.inspector_state import InspectorState
from stui_sessiond.tui.tools.transcript import Transcript
from stui_sessiond.tui.tools.versions import Versions
from stui_sessiond.tui.tools.workspace import Workspace, WorkspaceState
from stui_sessiond.wire.messages.session import UpdateSessionState
from tests.tui.bed import Desk, World, amber_world, desk
from tests.unit.tui.snapshot import check
from tests.unit.tui.test_snapshots import SIZES, Size, name, settle, update

__all__ = ["update"]

WORKSPACE = """"A first look at counters."
c := OrderedCollection new.
c add: 3; add: #foo; add: 'it''s'.
c

#(1 2 3)
    inject: 0
    into: [:sum :each | sum + each]

nil foo: 3 bar: $a
16rFF + (
"""
KNOT = "| x | x := OrderedCollection new. x add: 3 -> 4; add: 'two\nlines'; add: #(1 2). x"


@pytest.fixture(scope="module")
def fresh() -> Iterator[World]:
    """A daemon with an Amber in which nothing has been changed."""
    with amber_world() as world:
        yield world


async def take(made: Desk, of: str, size: Size, *, update: bool) -> None:
    """Take a picture, or compare with the one there is."""
    for area in made.app.screen.query(TextArea):
        area.cursor_blink = False
    await settle(made.pilot)
    check(made.app, name(of, size), update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_workspace(fresh: World, tmp_path: Path, size: Size, *, update: bool) -> None:
    """Code in colours, a value below it, an error at its place, and the error explained."""
    async with desk(fresh, tmp_path, size) as made:
        tool = await made.open(Workspace, WorkspaceState(WORKSPACE, (5, 0)))
        await made.until(lambda: made.app.focused is tool.area)
        await made.press("alt+p")
        await made.until(lambda: "    into: [:sum :each | sum + each]\n6\n" in tool.area.text)
        tool.pad.say("⇒ 6  (3 ms, Number)")
        await take(made, "workspace", size, update=update)
        tool.area.move_cursor((11, 0))
        await made.press("alt+d")
        await made.until(lambda: tool.pad.problem is not None)
        await take(made, "workspace-error", size, update=update)
        await made.press("alt+e")
        await made.pilot.pause()
        await take(made, "error", size, update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_inspector(fresh: World, tmp_path: Path, size: Size, *, update: bool) -> None:
    """The tree, details of the part at the cursor, code with self."""
    async with desk(fresh, tmp_path, size) as made:
        tool = await made.open(Inspector, InspectorState(KNOT, code="self first value"))
        await made.until(lambda: len(tool.parts.root.children) == 3)
        await made.press("down", "enter")
        await made.until(lambda: len(tool.parts.root.children[0].children) == 2)
        answer = await tool._inspect(("1",))
        await made.pilot.pause()
        tool._tell(("1",), replace(answer.object_info, hash=7), None)
        await take(made, "inspector", size, update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_browser(fresh: World, tmp_path: Path, size: Size, *, update: bool) -> None:
    """Three lists and the source; a conflict."""
    async with desk(fresh, tmp_path, size) as made:
        tool = await made.open(Browser, BrowserState(Method("Association", "printOn:")))
        await made.until(lambda: "printOn: aStream" in tool.source.text)
        await made.until(lambda: tool.lists.package == "Kernel-Collections")
        await take(made, "browser", size, update=update)
        base, comment, told = "next\n\t^ n := n + 1", '\n\n\t"by one"', "next\n\tself changed.\n\t^ n := n + 1"
        clash = Clash("Counter>>next", base, told, base + comment, told + comment)
        made.app.push_screen(ConflictScreen(clash))
        await made.pilot.pause()
        await take(made, "conflict", size, update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_lists(fresh: World, tmp_path: Path, size: Size, *, update: bool) -> None:
    """Transcript, evaluations and history."""
    async with desk(fresh, tmp_path, size) as made:
        transcript = await made.open(Transcript)
        transcript.view.write("".join(f"line {n} of what the image writes\n" for n in range(60)))
        view = transcript.view
        await made.until(lambda: view.drawn)
        await made.press("slash", *"line 59", "enter")
        await made.until(lambda: view.following and view.vertical_scrollbar.position == view.max_scroll_y)
        transcript._tell()
        await take(made, "transcript", size, update=update)
        for code in ("c := 3 + 4", "nil foo", "(1 to: 3) collect: [:each |\n    each * each]"):
            await made.other.evaluate(code, session_id=made.session_id)
        listed = await made.open(Evaluations)
        await made.until(lambda: len(listed.rows) == 3)
        at, took = "2026-11-20T11:14:04.618Z", iter((0.012, 0.3, 4.5))
        listed.rows = [replace(one, accepted_at=at, duration=next(took)) for one in listed.rows]
        listed._show()
        await take(made, "evaluations", size, update=update)
        for number in range(3):
            await made.other.update_session_state(UpdateSessionState(made.session_id, {"n": number, "text": "a\nb"}))
        versions = await made.open(Versions)
        await made.until(lambda: '"n": 2' in versions.shown.plain)
        fixed = [replace(one, at=at) for one in versions.rows]
        versions.rows = fixed
        for number, one in enumerate(fixed):
            versions._list.replace_option_prompt_at_index(number, versions._line(one))
        await take(made, "versions", size, update=update)


@pytest.mark.parametrize("size", SIZES)
async def test_debugger(squeak: World, tmp_path: Path, size: Size, *, update: bool) -> None:
    """Stack, source with what is next, variables, code in the frame."""
    async with desk(squeak, tmp_path, size) as made:
        code = "| a |\na := 3.\na foo: a * 2.\na + 1"
        answer = await made.other.evaluate(code, session_id=made.session_id, on_error="suspend")
        assert answer.error
        tool = await made.open(Debugger)
        await made.until(lambda: made.app.screen is not made.screen)
        await made.press("enter")
        await made.until(lambda: tool.info is not None)
        await made.press("down")
        await made.until(lambda: "a foo: a * 2" in tool.source.text)
        assert isinstance(tool.source._marks[0][0], Place)
        await take(made, "debugger", size, update=update)
