"""The inspector, driven by its keys, with a live Smalltalk behind it."""

from __future__ import annotations

from pathlib import Path

from stui_sessiond.tui.tools.inspector import PAGE_PARTS, Inspector
from stui_sessiond.tui.tools.inspector_state import InspectorState
from tests.tui.bed import Desk, World, desk
from tests.unit.tui.bed import screen_text

KNOT = "| x | x := OrderedCollection new. x add: (3 -> x); add: 'a\nb'. x"


async def inspector(made: Desk, expression: str) -> Inspector:
    """An inspector on the value of an expression."""
    tool = await made.open(Inspector, InspectorState(expression))
    await made.until(lambda: tool.parts.root.children and tool.parts.cursor_node is tool.parts.root)
    return tool


def labels(tool: Inspector) -> list[str]:
    """What the tree shows, line by line."""
    return [str(tool.parts.get_node_at_line(line).label) for line in range(tool.parts.last_line + 1)]  # type: ignore[union-attr]


async def test_tree_unfolds_and_knows_what_it_shows_already(amber: World, tmp_path: Path) -> None:
    """Children are asked for when somebody unfolds; an object that is shown above is not unfolded without end."""
    async with desk(amber, tmp_path) as made:
        tool = await inspector(made, KNOT)
        assert len(labels(tool)) == 3
        await made.press("down", "enter")
        await made.until(lambda: len(labels(tool)) == 5)
        assert [one.split()[0] for one in labels(tool)] == ["self", "1", "key", "value", "2"]
        await made.press("down", "down", "enter")
        await made.until(lambda: any("the same object as self" in one for one in labels(tool)))
        await made.until(lambda: "self → 1 → value" in screen_text(made.app))


async def test_elements_come_in_pages(amber: World, tmp_path: Path) -> None:
    """A large collection shows its first elements; the next come with Enter on the last line."""
    async with desk(amber, tmp_path) as made:
        tool = await inspector(made, f"(1 to: {PAGE_PARTS + 30}) asArray")
        assert labels(tool)[-1].startswith("... 30 more elements")
        await made.press("end", "enter")
        await made.until(lambda: len(labels(tool)) == PAGE_PARTS + 31)
        assert labels(tool)[-1] == f"{PAGE_PARTS + 30} {PAGE_PARTS + 30}"


async def test_self_is_the_object_that_is_shown(amber: World, tmp_path: Path) -> None:
    """Code below runs with the object, or the part somebody went into, as self; back leads back."""
    async with desk(amber, tmp_path) as made:
        tool = await inspector(made, "3 -> (4 -> 5)")
        tool.pad.area.focus()
        await made.press(*"key := 33", "alt+d")
        await made.until(lambda: any(one == "key 33" for one in labels(tool)))
        tool.focus_inside()
        await made.press("end", "o")
        await made.until(lambda: tool.path == ("value",) and labels(tool)[0].startswith("value 4 -> 5"))
        tool.pad.area.text = "self key"
        tool.pad.area.focus()
        await made.press("alt+p")
        await made.until(lambda: tool.pad.area.text == "self key\n4")
        tool.focus_inside()
        await made.press("alt+left")
        await made.until(lambda: tool.path == () and labels(tool)[0].startswith("self 33"))
        assert tool.present_state().visited == [[], ["value"]]


async def test_restored_inspector_shows_the_same_object(amber: World, tmp_path: Path) -> None:
    """A restored inspector looks at the same object where it was; nothing is evaluated again."""
    async with desk(amber, tmp_path) as made:
        tool = await inspector(made, "Random new next -> 2")
        state = tool.present_state()
        again = await made.open(Inspector, state)
        await made.until(lambda: again.parts.root.children)
        assert labels(again)[0] == labels(tool)[0]


async def test_object_that_is_gone_is_evaluated_again_on_demand(amber: World, tmp_path: Path) -> None:
    """What the image has let go of is said to be gone; one key evaluates its expression again."""
    async with desk(amber, tmp_path) as made:
        tool = await inspector(made, "3 -> 4")
        assert tool.handle is not None
        await made.other.release_handles(made.session_id, [tool.handle])
        await made.press("r")
        await made.until(lambda: tool.gone)
        assert "does not have this object any more: e evaluates it again" in tool.said
        await made.press("e")
        await made.until(lambda: not tool.gone and "Looking" not in tool.said)
        assert labels(tool)[0] == "self 3 -> 4"
