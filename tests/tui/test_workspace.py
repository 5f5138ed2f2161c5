"""The workspace, driven by its keys, with a live Smalltalk behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.widgets import Input

from stui_sessiond.tui.desk import Desk as Places
from stui_sessiond.tui.problem.screen import ProblemScreen
from stui_sessiond.tui.smalltalk.passage import Place
from stui_sessiond.tui.tools.inspector import Inspector
from stui_sessiond.tui.tools.snippets_screen import SnippetsScreen
from stui_sessiond.tui.tools.workspace import Workspace, WorkspaceState
from stui_sessiond.tui.widgets.code_pad import MAX_PRINTED_CHARS
from stui_sessiond.tui.widgets.result_screen import ResultScreen
from tests.tui.bed import DEADLINE_S, Desk, World, desk
from tests.unit.tui.bed import screen_text

HERE = (0, 0)


async def workspace(made: Desk, text: str, cursor: tuple[int, int] = HERE) -> Workspace:
    """A workspace with a text, and the cursor in it."""
    tool = await made.open(Workspace, WorkspaceState(text, cursor))
    await made.until(lambda: made.app.focused is tool.area)
    return tool


async def test_value_is_printed_below_and_deleted_at_once(amber: World, tmp_path: Path) -> None:
    """Do it tells the value; print it inserts it below, selected, so that Delete restores the text; undo works."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "x := 3 + 4.\nx * 6\n\n'end'")
        await made.press("alt+d")
        await made.until(lambda: tool.pad.said.startswith("⇒ 7"))
        await made.press("down", "alt+p")
        await made.until(lambda: "42" in tool.area.text)
        assert tool.area.text == "x := 3 + 4.\nx * 6\n42\n\n'end'"
        assert tool.area.selected_text == "\n42"
        await made.press("delete")
        assert tool.area.text == "x := 3 + 4.\nx * 6\n\n'end'"
        await made.press("ctrl+z")
        assert "42" in tool.area.text


async def test_tools_have_variables_of_their_own(amber: World, tmp_path: Path) -> None:
    """What one workspace assigns, another one does not see; a selection is evaluated alone."""
    async with desk(amber, tmp_path) as made:
        await workspace(made, "mine := 5")
        await made.press("alt+d")
        other = await workspace(made, "mine\n3 + 4 * 2", HERE)
        await made.press("alt+d")
        await made.until(lambda: other.pad.problem is not None)
        assert other.pad.problem is not None
        assert other.pad.problem.title == "UnknownVariableError"
        other.area.selection = type(other.area.selection)((1, 0), (1, 5))
        await made.press("alt+d")
        await made.until(lambda: other.pad.said.startswith("⇒ 7"))


async def test_typing_goes_on_while_code_runs(amber: World, tmp_path: Path) -> None:
    """A result comes below its code, wherever that is by then, and takes nothing out of the typist's hands."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "(1 to: 300000) inject: 0 into: [:a :b | a + b]\nrest")
        await made.press("alt+p", "ctrl+home", "x", "enter", "y", "enter", "ctrl+end", "z")
        await made.until(lambda: tool.pad.running == 0)
        assert tool.area.text.startswith("x\ny\n(1 to: 300000)")
        assert tool.area.text.endswith("[:a :b | a + b]\n45000150000\nrestz")
        assert tool.area.selection.is_empty
        await made.press("!")
        assert tool.area.text.endswith("restz!")


async def test_running_code_is_stopped(amber: World, tmp_path: Path) -> None:
    """While code runs that is said, and ctrl+c stops it; without anything running ctrl+c copies."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "[true] whileTrue: [nil foo yourself]\n'copied'", (1, 0))
        tool.area.selection = type(tool.area.selection)((1, 0), (1, 8))
        await made.press("ctrl+c")
        assert made.app.clipboard == "'copied'"
        tool.area.move_cursor((0, 0))
        tool.area.text = "[true] whileTrue: [3 + 4]"
        await made.press("alt+d")
        await made.until(lambda: "running" in tool.pad.said)
        await made.press("ctrl+c")
        await made.until(lambda: tool.pad.running == 0)
        assert tool.pad.problem is not None
        assert tool.pad.problem.title == "Interrupted"


