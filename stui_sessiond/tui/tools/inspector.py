"""How does a person look into an object? A tree that is unfolded step by step, details, and code whose `self` it is."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import msgspec
from msgspec import UNSET
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Static, Tree
from textual.widgets.tree import TreeNode

from stui_sessiond.client import CallFailedError
from stui_sessiond.printable import printable
from stui_sessiond.tui.problem.problem import problem_of, shown
from stui_sessiond.tui.session_link import PAGE_CHARS, SessionLink
from stui_sessiond.tui.tools.asking import AskingTool
from stui_sessiond.tui.tools.inspector_state import MAX_VISITED, InspectorState
from stui_sessiond.tui.tools.object_label import Seen, first_line, path_text, repeated, variable_label
from stui_sessiond.tui.widgets.code_pad import CodePad
from stui_sessiond.tui.widgets.evaluator import Done
from stui_sessiond.wire.messages.development import Evaluate, EvaluateResult, Inspect, InspectResult, ObjectInfo

PAGE_PARTS = 100
"""Elements that are shown at once."""
GONE = {"stale_handle", "object_not_found"}
"""Codes that say that the object is not there any more."""


class Part(NamedTuple):
    """What a node of the tree stands for."""

    path: tuple[str, ...]
    more_from: int | None = None
    """For the node that stands for the elements not shown yet: the first of them."""


class Inspector(AskingTool[InspectorState]):
    """An object: its parts on the left, the one at the cursor on the right, code below."""

    kind: ClassVar[str] = "inspector"
    label: ClassVar[str] = "Inspector"
    state_type: ClassVar[type[msgspec.Struct]] = InspectorState

    DEFAULT_CSS = """
    Inspector Horizontal { height: 2fr; }
    Inspector Tree { width: 3fr; }
    Inspector VerticalScroll { width: 2fr; border-left: vkey $panel; padding: 0 1; scrollbar-size-vertical: 1; }
    Inspector CodePad { height: 1fr; min-height: 4; border-top: solid $panel; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "look_into", "Look into"),
        Binding("i", "inspect", "Inspector"),
        Binding("alt+left", "go(-1)", "Back"),
        Binding("alt+right", "go(1)", "Forward", show=False),
        Binding("r", "refresh_object", "Refresh"),
        Binding("e", "evaluate_again", "Evaluate again"),
    ]

    def __init__(self, tool_id: str, link: SessionLink, state: InspectorState, title: str) -> None:
        super().__init__(tool_id, link, state, title)
        self.handle = state.handle
        self.gone = False
        """Whether the image does not have the object any more."""
        self.visited = [tuple(path) for path in state.visited] or [()]
        self.at = min(max(state.at, 0), len(self.visited) - 1)
        self.pad = CodePad(link, tool_id, state.code, run=self._run_with_self, hint="Here, self is the object above.")
        self.parts: Tree[Part] = Tree(Text("..."))
        self.details = Static()
        self._seen: dict[tuple[str, ...], Seen] = {}
        self._handles: dict[tuple[str, ...], str] = {}

    def compose(self) -> ComposeResult:
        """Put the tree left, the details right, code below."""
        with Horizontal():
            yield self.parts
            with VerticalScroll(can_focus=False):
                yield self.details
        yield self.pad
        yield self.status

    def on_mount(self) -> None:
        """Look into the object; evaluate the expression only if nobody has done it before."""
        self.parts.guide_depth = 2
        self.parts.auto_expand = False
        if self.handle is None and self.initial.expression:
            self.action_evaluate_again()
        elif self.handle is not None:
            self._look()
        else:
            self.say("Nothing to inspect yet: alt+i in a workspace shows the value of its code here.")

    def focus_inside(self) -> None:
        """Put the cursor into the tree."""
        self.parts.focus()

    def present_state(self) -> InspectorState:
        """Tell what has to be kept."""
        paths = [list(path) for path in self.visited]
        return InspectorState(self.initial.expression, self.handle, paths, self.at, self.pad.area.text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense now."""
        if action == "go" and parameters:
            return 0 <= self.at + int(str(parameters[0])) < len(self.visited)
        if action == "evaluate_again":
            return self.gone and bool(self.initial.expression)
        if action in {"look_into", "inspect"}:
            return not self.gone
        return True

    @property
    def path(self) -> tuple[str, ...]:
        """The way from the object to what the tree shows."""
        return self.visited[self.at]

    # ---- asking

    async def _inspect(self, path: Sequence[str], start: int = 0, *, keep: bool = False) -> InspectResult:
        asked = Inspect(
            handle=self.handle or UNSET,
            path=list(path) or UNSET,
            start=start or UNSET,
            count=PAGE_PARTS,
            keep=True if keep else UNSET,
            session_id=self.link.session_id,
            tool_id=self.tool_id,
        )
        return await self.link.client.ask(asked, InspectResult)

    def _look(self) -> None:
        self.ask(self._show(), "show")

    async def _show(self) -> None:
        self.say("Looking ...")
        try:
            answer = await self._inspect(self.path)
        except CallFailedError as error:
            if error.code not in GONE:
                raise
            self._lose(error)
            return
        self.gone = False
        self.problem = None
        self._seen.clear()
        self._seen[self.path] = Seen.of(answer.object_info)
        root = self.parts.root
        self.parts.reset(_root_label(self.path, answer.object_info), Part(self.path))
        root = self.parts.root
        self._add_parts(root, answer, 0)
        root.expand()
        self.parts.move_cursor(root)
        self._tell(self.path, answer.object_info, answer.elements_total)
        self.say(f"{path_text(self.path)}   {printable(' '.join(self.initial.expression.split()), 60)}")
        self.refresh_bindings()

    def _lose(self, error: CallFailedError) -> None:
        self.gone = True
        self.fail(problem_of(error))
        again = ": e evaluates it again" if self.initial.expression else ""
        self.say(f"The image does not have this object any more{again}. What is shown is old.")
        self.refresh_bindings()

    def _add_parts(self, node: TreeNode[Part], answer: InspectResult, start: int) -> None:
        path = node.data.path if node.data is not None else ()
        for name, value in answer.instance_vars.items():
            node.add(variable_label(name, value), Part((*path, name)), allow_expand=value.cycle is not True)
        if answer.more is True:
            shown_parts = start + PAGE_PARTS
            total = answer.elements_total if isinstance(answer.elements_total, int) else None
            left = "" if total is None else f" {total - shown_parts:,}"
            node.add_leaf(Text(f"...{left} more elements (enter)", "italic"), Part(path, shown_parts))
        if not node.children:
            node.allow_expand = False

    # ---- the tree

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Part]) -> None:
        """Ask for the parts when somebody wants to see them."""
        event.stop()
        if not event.node.children and event.node.data is not None and event.node.data.path not in self._seen:
            self.ask(self._unfold(event.node), f"unfold {event.node.id}")

    async def _unfold(self, node: TreeNode[Part]) -> None:
        part = node.data
        if part is None:
            return
        answer = await self._inspect(part.path, part.more_from or 0)
        seen = Seen.of(answer.object_info)
        above = [self._seen[path] for path in _prefixes(part.path) if path in self._seen]
        level = repeated(above, seen)
        if level is not None:
            again = [path for path in _prefixes(part.path) if path in self._seen][level]
            node.add_leaf(Text(f"↻ the same object as {path_text(again)}", "italic"), Part(again))
            return
        self._seen[part.path] = seen
        self._add_parts(node, answer, part.more_from or 0)

    def on_tree_node_selected(self, event: Tree.NodeSelected[Part]) -> None:
        """Unfold it or fold it, or show more elements."""
        event.stop()
        node = event.node
        if node.data is not None and node.data.more_from is not None and node.parent is not None:
            self.ask(self._more(node), f"more {node.id}")
        elif node.allow_expand:
            node.toggle()

    async def _more(self, node: TreeNode[Part]) -> None:
        parent, part = node.parent, node.data
        if parent is None or part is None or part.more_from is None:
            return
        answer = await self._inspect(part.path, part.more_from)
        node.remove()
        before = len(parent.children)
        self._add_parts(parent, answer, part.more_from)
        if before < len(parent.children):
            self.parts.move_cursor(parent.children[before])

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Part]) -> None:
        """Show all that the part at the cursor prints."""
        event.stop()
        part = event.node.data
        if part is not None and part.more_from is None and not self.gone and self.handle is not None:
            self.ask(self._detail(part.path), "detail")

    async def _detail(self, path: tuple[str, ...]) -> None:
        asked = Inspect(
            handle=self.handle or UNSET, path=list(path) or UNSET, depth=0, session_id=self.link.session_id,
            tool_id=self.tool_id,
        )  # fmt: skip
        answer = await self.link.client.ask(asked, InspectResult)
        self._tell(path, answer.object_info, answer.elements_total)

    def _tell(self, path: Sequence[str], info: ObjectInfo, elements: object) -> None:
        text = Text(path_text(path), "dim").append(f"\n{printable(info.class_name)}", "bold not dim")
        size = elements if isinstance(elements, int) else info.size
        if size is not None:
            text.append(f"  {size:,} element{'' if size == 1 else 's'}", "not bold dim")
        if info.hash is not None:
            text.append(f"  hash {info.hash}", "not bold dim")
        self.details.update(text.append(f"\n\n{shown(info.string_representation)}", "not bold not dim"))

    # ---- going about

    def _chosen(self) -> Part | None:
        node = self.parts.cursor_node
        return None if node is None or node.data is None or node.data.more_from is not None else node.data

    def action_look_into(self) -> None:
        """Make the part at the cursor what the tree shows."""
        part = self._chosen()
        if part is not None and part.path != self.path:
            self.visited = [*self.visited[: self.at + 1], part.path][-MAX_VISITED:]
            self.at = len(self.visited) - 1
            self.changed()
            self._look()

    def action_go(self, step: int) -> None:
        """Go back or forward."""
        if 0 <= self.at + step < len(self.visited):
            self.at += step
            self.changed()
            self._look()

    def action_refresh_object(self) -> None:
        """Look again."""
        self._look()

    def action_inspect(self) -> None:
        """Open another inspector on the part at the cursor."""
        part = self._chosen()
        if part is not None:
            state = InspectorState(self.initial.expression, self.handle, [list(part.path)])
            self.post_message(
                self.Open(self.kind, state, f"Inspect {printable(part.path[-1], 20)}" if part.path else None)
            )

    def action_evaluate_again(self) -> None:
        """Evaluate the expression, and look into what it gives now."""
        self.ask(self._evaluate(), "show")

    async def _evaluate(self) -> None:
        self.say(f"Evaluating {printable(self.initial.expression, 60)} ...")
        name = self.link.name_evaluation(self.tool_id)
        done = await self.pad.evaluator.run(self.initial.expression, name, keep=True)
        if not isinstance(done.result.handle, str):
            error = done.result.error
            self.say(f"It gave no object: {printable(error.class_ if error else 'nothing')}")
            return
        self.handle = done.result.handle
        self._handles.clear()
        self.visited, self.at = [()], 0
        self.changed()
        await self._show()

    # ---- code

    async def _handle_of(self, path: tuple[str, ...]) -> str | None:
        if not path:
            return self.handle
        if path not in self._handles:
            answer = await self._inspect(path, keep=True)
            if isinstance(answer.handle, str):
                self._handles[path] = answer.handle
        return self._handles.get(path)

    async def _run_with_self(self, code: str, name: str, *, keep: bool) -> Done:
        asked = Evaluate(
            code=code,
            receiver_handle=await self._handle_of(self.path) or UNSET,
            keep=True if keep else UNSET,
            page_chars=PAGE_CHARS,
            idempotency_key=name,
            session_id=self.link.session_id,
            tool_id=self.tool_id,
        )
        result = await self.link.client.ask(asked, EvaluateResult)
        if not keep:
            self._look()  # the code may have changed it
        return Done(name, result)


def _prefixes(path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The ways to what is above, the farthest first."""
    return [path[:length] for length in range(len(path))]


def _root_label(path: Sequence[str], info: ObjectInfo) -> Text:
    name = path[-1] if path else "self"
    return Text(printable(name), "bold", no_wrap=True).append(f" {first_line(info.string_representation)}", "not bold")
