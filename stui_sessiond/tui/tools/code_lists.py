"""Which packages, classes, protocols and methods are there, and which is chosen? Three lists side by side."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import OptionList, Tree
from textual.widgets.option_list import Option
from textual.widgets.tree import TreeNode

from stui_sessiond.printable import printable
from stui_sessiond.tui.tools.browser_state import Draft, Method, find
from stui_sessiond.wire.messages.code import PackageInfo
from stui_sessiond.wire.messages.development import BrowseClassResult, MethodName

ALL = "-- all --"
NO_PROTOCOL = "(none)"


class Branch(NamedTuple):
    """What a node of the tree stands for: a package, or a class in it."""

    package: str
    class_name: str | None = None


class CodeLists(Horizontal):
    """Packages with their classes, protocols, methods."""

    DEFAULT_CSS = """
    CodeLists Tree { width: 3fr; height: 1fr; }
    CodeLists OptionList, CodeLists OptionList:focus { width: 2fr; height: 1fr; border: none; padding: 0 0 0 1; }
    CodeLists #methods { width: 3fr; }
    """

    class WantsClasses(Message):
        """Somebody unfolds a package."""

        def __init__(self, node: TreeNode[Branch], package: str) -> None:
            self.node = node
            self.package = package
            super().__init__()

    class ChoseClass(Message):
        """Somebody is at a class."""

        def __init__(self, class_name: str) -> None:
            self.class_name = class_name
            super().__init__()

    class ChoseMethod(Message):
        """Somebody is at a method."""

        def __init__(self, method: Method) -> None:
            self.method = method
            super().__init__()

    class WantsSource(Message):
        """Somebody wants to work with the source."""

    def __init__(self) -> None:
        super().__init__()
        self.packages: Tree[Branch] = Tree(Text("packages"))
        self.protocols = OptionList(id="protocols")
        self.methods = OptionList(id="methods")
        self.is_class_side = False
        """Whether the methods are those of the class itself."""
        self.info: BrowseClassResult | None = None
        """The class that is shown."""
        self.drafts: list[Draft] = []
        """What is not compiled yet; marked in the list."""
        self._rows: list[str] = [ALL]
        self._shown: list[MethodName] = []
        self._quiet: str | None = None

    def compose(self) -> ComposeResult:
        """Side by side."""
        yield self.packages
        yield self.protocols
        yield self.methods

    def on_mount(self) -> None:
        """The root says nothing."""
        self.packages.show_root = False
        self.packages.guide_depth = 2

    # ---- packages and classes

    def show_packages(self, packages: Sequence[PackageInfo]) -> None:
        """List packages."""
        root = self.packages.root
        root.remove_children()
        for package in packages:
            count = "" if package.class_count is None else f" {package.class_count}"
            root.add(Text(printable(package.name), no_wrap=True).append(count, "dim"), Branch(package.name))
        root.expand()

    def show_classes(self, node: TreeNode[Branch], names: Sequence[str]) -> None:
        """List the classes of a package."""
        if node.data is None or node.children:
            return
        for name in names:
            node.add_leaf(Text(printable(name), no_wrap=True), Branch(node.data.package, name))

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Branch]) -> None:
        """Ask for the classes of a package."""
        event.stop()
        if event.node.data is not None and not event.node.children:
            self.post_message(self.WantsClasses(event.node, event.node.data.package))

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Branch]) -> None:
        """Tell which class somebody is at."""
        event.stop()
        branch = event.node.data
        if branch is None or branch.class_name is None:
            return
        quiet, self._quiet = self._quiet, None
        if branch.class_name != quiet:
            self.post_message(self.ChoseClass(branch.class_name))

    def package_node(self, package: str | None) -> TreeNode[Branch] | None:
        """Find a package in the tree."""
        nodes = self.packages.root.children
        return next((node for node in nodes if node.data is not None and node.data.package == package), None)

    def lists_class(self, node: TreeNode[Branch], class_name: str) -> bool:
        """Tell whether a class is listed in its package."""
        return any(one.data is not None and one.data.class_name == class_name for one in node.children)

    def reveal(self, node: TreeNode[Branch], class_name: str) -> None:
        """Put the cursor onto a class whose package is unfolded, without a word."""
        node.expand()
        leaf = next((one for one in node.children if one.data is not None and one.data.class_name == class_name), None)
        if leaf is not None and self.packages.cursor_node is not leaf:
            self._quiet = class_name
            self.call_after_refresh(self.packages.move_cursor, leaf)

    @property
    def package(self) -> str:
        """The package at the cursor."""
        node = self.packages.cursor_node
        return "" if node is None or node.data is None else node.data.package

    # ---- protocols and methods

    @property
    def side(self) -> list[MethodName]:
        """The methods of the side that is shown."""
        if self.info is None:
            return []
        return self.info.class_methods if self.is_class_side else self.info.instance_methods

    @property
    def protocol(self) -> str | None:
        """The protocol that is chosen; None for all of them."""
        at = self.protocols.highlighted or 0
        return self._rows[at] if 0 < at < len(self._rows) else None

    def show_class(self, info: BrowseClassResult | None, selector: str = "") -> None:
        """Show a class, with one of its methods at the cursor."""
        self.info = info
        names = sorted({one.category or NO_PROTOCOL for one in self.side}, key=str.casefold)
        self._rows = [ALL, *names]
        with self.prevent(OptionList.OptionHighlighted):
            rows = [Option(Text(printable(one), no_wrap=True)) for one in self._rows]
            self.protocols.clear_options().add_options(rows)
            self.protocols.highlighted = 0
        self.show_methods(selector)

    def show_methods(self, selector: str = "") -> None:
        """List the methods of the protocol."""
        protocol = self.protocol
        chosen = [one for one in self.side if protocol in {None, one.category or NO_PROTOCOL}]
        self._shown = sorted(chosen, key=lambda one: one.name.casefold())
        names = [one.name for one in self._shown]
        with self.prevent(OptionList.OptionHighlighted):
            self.methods.clear_options().add_options([Option(self._label(one)) for one in names])
            self.methods.highlighted = names.index(selector) if selector in names else None

    def _label(self, selector: str) -> Text:
        name = "" if self.info is None else self.info.class_info.name
        changed = find(self.drafts, Method(name, selector, self.is_class_side)) is not None
        return Text(f"{'*' if changed else ''}{printable(selector)}", no_wrap=True)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """List the methods of a protocol, or tell which method somebody is at."""
        event.stop()
        if event.option_list is self.protocols:
            self.show_methods()
        elif self.info is not None and event.option_index < len(self._shown):
            one = self._shown[event.option_index]
            method = Method(self.info.class_info.name, one.name, self.is_class_side, one.category)
            self.post_message(self.ChoseMethod(method))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go on in the next list, or into the source."""
        event.stop()
        if event.option_list is self.protocols:
            self.methods.focus()
        else:
            self.post_message(self.WantsSource())
