"""The class browser, driven by its keys, with a live Smalltalk behind it."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Input

from stui_sessiond.tui.dialogs import Ask, Choose, Confirm
from stui_sessiond.tui.tools.browser import Browser
from stui_sessiond.tui.tools.browser_state import BrowserState, Method
from stui_sessiond.tui.tools.class_form import ClassForm
from stui_sessiond.tui.tools.conflict_screen import ConflictScreen
from stui_sessiond.wire.messages.code import CompileMethod, DefineClass
from stui_sessiond.wire.messages.development import GetMethod
from tests.tui.bed import Desk, World, desk
from tests.unit.tui.bed import screen_text

SOURCE = 'next: step\n\t"Adds."\n\tcount := (count ifNil: [0]) + step.\n\n\n\t^ count'


async def counter(made: Desk, name: str, selector: str = "next:") -> Browser:
    """A class with a method, and a browser on it."""
    await made.other.define_class(
        DefineClass(class_name=name, instance_vars=["count"], package="Demo", session_id=made.session_id)
    )
    await compile_elsewhere(made, name, SOURCE)
    tool = await made.open(Browser, BrowserState(Method(name, selector)))
    wanted = SOURCE if selector else "Object subclass"
    await made.until(lambda: wanted in tool.source.text)
    return tool


async def compile_elsewhere(made: Desk, name: str, source: str) -> None:
    """Another client compiles a method."""
    await made.other.compile_method(
        CompileMethod(class_name=name, source=source, category="counting", session_id=made.session_id)
    )


async def source_of(made: Desk, name: str, selector: str) -> str:
    """What the image has."""
    asked = GetMethod(class_name=name, method_name=selector, session_id=made.session_id)
    return (await made.other.get_method(asked)).method.source


def compiled(tool: Browser, selector: str, part: str) -> bool:
    """Whether the browser shows a method as the image has it, with a part of its source."""
    shown = tool.method is not None and tool.method.selector == selector and part in (tool.base or "")
    return shown and not tool.is_changed and not tool.drafts


async def test_class_is_found_and_read(amber: World, tmp_path: Path) -> None:
    """A search finds a class; the lists and the definition show it; the arrows lead to the source of a method."""
    async with desk(amber, tmp_path) as made:
        tool = await made.open(Browser)
        await made.until(lambda: "packages" in tool.said)
        await made.press("slash", *"associ", "enter")
        await made.until(lambda: isinstance(made.app.screen, Choose))
        await made.press("enter")
        await made.until(lambda: "Object subclass: #Association" in tool.source.text)
        await made.until(lambda: tool.lists.packages.cursor_node is not None)
        tool.lists.methods.focus()
        await made.press("down")
        await made.until(lambda: tool.method is not None)
        assert tool.lists.package == "Kernel-Collections"
        await made.press("c")
        await made.until(lambda: "class methods" in tool.said)
        assert [one.name for one in tool.lists.side] == ["key:value:"]


async def test_method_is_changed_and_compiled(amber: World, tmp_path: Path) -> None:
    """An error is marked where it is; then the source is compiled; a new method is found in its protocol."""
    async with desk(amber, tmp_path) as made:
        tool = await counter(made, "CounterA")
        tool.source.focus()
        await made.press("ctrl+end", *" + (", "ctrl+s")
        await made.until(lambda: tool.problem is not None)
        assert tool.problem is not None
        assert (tool.problem.code, tool.source.cursor_location[0]) == ("compile_error", 5)
        await made.press("backspace", *"1", "ctrl+s")
        await made.until(lambda: compiled(tool, "next:", "^ count + 1"))
        assert (await source_of(made, "CounterA", "next:")).endswith("^ count + 1")
        tool.lists.methods.focus()
        await made.press("n")
        tool.source.text = "reset\n\tcount := 0"
        await made.press("ctrl+s")
        await made.until(lambda: compiled(tool, "reset", "count := 0"))
        assert await source_of(made, "CounterA", "reset") == "reset\n\tcount := 0"


async def test_what_is_not_compiled_is_kept(amber: World, tmp_path: Path) -> None:
    """Who goes elsewhere, or restores the tool, finds what was typed, marked in the list."""
    async with desk(amber, tmp_path) as made:
        tool = await counter(made, "CounterB")
        await compile_elsewhere(made, "CounterB", "other ^ 1")
        tool.source.focus()
        await made.press("ctrl+end", *" + 7")
        tool.lists.methods.focus()
        tool.action_reread()
        await made.until(lambda: tool.lists.methods.option_count == 2)
        await made.press("down")
        await made.until(lambda: tool.source.text == "other ^ 1")
        again = await made.open(Browser, tool.present_state())
        await made.until(lambda: again.source.text == "other ^ 1")
        again.lists.methods.focus()
        await made.press("up")
        await made.until(lambda: again.source.text.endswith("^ count + 7"))
        assert "*next:" in screen_text(made.app)
        again.action_discard()
        await made.until(lambda: again.source.text == SOURCE)


async def test_conflict_shows_theirs_yours_and_merged(amber: World, tmp_path: Path) -> None:
    """Who compiles over another's change sees all three, and compiles the merge with one key."""
    async with desk(amber, tmp_path) as made:
        tool = await counter(made, "CounterC")
        await compile_elsewhere(made, "CounterC", SOURCE.replace("Adds.", "Adds a step."))
        tool.source.focus()
        await made.press("ctrl+end", *" + 1", "ctrl+s")
        await made.until(lambda: isinstance(made.app.screen, ConflictScreen))
        assert "[merged]" in screen_text(made.app)
        await made.press("tab")
        await made.until(lambda: "[theirs]" in screen_text(made.app))
        assert '+     "Adds a step."' in screen_text(made.app)
        await made.press("m")
        await made.until(lambda: compiled(tool, "next:", "Adds a step."))
        merged = await source_of(made, "CounterC", "next:")
        assert "Adds a step." in merged
        assert merged.endswith("^ count + 1")


