"""How does a person read and change the image's code? Packages, classes, protocols, methods, the source."""

from functools import partial
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import TextArea
from textual.widgets.tree import TreeNode

from stui_sessiond.client import CallFailedError, Gap
from stui_sessiond.printable import printable
from stui_sessiond.tui.dialogs import Ask, Choose, Confirm
from stui_sessiond.tui.problem.problem import Severity, problem_of
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.smalltalk.passage import Place
from stui_sessiond.tui.tools.asking import AskingTool
from stui_sessiond.tui.tools.browser_state import BrowserState, Draft, Method, drop, find, keep, template
from stui_sessiond.tui.tools.class_form import ClassForm, ClassWish
from stui_sessiond.tui.tools.code_base import NEWS_S, SEARCHES, CodeBase, Row, Search
from stui_sessiond.tui.tools.code_lists import Branch, CodeLists
from stui_sessiond.tui.tools.conflict_screen import Clash, ConflictScreen, Decision
from stui_sessiond.tui.widgets.completion import CompletingArea
from stui_sessiond.wire.forms import EventMessage
from stui_sessiond.wire.messages import development


class Browser(AskingTool[BrowserState]):
    """The image's code."""

    kind: ClassVar[str] = "browser"
    label: ClassVar[str] = "Classes"
    state_type: ClassVar[type[msgspec.Struct]] = BrowserState

    DEFAULT_CSS = """
    Browser CodeLists { height: 2fr; }
    Browser CompletingArea { height: 3fr; border-top: solid $panel; }
    Browser CompletingArea:focus { border-top: solid $primary; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search('classes')", "Find", key_display="/"),
        Binding("m", "search('implementors')", "Implementors"),
        Binding("s", "search('senders')", "Senders"),
        Binding("f", "search('references')", "References", show=False),
        Binding("t", "search('source')", "Text", show=False),
        Binding("h", "hierarchy", "Hierarchy"),
        Binding("c", "switch_side", "Side"),
        Binding("n", "new_method", "New"),
        Binding("d", "define", "Class"),
        Binding("delete", "remove", "Remove", show=False),
        Binding("ctrl+s", "compile", "Compile", priority=True),
        Binding("alt+z", "discard", "As in the image", show=False),
        Binding("r", "reread", "Read again", show=False),
    ]

    def __init__(self, tool_id: str, link: SessionLink, state: BrowserState, title: str) -> None:
        super().__init__(tool_id, link, state, title)
        self.code = CodeBase(link, tool_id)
        self.lists = CodeLists()
        self.source = CompletingArea(link, tool_id, id="source")
        self.method: Method | None = state.method
        """What the source shows."""
        self.base: str | None = None
        """The source that the one in the editor was made from; None for a new method."""
        self.lists.drafts = list(state.drafts)
        self._loading = False
        self.lists.is_class_side = state.method is not None and state.method.is_class_method

    def compose(self) -> ComposeResult:
        """Three lists above, the source below."""
        yield self.lists
        yield self.source
        yield self.status

    def on_mount(self) -> None:
        """List the packages, and go where the last terminal was."""
        self.source.read_only = True
        self.ask(self._begin(), "packages")

    @property
    def drafts(self) -> list[Draft]:
        """What is not compiled yet."""
        return self.lists.drafts

    @drafts.setter
    def drafts(self, drafts: list[Draft]) -> None:
        self.lists.drafts = drafts

    @property
    def class_info(self) -> development.BrowseClassResult | None:
        """The class that is shown."""
        return self.lists.info

    def focus_inside(self) -> None:
        """Put the cursor into the tree."""
        self.lists.packages.focus()

    def present_state(self) -> BrowserState:
        """Tell what has to be kept."""
        self._keep_draft()
        return BrowserState(self.method, self.drafts)

    def hear(self, item: EventMessage | Gap) -> None:
        """Tell when somebody else changed the class that is shown."""
        if isinstance(item, Gap) or item.event not in {"image.code_changed", "code_changed"}:
            return
        data = item.data if isinstance(item.data, dict) else {}
        here = self.class_info.class_info.name if self.class_info is not None else None
        if here is not None and data.get("class_name") == here:
            who = printable(str(data.get("client_id") or data.get("origin") or "somebody"))
            # the event may come before the answer that tells that the change was made here
            self.set_timer(NEWS_S, partial(self._news, str(data.get("change_id")), f"{here} was changed by {who}"))

    def _news(self, change_id: str, text: str) -> None:
        if change_id not in self.code.own_changes:
            self.say(f"{text}; r reads it again.")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to compile what was changed."""
        if action in {"compile", "discard"}:
            return self.is_changed
        if action in {"switch_side", "new_method", "hierarchy", "remove"}:
            return self.class_info is not None
        return super().check_action(action, parameters)

    # ---- packages and classes

    async def _begin(self) -> None:
        self.say("Reading the packages ...")
        packages = await self.code.packages()
        self.lists.show_packages(packages)
        self.say(f"{len(packages)} packages; / finds a class, enter unfolds")
        if self.method is not None:
            await self._go_to(self.method)

    def on_code_lists_wants_classes(self, wish: CodeLists.WantsClasses) -> None:
        """Ask for the classes of a package."""
        wish.stop()
        self.ask(self._unfold(wish.node, wish.package), f"package {wish.node.id}")

    async def _unfold(self, node: TreeNode[Branch], package: str) -> None:
        self.lists.show_classes(node, await self.code.classes(package))

    def on_code_lists_chose_class(self, event: CodeLists.ChoseClass) -> None:
        """Show a class."""
        event.stop()
        self._keep_draft()
        self.method = None
        self.ask(self._show_class(event.class_name), "class")

    async def _show_class(self, name: str) -> None:
        self.lists.show_class(await self.link.browse_class(name))
        self._show_definition()

    def on_code_lists_chose_method(self, event: CodeLists.ChoseMethod) -> None:
        """Show the source of a method."""
        event.stop()
        self._keep_draft()
        self.ask(self._show_method(event.method), "class")

    def on_code_lists_wants_source(self, event: CodeLists.WantsSource) -> None:
        """Go into the source."""
        event.stop()
        self.source.focus()

    # ---- the source

    def _load(self, text: str, *, read_only: bool) -> None:
        self._loading = True
        if self.source.text != text:  # what was compiled stays as it is, with the cursor where somebody goes on
            self.source.load_text(text)
        self.source.read_only = read_only
        self._loading = False
        self.refresh_bindings()
        self.changed()

    def _show_definition(self) -> None:
        info = self.class_info
        if info is None:
            return
        self.method = self.base = None
        one = info.class_info
        definition = one.definition if isinstance(one.definition, str) else f"{one.superclass} subclass: #{one.name}"
        comment = '"' + one.comment.replace('"', '""') + '"\n\n' if one.comment else ""
        self._load(comment + definition, read_only=True)
        side = "class" if self.lists.is_class_side else "instance"
        count = f"{len(self.lists.side)} {side} methods"
        self.say(f"{one.name}: {count}; n new method, d class, c other side")

    async def _show_method(self, method: Method) -> None:
        draft = find(self.drafts, method)
        source = await self.code.source(method)
        self.method = method
        self.base = source if draft is None else draft.base
        self._load(source if draft is None else draft.source, read_only=False)
        keys = "" if draft is None else "not compiled: ctrl+s compiles, alt+z takes it back"
        self.say(f"{method.title}  {printable(method.category or '')}", keys=keys)

    @property
    def is_changed(self) -> bool:
        """Whether there is something to compile."""
        return self.method is not None and not self.source.read_only and self.source.text != (self.base or "")

    def _keep_draft(self) -> None:
        """Keep what is not compiled yet, whatever is shown next."""
        if self.method is None:
            return
        if self.is_changed and (self.base is not None or self.source.text != template(self.method)):
            self.drafts = keep(self.drafts, Draft(self.method, self.source.text, self.base))
        else:
            self.drafts = drop(self.drafts, self.method)

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Save what is typed."""
        event.stop()
        if not self._loading:
            self.refresh_bindings()
            self.changed()

    def action_discard(self) -> None:
        """Show what the image has, without the change."""
        if self.method is not None:
            self.drafts = drop(self.drafts, self.method)
            self.source.replace(self.base or template(self.method), (0, 0), self.source.document.end)

    def action_reread(self) -> None:
        """Read the class and the method again."""
        self._keep_draft()
        if self.method is not None and self.method.selector:
            self.ask(self._go_to(self.method), "class")
        elif self.class_info is not None:
            self.ask(self._show_class(self.class_info.class_info.name), "class")
        else:
            self.ask(self._begin(), "packages")

    async def _go_to(self, method: Method) -> None:
        """Show a method, with the lists as if somebody had chosen it."""
        info = await self.link.browse_class(method.class_name)
        self.lists.is_class_side = method.is_class_method
        self.lists.show_class(info, method.selector)
        await self._reveal(info.class_info)
        if method.selector:
            await self._show_method(method)
        elif (draft := find(self.drafts, method)) is not None:
            self.method, self.base = draft.method, draft.base
            self._load(draft.source, read_only=False)
        else:
            self._show_definition()

    async def _reveal(self, one: development.ClassInfo) -> None:
        if one.package and self.lists.package_node(one.package) is None:  # it is newer than the list
            self.lists.show_packages(await self.code.packages())
        node = self.lists.package_node(one.package)
        if node is not None:
            if not self.lists.lists_class(node, one.name):
                node.remove_children()
                await self._unfold(node, one.package or "")
            self.lists.reveal(node, one.name)

    def action_switch_side(self) -> None:
        """Show the other side: the methods of the class itself, or those of its instances."""
        self._keep_draft()
        self.lists.is_class_side = not self.lists.is_class_side
        self.lists.show_class(self.class_info)
        self._show_definition()

    def action_new_method(self) -> None:
        """Begin a method in the protocol that is chosen."""
        if self.class_info is not None:
            self._keep_draft()
            self.method = Method(self.class_info.class_info.name, "", self.lists.is_class_side, self.lists.protocol)
            self.base = None
            self._load(template(self.method), read_only=False)
            self.source.focus()
            self.say(f"a new method of {self.method.title.partition('>>')[0]}: ctrl+s compiles it")

    # ---- compiling

    def action_compile(self) -> None:
        """Compile the source."""
        if self.is_changed:
            self.ask(self._compile(self.source.text, self.base), "compile")

    async def _compile(self, source: str, base: str | None) -> None:
        method = self.method
        if method is None:
            return
        self.say("Compiling ...")
        try:
            compiled = await self.code.compile(method, source, base)
        except CallFailedError as error:
            self._refused(error, method, source)
            return
        self.problem = None
        self.drafts = drop(self.drafts, method)
        self.method, self.base = compiled, source
        await self._go_to(compiled)
        self.say(
            f"compiled {compiled.title}"
            + (
                f"; {method.selector} is there still"
                if base is not None and compiled.selector != method.selector
                else ""
            )
        )

    def _refused(self, error: CallFailedError, method: Method, source: str) -> None:
        problem = problem_of(error, source)
        self.fail(problem)
        if error.code == "code_conflict":
            clash = Clash.of(error, method.title, source)

            def decided(what: Decision | None) -> None:
                if what is not None:
                    self._decide(what, clash)

            self.app.push_screen(ConflictScreen(clash), decided)
        elif problem.place is not None:
            place = Place(problem.place.row, problem.place.column)
            self.source.mark((place, Place(place.row, place.column + 1)))
            self.source.move_cursor(place)

    def _decide(self, what: Decision, clash: Clash) -> None:
        """Go on from what the image has, with what the person decided."""
        self.base = clash.theirs
        self.source.replace(what.source, (0, 0), self.source.document.end)
        if what.compile:
            self.ask(self._compile(what.source, clash.theirs), "compile")
        else:
            self._keep_draft()
            self.say("This is what the image has.")

    # ---- classes

    def action_define(self) -> None:
        """Change the class at the cursor, or define another one."""
        info = self.class_info
        if info is None:
            self._form(ClassWish(package=self.lists.package), None)
            return
        name = info.class_info.name
        options = [
            ("new", "Define a new class"),
            ("below", f"Define a class below {name}"),
            ("change", f"Change {name}"),
        ]

        def chosen(what: str | None) -> None:
            if what == "change":
                one = info.class_info
                self._form(ClassWish.of(info), one.definition if isinstance(one.definition, str) else None)
            elif what is not None:
                above = name if what == "below" else "Object"
                self._form(ClassWish(superclass=above, package=self.lists.package), None)

        self.app.push_screen(Choose("Classes", options), chosen)

    def _form(self, wish: ClassWish, base: str | None) -> None:
        def answered(what: ClassWish | None) -> None:
            if what is not None:
                self.ask(self._define(what, base, wish), "define")

        self.app.push_screen(ClassForm(wish, "Class" if base is None else f"Change {wish.class_name}"), answered)

    async def _define(self, wish: ClassWish, base: str | None, before: ClassWish) -> None:
        try:
            name = await self.code.define(wish, base, before)
        except CallFailedError as error:
            if error.code != "code_conflict":
                raise
            self.fail(problem_of(error))
            self.say("The image has another definition of this class than you saw: look at it first.", Severity.WARNING)
            await self._show_class(wish.class_name)
            return
        await self._begin()
        await self._go_to(Method(name))
        self.say(f"defined {name}")

    def action_remove(self) -> None:
        """Ask whether the method, or else the class, is to be removed."""
        method, info = self.method, self.class_info
        if info is None:
            return
        kind, what = ("class", info.class_info.name)
        if method is not None and method.selector:
            kind, what = "method", method.title

        def answered(yes: bool | None) -> None:  # noqa: FBT001 -- the answer of a dialog
            if yes:
                self.ask(self._remove(), "remove")

        lines = [f"The {kind} is removed from the image.", "What it was is kept: see the image's code changes."]
        self.app.push_screen(Confirm(f"Remove {what}?", lines, dangerous=True), answered)

    async def _remove(self) -> None:
        method, info = self.method, self.class_info
        if method is not None and method.selector:
            await self.code.remove_method(method, self.base)
            self.drafts = drop(self.drafts, method)
            self.method = None
            await self._show_class(method.class_name)
            self.say(f"removed {method.title}")
        elif info is not None:
            one = info.class_info
            await self.code.remove_class(one)
            self.method = None
            self.lists.show_class(None)
            self._load("", read_only=True)
            await self._begin()
            self.say(f"removed {one.name}")

    def action_hierarchy(self) -> None:
        """Show what is above and below the class."""
        if self.class_info is not None:
            self.ask(self._hierarchy(self.class_info.class_info.name), "search")

    async def _hierarchy(self, name: str) -> None:
        found = await self.code.hierarchy(name)
        self._offer(f"Hierarchy of {name}", found.rows)

    # ---- searching

    def action_search(self, what: Search) -> None:
        """Ask for the words to search for."""
        here = self.class_info.class_info.name if what == "references" and self.class_info is not None else ""
        if what in {"implementors", "senders"} and self.method is not None:
            here = self.method.selector

        def answered(words: str | None) -> None:
            if words:
                self.ask(self._search(what, words), "search")

        self.app.push_screen(Ask(SEARCHES[what], here), answered)

    async def _search(self, what: Search, words: str) -> None:
        self.say(f"Searching {printable(words, 60)} ...")
        rows, total = await self.code.search(what, words)
        if not rows:
            self.say(f"Nothing found: {SEARCHES[what].lower()} {printable(words, 60)}")
            return
        more = f", {len(rows)} shown" if total > len(rows) else ""
        self.say(f"{total} found{more}")
        if what == "classes" and len(rows) == 1:
            self._go(rows[0])
            return
        self._offer(f"{SEARCHES[what]} {words} ({total}{more})", rows)

    def _offer(self, title: str, rows: list[Row]) -> None:
        def chosen(key: str | None) -> None:
            if key is not None:
                self._go(rows[int(key.removeprefix("row-"))])

        options = [(f"row-{number}", row.text) for number, row in enumerate(rows)]
        self.app.push_screen(Choose(title, options), chosen)

    def _go(self, row: Row) -> None:
        self._keep_draft()
        self.ask(self._go_to(row.method), "class")
        self.lists.methods.focus()
