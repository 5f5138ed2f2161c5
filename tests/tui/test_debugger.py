"""The debugger, driven by its keys, with a live Squeak, whose processes can wait."""

from __future__ import annotations

from pathlib import Path

from stui_sessiond.client import LastingClient
from stui_sessiond.tui.dialogs import Confirm
from stui_sessiond.tui.problem.screen import ProblemScreen
from stui_sessiond.tui.tools.debugger import Debugger
from stui_sessiond.tui.tools.evaluations import Evaluations
from stui_sessiond.tui.tools.workspace import Workspace, WorkspaceState
from stui_sessiond.wire.messages.development import Debug
from tests.tui.bed import Desk, World, desk

CODE = "| a |\na := 3.\nb := a / 0.\nb + 1"


async def opened(made: Desk) -> Debugger:
    """A debugger on code that met an error, opened as a person does it."""
    tool = await made.open(Workspace, WorkspaceState(CODE))
    await made.until(lambda: made.app.focused is tool.area)
    tool.area.select_all()
    await made.press("alt+d")
    await made.until(lambda: isinstance(made.app.screen, ProblemScreen))
    await made.press("d")
    await made.until(lambda: made.screen.query(Debugger) and made.tool(Debugger).info is not None)
    return made.tool(Debugger)


async def test_error_leads_into_the_debugger(squeak: World, tmp_path: Path) -> None:
    """Stack, source with the place, and variables are there; code runs in the frame; a value ends the frame."""
    async with desk(squeak, tmp_path) as made:
        tool = await opened(made)
        assert tool.info is not None
        assert tool.info.stack[0].selector == "/"
        await made.press("down")
        await made.until(lambda: "a := 3." in tool.source.text and tool.source.marked)
        assert tool.locals.option_count >= 2
        tool.pad.area.focus()
        await made.press(*"a * 2", "alt+p")
        await made.until(lambda: tool.pad.area.text == "a * 2\n6")
        tool.stack.focus()
        await made.press("up")
        await made.until(lambda: tool.frame == 1)
        await made.press("v", *["backspace"] * 3, *"42", "enter")
        await made.until(lambda: tool.info is not None and tool.info.stack[0].selector != "/")
        await made.press("c")
        await made.until(lambda: tool.over)
        assert tool.said == "It has finished: 43"


async def test_stepping_and_beginning_anew(squeak: World, tmp_path: Path) -> None:
    """A frame is begun anew and stepped; the marked part moves."""
    async with desk(squeak, tmp_path) as made:
        tool = await opened(made)
        await made.press("down")
        await made.until(lambda: "a := 3." in tool.source.text)
        await made.press("r")
        await made.until(lambda: tool.info is not None and tool.info.stack[0].selector != "/")
        first = list(tool.source._marks)
        await made.press("o")
        await made.until(lambda: "stepping" not in tool.said and tool.source._marks != first)
        await made.press("x")
        await made.until(lambda: isinstance(made.app.screen, Confirm))
        await made.press("y")
        await made.until(lambda: tool.over)
        assert (await made.other.list_debuggers(made.session_id)).debuggers == []


async def test_process_that_another_one_holds(squeak: World, tmp_path: Path) -> None:
    """Who holds it is said; it is taken over after a question, and followed to its end elsewhere."""
    async with desk(squeak, tmp_path) as made, LastingClient(squeak.url, client_id="bob") as bob:
        await made.other.share_session(made.session_id, "bob", "editor")
        tool = await opened(made)
        assert tool.debugger_id is not None
        await bob.take_debugger(made.session_id, tool.debugger_id)
        await made.until(lambda: tool.holder == "bob")
        await made.press("o")
        await made.until(lambda: "bob works with it" in tool.said)
        await made.press("k")
        await made.until(lambda: isinstance(made.app.screen, Confirm))
        await made.press("y")
        await made.until(lambda: tool.holder == "me")
        await made.press("k")
        await made.until(lambda: tool.holder is None)
        await bob.debug(Debug(session_id=made.session_id, debugger_id=tool.debugger_id, operation="Terminate"))
        await made.until(lambda: tool.over)
        await made.press("e")
        await made.until(lambda: isinstance(made.app.screen, ProblemScreen))


async def test_waiting_process_is_found_in_the_lists(squeak: World, tmp_path: Path) -> None:
    """A debugger opened without a process lists those that wait; so does the list of evaluations."""
    async with desk(squeak, tmp_path) as made:
        await made.other.evaluate("3 / 0", session_id=made.session_id, on_error="suspend")
        listed = await made.open(Evaluations)
        await made.until(lambda: listed.rows)
        await made.press("d")
        await made.until(lambda: made.screen.query(Debugger) and made.tool(Debugger).info is not None)
        chosen = await made.open(Debugger)
        await made.until(lambda: made.app.screen is not made.screen)
        await made.press("enter")
        await made.until(lambda: chosen.info is not None)
        assert chosen.debugger_id in {row.debugger_id for row in listed.rows}