async def test_conflict_that_cannot_be_merged(amber: World, tmp_path: Path) -> None:
    """Where both changed the same line there is no merge; theirs comes into the editor, and is compiled from there."""
    async with desk(amber, tmp_path) as made:
        tool = await counter(made, "CounterD")
        await compile_elsewhere(made, "CounterD", SOURCE.replace("^ count", "^ count * 2"))
        tool.source.focus()
        await made.press("ctrl+end", *" + 1", "ctrl+s")
        await made.until(lambda: isinstance(made.app.screen, ConflictScreen))
        assert "cannot be merged" in screen_text(made.app)
        await made.press("m")
        assert isinstance(made.app.screen, ConflictScreen)
        await made.press("t")
        await made.until(lambda: tool.source.text.endswith("^ count * 2"))
        assert not tool.is_changed


async def test_classes_are_defined_and_removed(amber: World, tmp_path: Path) -> None:
    """A form defines a class; another one changes it; a question comes before it is removed."""
    async with desk(amber, tmp_path) as made:
        tool = await made.open(Browser)
        await made.until(lambda: "packages" in tool.said)
        await made.press("d")
        await made.until(lambda: isinstance(made.app.screen, ClassForm))
        for field, value in (("class_name", "counter"), ("instance_vars", "count step"), ("package", "Demo")):
            made.app.screen.query_one(f"#{field}", Input).value = value
        await made.press("enter")
        assert "begin with a capital letter" in screen_text(made.app)
        made.app.screen.query_one("#class_name", Input).value = "CounterE"
        await made.press("enter")
        await made.until(lambda: "count. #step" in tool.source.text)
        await made.press("delete")
        await made.until(lambda: isinstance(made.app.screen, Confirm))
        await made.press("enter")
        assert isinstance(made.app.screen, Confirm)
        await made.press("y")
        await made.until(lambda: tool.class_info is None)


async def test_senders_and_hierarchy_lead_to_methods(amber: World, tmp_path: Path) -> None:
    """Searches begin with what is shown, and lead to what they found."""
    async with desk(amber, tmp_path) as made:
        tool = await counter(made, "CounterF")
        await compile_elsewhere(made, "CounterF", "twice ^ self next: 2")
        tool.lists.methods.focus()
        await made.press("s")
        await made.until(lambda: isinstance(made.app.screen, Ask))
        assert made.app.screen.query_one(Input).value == "next:"
        await made.press("enter")
        await made.until(lambda: "CounterF>>twice" in screen_text(made.app))
        await made.press("enter")
        await made.until(lambda: tool.method is not None and tool.method.selector == "twice")
        await made.press("h")
        await made.until(lambda: isinstance(made.app.screen, Choose))
        assert "    CounterF  <" in screen_text(made.app)


async def test_cursor_stays_when_a_method_was_compiled(amber: World, tmp_path: Path) -> None:
    """Who compiles goes on typing where he was; a slash is a letter there, and no key of the browser."""
    async with desk(amber, tmp_path) as made:
        tool = await counter(made, "StaysHere")
        tool.source.focus()
        await made.press("ctrl+end", *" / 1", "ctrl+s")
        await made.until(lambda: compiled(tool, "next:", "count / 1"))
        await made.press("0")
        assert tool.source.text.endswith("count / 10")


async def test_package_that_is_newer_than_the_list(amber: World, tmp_path: Path) -> None:
    """A class that somebody defined meanwhile, in a package of its own, is in the tree when it is found."""
    async with desk(amber, tmp_path) as made:
        tool = await counter(made, "SeenBefore")
        await made.other.define_class(
            DefineClass(class_name="SeenAfter", package="Meanwhile", session_id=made.session_id)
        )
        tool.lists.packages.focus()
        await made.press("slash", *"SeenAfter", "enter")
        await made.until(lambda: tool.lists.packages.cursor_node is not None and "SeenAfter" in screen_text(made.app))
        node = tool.lists.package_node("Meanwhile")
        assert node is not None
        assert tool.lists.lists_class(node, "SeenAfter")
