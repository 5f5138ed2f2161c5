"""Transcript, evaluations and history, driven by their keys, with a live Smalltalk behind them."""

from __future__ import annotations

from pathlib import Path

from stui_sessiond.tui.dialogs import Confirm
from stui_sessiond.tui.problem.screen import ProblemScreen
from stui_sessiond.tui.tools.debugger import Debugger
from stui_sessiond.tui.tools.evaluations import Evaluations
from stui_sessiond.tui.tools.line_ring import MAX_LINES
from stui_sessiond.tui.tools.transcript import Transcript
from stui_sessiond.tui.tools.versions import Versions
from stui_sessiond.tui.tools.workspace import Workspace
from stui_sessiond.wire.messages.session import UpdateSessionState
from tests.tui.bed import World, desk
from tests.unit.tui.bed import screen_text


async def test_transcript_follows_the_end_unless_somebody_reads(amber: World, tmp_path: Path) -> None:
    """Lines come as the image writes them; who scrolled up stays there; End follows again; words are found."""
    async with desk(amber, tmp_path) as made:
        tool = await made.open(Transcript)
        write = "1 to: {} do: [:i | Transcript show: 'line ', i printString; cr]"
        await made.other.evaluate(write.format(100), session_id=made.session_id)
        await made.until(lambda: "line 100" in screen_text(made.app))
        await made.press("pageup")
        await made.until(lambda: not tool.view.following)
        top = round(tool.view.scroll_y)
        await made.other.evaluate("Transcript show: 'the Needle'; cr", session_id=made.session_id)
        await made.until(lambda: len(tool.view.ring) == 101)
        await made.until(lambda: "End follows again" in screen_text(made.app))
        assert round(tool.view.scroll_y) == top
        await made.press("slash", *"needle", "enter")
        await made.until(lambda: tool.view.found == 100)
        await made.press("end")
        await made.until(lambda: tool.view.following and "the Needle" in screen_text(made.app))
        await made.press("c")
        assert len(tool.view.ring) == 0


async def test_transcript_begins_with_what_was_written_before(amber: World, tmp_path: Path) -> None:
    """A transcript that is opened late shows the end of what was written until then."""
    async with desk(amber, tmp_path) as made:
        await made.other.evaluate("Transcript show: 'from before'; cr", session_id=made.session_id)
        await made.open(Transcript)
        await made.until(lambda: "from before" in screen_text(made.app))


async def test_transcript_is_bounded_and_drawn_seldom(amber: World, tmp_path: Path) -> None:
    """100,000 lines leave the newest ones in memory, and are drawn a few times, not once for each."""
    async with desk(amber, tmp_path) as made:
        tool = await made.open(Transcript)
        for start in range(0, 100_000, 100):
            tool.view.write("".join(f"line {start + number}\n" for number in range(100)))
        await made.until(lambda: "line 99999" in screen_text(made.app))
        assert (len(tool.view.ring), tool.view.ring.dropped) == (MAX_LINES, 100_000 - MAX_LINES)
        assert tool.view.drawn < 20


async def test_evaluations_are_listed_reported_and_opened_again(amber: World, tmp_path: Path) -> None:
    """The list follows what is run; an error has its report, a value its text, code a workspace."""
    async with desk(amber, tmp_path) as made:
        tool = await made.open(Evaluations)
        await made.until(lambda: tool.said == "Nothing was run yet.")
        await made.other.evaluate("6 * 7", session_id=made.session_id)
        await made.other.evaluate("nil foo", session_id=made.session_id)
        await made.until(lambda: len(tool.rows) == 2 and tool.rows[0].has_error)
        assert "✖ error" in screen_text(made.app)
        assert "⇒ 42" in screen_text(made.app)
        await made.press("e")
        await made.until(lambda: isinstance(made.app.screen, ProblemScreen))
        await made.press("escape", "down", "v")
        await made.until(lambda: "2 of 2 characters" in screen_text(made.app))
        await made.press("escape", "w")
        await made.until(lambda: made.tool(Workspace).area.text == "6 * 7")


async def test_evaluation_is_interrupted_from_the_list(amber: World, tmp_path: Path) -> None:
    """What runs is marked, and stopped with a key."""
    async with desk(amber, tmp_path) as made:
        tool = await made.open(Evaluations)
        work = made.app.run_worker(made.other.evaluate("[true] whileTrue: [3 + 4]", session_id=made.session_id))
        await made.until(lambda: tool.rows and tool.rows[0].status == "running")
        assert "runs" in screen_text(made.app)
        await made.press("s")
        await work.wait()
        await made.until(lambda: tool.rows[0].has_error)


async def test_debugger_without_processes_says_why(amber: World, tmp_path: Path) -> None:
    """In an image that cannot suspend, the debugger says so."""
    async with desk(amber, tmp_path) as made:
        tool = await made.open(Debugger)
        await made.until(lambda: "cannot keep the process" in tool.said)


async def test_versions_are_compared_named_and_reverted(amber: World, tmp_path: Path) -> None:
    """Each version shows what is different from the one before or the marked one; one is named; one comes back."""
    async with desk(amber, tmp_path) as made:
        for number in range(1, 4):
            await made.other.update_session_state(UpdateSessionState(made.session_id, {"n": number, "same": "x"}))
        tool = await made.open(Versions)
        await made.until(lambda: '+     "n": 3' in tool.shown.plain)
        assert '-     "n": 2' in tool.shown.plain
        await made.press("s", *"good", "enter")
        await made.until(lambda: "'good'" in tool.said)
        await made.press("down")
        await made.until(lambda: '+     "n": 2' in tool.shown.plain)
        await made.press("space", "down")
        await made.until(lambda: '-     "n": 1' in tool.shown.plain)
        await made.press("enter")
        await made.until(lambda: '"n": 1' in tool.shown.plain and "from" not in tool.shown.plain)
        await made.press("v")
        await made.until(lambda: isinstance(made.app.screen, Confirm))
        await made.press("y")
        await made.until(lambda: tool.said.startswith("went back to version"))
        restored = await made.other.restore_session(made.session_id)
        assert restored.session_state == {"n": 1, "same": "x"}