async def test_error_is_shown_at_its_place(amber: World, tmp_path: Path) -> None:
    """Code that does not compile is marked where it is wrong; one key explains, copies and files it away."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "'first'\n\n    x := 3.\n    x + + (4", (3, 4))
        await made.press("alt+d")
        await made.until(lambda: tool.pad.problem is not None)
        assert tool.area._marks == [(Place(3, 8), Place(3, 9))]
        await made.press("alt+e")
        await made.until(lambda: isinstance(made.app.screen, ProblemScreen))
        shown = screen_text(made.app)
        assert all(words in shown for words in ("✖ ERROR", "ParseError", "What to do", "^ here"))
        assert isinstance(made.app.screen, ProblemScreen)
        made.app.screen.folder = tmp_path / "problems"
        await made.press("c", "f")
        (filed,) = (tmp_path / "problems").iterdir()
        assert "ParseError" in filed.read_text()
        assert made.app.clipboard in filed.read_text().replace(filed.read_text().split("\n")[2] + "\n", "")
        await made.press("escape", "end", "backspace")
        assert not tool.area.marked


async def test_image_without_processes_says_why_there_is_no_debugger(amber: World, tmp_path: Path) -> None:
    """An error in an image that cannot suspend has its report, its stack and the reason."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "nil foo: 3")
        await made.press("alt+d")
        await made.until(lambda: tool.pad.problem is not None)
        await made.press("alt+e")
        await made.until(lambda: "cannot keep the process" in screen_text(made.app))
        assert tool.pad.problem is not None
        assert tool.pad.problem.stack
        await made.press("d")
        assert isinstance(made.app.screen, ProblemScreen)


async def test_long_result_is_read_by_pages(amber: World, tmp_path: Path) -> None:
    """The beginning is inserted; all of it is read a page at a time, as far as somebody wants."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "(1 to: 9000) inject: '' into: [:all :each | all, each printString, ' ']")
        await made.press("alt+p")
        await made.until(lambda: tool.pad.running == 0 and len(tool.area.text) > MAX_PRINTED_CHARS)
        assert len(tool.area.text) < MAX_PRINTED_CHARS + 200
        await made.press("alt+m")
        await made.until(lambda: isinstance(made.app.screen, ResultScreen))
        page = made.app.screen
        assert isinstance(page, ResultScreen)
        before = len(page.raw)
        while len(page.raw) < page.total_chars:
            await made.press("m")
            await made.until(lambda held=before: len(page.raw) > held)  # type: ignore[misc]
            before = len(page.raw)
        assert "8999 9000" in page.raw


async def test_completion_at_the_cursor(amber: World, tmp_path: Path) -> None:
    """Suggestions come after a pause; the arrows choose, Enter takes one, Escape sends them away."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "")
        completions = tool.area._list
        await made.press(*"Transcript sho")
        await made.until(lambda: completions.display)
        assert "show:  " in screen_text(made.app)
        await made.press("down", "up", "enter")
        assert tool.area.text == "Transcript show:"
        await made.press(*" 3 pri")
        await made.until(lambda: completions.display)
        await made.press("escape", "n")
        assert not completions.display
        await made.press(*" 'pri", "up", "down")
        assert not completions.display


async def test_enter_ends_the_line_where_a_word_is_complete(amber: World, tmp_path: Path) -> None:
    """Suggestions that only go on with a word change it at Tab or after an arrow; Enter leaves it as it is."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "")
        await made.press(*"[true] whileTrue")
        await made.until(lambda: tool.area._list.display)
        assert tool.area._list.highlighted is None
        await made.press("enter")
        assert tool.area.text == "[true] whileTrue\n"


async def test_suggestions_follow_what_is_typed(amber: World, tmp_path: Path) -> None:
    """A suggestion that is taken before the image has answered again takes the place of the whole word."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "")
        await made.press(*"Transcript sh")
        await made.until(lambda: tool.area._list.display)
        await made.press("o", "w", "tab")
        assert tool.area.text.startswith("Transcript show")


