"""What does a class browser ask of the image? One method for each thing it shows or changes. Thin over the client.

Every method raises what `LastingClient.ask` raises.
"""

from collections import deque
from typing import Literal, NamedTuple

from msgspec import UNSET

from stui_sessiond.printable import printable
from stui_sessiond.tui.session_link import SessionLink
from stui_sessiond.tui.smalltalk.selector import selector_of
from stui_sessiond.tui.tools.browser_state import Method
from stui_sessiond.tui.tools.class_form import ClassWish
from stui_sessiond.wire.messages import code, development

MAX_FOUND = 200
"""Methods and classes that a search shows: more are searched again with other words."""

MAX_OWN_CHANGES = 100
"""Changes whose events may still be on their way."""

NEWS_S = 1.0
"""After the event of a change, before it is told: its own maker knows by then."""

Search = Literal["classes", "implementors", "senders", "references", "source"]
SEARCHES: dict[Search, str] = {
    "classes": "Classes with a name like",
    "implementors": "Methods called",
    "senders": "Methods that send",
    "references": "Methods that refer to the class",
    "source": "Methods whose source has in it",
}


class Row(NamedTuple):
    """A line of a list, and where it leads."""

    method: Method
    text: str


class Found(NamedTuple):
    """What a search gave."""

    rows: list[Row]
    total: int


class CodeBase:
    """The code of the session's image.

    Args:
        link: the session.
        tool_id: in whose name changes are made.
    """

    def __init__(self, link: SessionLink, tool_id: str) -> None:
        self.link = link
        self.tool_id = tool_id
        self.own_changes: deque[str] = deque(maxlen=MAX_OWN_CHANGES)
        """Ids of the changes made here: events about them are no news."""

    # ---- looking

    async def packages(self) -> list[code.PackageInfo]:
        """List the packages, by name."""
        answer = await self.link.client.list_packages(code.ListPackages(session_id=self.link.session_id))
        return sorted(answer.packages, key=lambda one: one.name.casefold())

    async def classes(self, package: str) -> list[str]:
        """List the classes of a package."""
        asked = development.ListClasses(package=package, session_id=self.link.session_id)
        return [one.name for one in (await self.link.client.list_classes(asked)).classes]

    async def source(self, method: Method) -> str:
        """Get the source of a method."""
        asked = development.GetMethod(
            class_name=method.class_name,
            method_name=method.selector,
            is_class_method=method.is_class_method,
            session_id=self.link.session_id,
        )
        return (await self.link.client.get_method(asked)).method.source

    async def search(self, what: Search, words: str) -> Found:
        """Find classes or methods."""
        if what == "classes":
            asked = development.ListClasses(pattern=words, limit=MAX_FOUND, session_id=self.link.session_id)
            answer = await self.link.client.list_classes(asked)
            rows = [Row(Method(one.name), f"{one.name}  {one.package or ''}") for one in answer.classes]
            return Found([Row(one.method, printable(one.text)) for one in rows], answer.total_count)
        sought = code.FindMethods(what=what, text=words, limit=MAX_FOUND, session_id=self.link.session_id)
        found = await self.link.client.find_methods(sought)
        places = [Method(one.class_name, one.selector, one.is_class_method, one.category) for one in found.methods]
        rows = [Row(one, printable(f"{one.title}  {one.category or ''}")) for one in places]
        return Found(rows, found.total_count)

    async def hierarchy(self, name: str) -> Found:
        """List what is above and below a class, indented."""
        asked = code.GetHierarchy(class_name=name, session_id=self.link.session_id)
        answer = await self.link.client.get_hierarchy(asked)
        return Found(hierarchy_rows(name, answer), answer.total_count)

    # ---- changing

    async def compile(self, method: Method, source: str, base: str | None) -> Method:
        """Compile a source, if the image still has the one it was made from; give the method it became."""
        renamed = selector_of(source) != method.selector
        asked = code.CompileMethod(
            class_name=method.class_name,
            source=source,
            is_class_method=method.is_class_method,
            category=method.category if method.category is not None else UNSET,
            base_source=UNSET if renamed or base is None else base,
            session_id=self.link.session_id,
            tool_id=self.tool_id,
        )
        answer = await self.link.client.compile_method(asked)
        self._note(answer.change_id)
        return Method(answer.class_name, answer.selector, answer.is_class_method, answer.category)

    async def define(self, wish: ClassWish, base: str | None, before: ClassWish) -> str:
        """Define a class, or change the one that was seen as `before` with the definition `base`; give its name.

        A new class never takes the place of one that is there.
        """
        asked = code.DefineClass(
            class_name=wish.class_name,
            superclass=wish.superclass,
            instance_vars=wish.instance_vars.split(),
            class_vars=wish.class_vars.split(),
            package=wish.package or UNSET,
            comment=UNSET if wish.comment == before.comment else wish.comment,
            base_definition="" if base is None or wish.class_name != before.class_name else base,
            session_id=self.link.session_id,
            tool_id=self.tool_id,
        )
        answer = await self.link.client.define_class(asked)
        self._note(answer.change_id)
        return answer.class_name

    async def remove_method(self, method: Method, base: str | None) -> None:
        """Remove a method, if it is still what was seen."""
        asked = code.RemoveMethod(
            class_name=method.class_name,
            method_name=method.selector,
            is_class_method=method.is_class_method,
            base_source=UNSET if base is None else base,
            session_id=self.link.session_id,
            tool_id=self.tool_id,
        )
        self._note((await self.link.client.remove_method(asked)).change_id)

    async def remove_class(self, one: development.ClassInfo) -> None:
        """Remove a class, if it is still what was seen."""
        asked = code.RemoveClass(
            class_name=one.name, base_definition=one.definition, session_id=self.link.session_id, tool_id=self.tool_id
        )
        self._note((await self.link.client.remove_class(asked)).change_id)

    def _note(self, change_id: object) -> None:
        if isinstance(change_id, str):
            self.own_changes.append(change_id)


def hierarchy_rows(name: str, answer: code.GetHierarchyResult) -> list[Row]:
    """Write a hierarchy as lines: those above, the class, those below, each indented below its superclass."""
    depth: dict[str, int] = {}
    rows: list[Row] = []
    for one in [*reversed(answer.superclasses), name]:
        depth[one] = len(depth)
        rows.append(Row(Method(one), f"{'  ' * depth[one]}{printable(one)}{'  <' if one == name else ''}"))
    for below in answer.subclasses[:MAX_FOUND]:
        depth[below.name] = depth.get(below.superclass, depth[name]) + 1
        rows.append(Row(Method(below.name), f"{'  ' * depth[below.name]}{printable(below.name)}"))
    return rows