async def test_escape_leaves_the_cursor_in_the_code(amber: World, tmp_path: Path) -> None:
    """What is typed after Escape is not lost."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "")
        await made.press("escape", "escape", "7")
        assert tool.area.text == "7"


async def test_code_from_before_comes_back(amber: World, tmp_path: Path) -> None:
    """Alt+Up writes what was run before, and goes on to older code in its place; it is there after a restart."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "1 + 1")
        await made.press("alt+d")
        await made.until(lambda: tool.pad.said.startswith("⇒ 2"))
        tool.area.text = "2 + 2"
        await made.press("alt+d")
        await made.until(lambda: tool.pad.said.startswith("⇒ 4"))
        again = await made.open(Workspace, tool.present_state())
        await made.until(lambda: made.app.focused is again.area)
        again.area.text = ""
        await made.press("alt+up")
        assert again.area.text == again.area.selected_text == "2 + 2"
        await made.press("alt+up")
        assert again.area.text == "1 + 1"
        await made.press("alt+down", "alt+down")
        assert again.area.text == ""


async def test_snippets_are_kept_and_inserted(amber: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code at the cursor becomes a file, which is listed, renamed, inserted and deleted."""
    monkeypatch.setattr(Workspace, "snippets_folder", tmp_path / "snippets")
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "3 + 4")
        await made.press("alt+s")
        await made.until(lambda: isinstance(made.app.screen, SnippetsScreen))
        await made.press("n", *"seven", "enter")
        assert (tmp_path / "snippets" / "seven.st").read_text() == "3 + 4"
        await made.press("r")
        made.app.screen.query_one(Input).value = "sum"
        await made.press("enter")
        assert [one.name for one in (tmp_path / "snippets").iterdir()] == ["sum.st"]
        await made.press("enter")
        await made.until(lambda: not isinstance(made.app.screen, SnippetsScreen))
        assert tool.area.text == "3 + 43 + 4"
        await made.press("alt+s")
        await made.until(lambda: isinstance(made.app.screen, SnippetsScreen))
        await made.press("d", *"yes", "enter")
        assert list((tmp_path / "snippets").iterdir()) == []


async def test_inspect_opens_an_inspector_on_the_value(amber: World, tmp_path: Path) -> None:
    """Inspect it shows the value itself, not a second evaluation; a workspace is restored where it was."""
    async with desk(amber, tmp_path) as made:
        tool = await workspace(made, "x := 7\nArray with: x", HERE)
        await made.press("alt+d", "down", "alt+i")
        await made.until(lambda: made.screen.query(Inspector))
        inspector = made.tool(Inspector)
        await made.until(lambda: len(inspector.parts.root.children) == 1)
        state = tool.present_state()
        assert (state.cursor, state.selected_from) == ((1, 0), None)
        assert str(inspector.parts.root.children[0].label).startswith("1 ")


async def test_code_that_a_killed_terminal_began_is_still_ours(amber: World, tmp_path: Path) -> None:
    """A tool that comes back while its code runs says so, can stop it, and tells how it ended."""
    async with desk(amber, tmp_path) as made:
        tool_id = f"workspace-{made.screen.query_one(Places).opened + 1}"
        loop = "[true] whileTrue: [3 + 4]"
        work = made.app.run_worker(made.other.evaluate(loop, session_id=made.session_id, tool_id=tool_id))
        await made.until(lambda: work.is_running)
        listed = made.other.list_evaluations
        async with asyncio.timeout(DEADLINE_S):
            while not (await listed(made.session_id, tool_id=tool_id)).evaluations:
                await made.pilot.pause(0.01)
        tool = await workspace(made, loop)
        assert tool.tool_id == tool_id
        await made.until(lambda: "running" in tool.pad.said)
        await made.press("ctrl+c")
        await work.wait()
        await made.until(lambda: "what ran before has ended: Interrupted" in tool.pad.said)
        assert tool.pad.running == 0
