"""What is wrong with Smalltalk that cannot be run here?

The checks find the mistakes that a compiler, or the first run, would find: names that nobody declares, messages that
nobody understands, variables that are never used. Where it can be seen what an object is (`self`, a class, what was
just made, a variable that only ever holds one kind of object), its own class has to understand the message, in every
version that is supported; elsewhere some class has to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from tests.pharo.facts import VERSIONS, BaseImage
from tests.pharo.tonel import Method, Send, SmalltalkClass, code_lines, text_of, walk

LONGEST_METHOD = 25
PSEUDO = {"self", "super", "thisContext", "nil", "true", "false"}
MAKES_INSTANCES = {"new", "basicNew", "current"}
GLOBAL_INSTANCES = {
    "Smalltalk": "SmalltalkImage",
    "Processor": "ProcessorScheduler",
    "Transcript": "ThreadSafeTranscript",
}


@dataclass(frozen=True)
class Kind:
    """What is known of an object: an instance of a class, or the class itself."""

    class_name: str
    is_class: bool = False

    def question(self, selector: str) -> str:
        """How the list of facts writes that it understands a message."""
        return f"{self.class_name}{' class' if self.is_class else ''}>>{selector}"


class Package:
    """Classes that belong together, with what is known of the image they are for."""

    def __init__(self, classes: dict[str, SmalltalkClass], image: BaseImage, *, by_version: frozenset[str]) -> None:
        """`by_version` names the classes that may use what only some versions have."""
        self.classes = classes
        self.image = image
        self.by_version = by_version
        self.implemented = {method.selector for each in classes.values() for method in each.methods}
        self._variable_kinds = {name: _variable_kinds(each, self) for name, each in classes.items()}
        self.questions: set[str] = set()

    def problems(self) -> list[str]:
        """All that is wrong, a sentence each."""
        return [problem for each in self.classes.values() for problem in self._of_class(each)]

    def methods(self) -> Iterator[Method]:
        """All methods of all classes."""
        for each in self.classes.values():
            yield from each.methods

    # classes

    def chain(self, name: str) -> Iterator[SmalltalkClass]:
        """A class of the package and those above it, as long as they are of the package."""
        while name in self.classes:
            yield self.classes[name]
            name = self.classes[name].superclass

    def base_of(self, name: str) -> str:
        """The first class above that comes with the image."""
        while name in self.classes:
            name = self.classes[name].superclass
        return name

    def variable_kinds(self, name: str) -> dict[str, Kind]:
        """What is known of the instance variables of a class."""
        found: dict[str, Kind] = {}
        for each in reversed(list(self.chain(name))):
            found |= self._variable_kinds[each.name]
        return found

    def understands(self, kind: Kind, selector: str) -> frozenset[int]:
        """In which versions such an object understands a message."""
        for each in self.chain(kind.class_name):
            if selector in each.selectors(class_side=kind.is_class):
                return VERSIONS
        question = Kind(self.base_of(kind.class_name), kind.is_class).question(selector)
        self.questions.add(question)
        return self.image.versions(question)

    def _has(self, question: str) -> frozenset[int]:
        self.questions.add(question)
        return self.image.versions(question)

    # checks

    def _of_class(self, found: SmalltalkClass) -> Iterator[str]:
        yield from _header(found)
        if found.superclass not in self.classes and not self._has(found.superclass):
            yield f"{found.name}: unknown superclass {found.superclass}"
        seen: set[tuple[bool, str]] = set()
        for method in found.methods:
            if method.class_name != found.name:
                yield f"{found.name}: has a method of {method.class_name}"
            if (method.is_class_side, method.selector) in seen:
                yield f"{method.name}: is there twice"
            seen.add((method.is_class_side, method.selector))
            yield from self._of_method(method)
        used = {text_of(node) for method in found.methods for node in walk(method.body) if node.type == "identifier"}
        below = {
            n for e in self.classes.values() if e.superclass == found.name for m in e.methods for n in _names(m.body)
        }
        for kind in ("instVars", "classVars", "classInstVars"):
            for name in found.variables(kind):
                if name not in used | below:
                    yield f"{found.name}: nobody uses the variable {name}"

    def _of_method(self, method: Method) -> Iterator[str]:
        if not method.category:
            yield f"{method.name}: has no protocol"
        if (lines := code_lines(method)) > LONGEST_METHOD:
            yield f"{method.name}: {lines} lines"
        yield from self._names_of(method)
        kinds = self.variable_kinds(method.class_name) | _local_kinds(method, self)
        for send in method.sends():
            if problem := self._wrong_with(send, method, kinds):
                yield f"{method.name}: line {send.line}: {problem}"

    def _names_of(self, method: Method) -> Iterator[str]:
        declared = self._declared(method)
        locals_: dict[str, int] = {}
        for node in walk(method.body):
            if node.type == "temporaries":
                locals_ |= {text_of(each): 0 for each in node.named_children if each.type == "identifier"}
            elif node.type == "block_argument":
                declared.add(text_of(node).lstrip(": "))
        for name in [*locals_, *method.arguments]:
            if name in self._instance_names(method):
                yield f"{method.name}: {name} hides an instance variable"
        for name in _names(method.body):
            locals_[name] = locals_.get(name, 0) + 1
            if name not in declared and name not in locals_.keys() - _undeclared(method):
                if name[0].isupper() and (name in self.classes or self._has(name)):
                    continue
                yield f"{method.name}: {name} is declared nowhere"
        for name in _never_read(method):
            yield f"{method.name}: the temporary {name} is never read"

    def _instance_names(self, method: Method) -> set[str]:
        kind = "classInstVars" if method.is_class_side else "instVars"
        return {name for each in self.chain(method.class_name) for name in each.variables(kind)}

    def _declared(self, method: Method) -> set[str]:
        shared = {name for each in self.chain(method.class_name) for name in each.variables("classVars")}
        return {*method.arguments, *PSEUDO} | self._instance_names(method) | shared

    def _wrong_with(self, send: Send, method: Method, kinds: dict[str, Kind]) -> str | None:
        if method.is_class_side and text_of(send.receiver) == "super new" and send.selector == "initialize":
            return "new sends initialize by itself"
        kind = kind_of(send.receiver, method, kinds, self)
        if kind is not None:
            versions, whose = self.understands(kind, send.selector), kind.question(send.selector)
            if send.receiver.type == "super":
                versions = self.understands(
                    Kind(self.classes[method.class_name].superclass, kind.is_class), send.selector
                )
        elif send.selector in self.implemented:
            return None
        else:
            versions, whose = self._has(f"*>>{send.selector}"), f"*>>{send.selector}"
        if not versions:
            return f"nobody understands {whose}"
        if versions != VERSIONS and method.class_name not in self.by_version:
            missing = ", ".join(str(each) for each in sorted(VERSIONS - versions))
            return f"{whose} is not in Pharo {missing}"
        return None


def kind_of(node: Node, method: Method, kinds: dict[str, Kind], package: Package) -> Kind | None:
    """What an expression gives, where it can be seen; None where it cannot."""
    name = text_of(node)
    if node.type in {"self", "super"}:
        return Kind(method.class_name, method.is_class_side)
    if node.type == "parenthesized_expression" and len(node.named_children) == 1:
        return kind_of(node.named_children[0], method, kinds, package)
    if node.type == "identifier":
        return _kind_of_name(name, kinds, package)
    if node.type in {"unary_message", "keyword_message"}:
        return _made_by(node, method, kinds, package)
    return None


def _kind_of_name(name: str, kinds: dict[str, Kind], package: Package) -> Kind | None:
    if name in GLOBAL_INSTANCES:
        return Kind(GLOBAL_INSTANCES[name])
    if name[0].isupper() and (name in package.classes or package.image.knows_class(name)):
        return Kind(name, is_class=True)
    return kinds.get(name)


def _made_by(node: Node, method: Method, kinds: dict[str, Kind], package: Package) -> Kind | None:
    """A new object: `Foo new`, or a class's own message in the protocol `instance creation`."""
    receiver = node.named_children[0]
    if receiver.type != "identifier":
        return None
    made_from = kind_of(receiver, method, kinds, package)
    if made_from is None or not made_from.is_class:
        return None
    parts = node.named_children[1:]
    selector = "".join(text_of(part) for part in parts if part.type in {"unary_identifier", "keyword"})
    if selector in MAKES_INSTANCES - ({"current"} if made_from.class_name not in package.classes else set()):
        return Kind(made_from.class_name)
    for each in package.chain(made_from.class_name):
        for made in each.methods:
            if made.is_class_side and made.selector == selector and made.category == "instance creation":
                return Kind(made_from.class_name)
    return None


def _assigned(body: Node) -> Iterator[tuple[str, Node]]:
    for node in walk(body):
        if node.type == "assignment":
            target, value = [child for child in node.named_children if child.type != "comment"][:2]
            yield text_of(target), value


def _variable_kinds(found: SmalltalkClass, package: Package) -> dict[str, Kind]:
    """Instance variables that only ever get one kind of object, or nil."""
    return _kinds_of(
        ((n, v, m) for m in found.methods for n, v in _assigned(m.body)), found.variables("instVars"), package
    )


def _local_kinds(method: Method, package: Package) -> dict[str, Kind]:
    names = [text_of(n) for t in walk(method.body) if t.type == "temporaries" for n in t.named_children]
    return _kinds_of(((name, value, method) for name, value in _assigned(method.body)), names, package)


def _kinds_of(assignments: Iterator[tuple[str, Node, Method]], names: list[str], package: Package) -> dict[str, Kind]:
    kinds: dict[str, set[Kind | None]] = {}
    for name, value, method in assignments:
        if name in names and value.type != "nil":
            kinds.setdefault(name, set()).add(kind_of(value, method, {}, package))
    only = {name: next(iter(each)) for name, each in kinds.items() if len(each) == 1}
    return {name: kind for name, kind in only.items() if kind is not None}


def _names(body: Node) -> Iterator[str]:
    """Every use of a name, in the order of the text; declarations are not uses."""
    for node in walk(body):
        if node.type == "identifier" and node.parent is not None and node.parent.type != "temporaries":
            yield text_of(node)


def _undeclared(method: Method) -> set[str]:
    """Names that are used without a declaration in the method."""
    declared = {text_of(n) for t in walk(method.body) if t.type == "temporaries" for n in t.named_children}
    return set(_names(method.body)) - declared


def _never_read(method: Method) -> Iterator[str]:
    read: set[str] = set()
    for node in walk(method.body):
        if node.type != "identifier" or node.parent is None:
            continue
        parent = node.parent
        is_target = parent.type == "assignment" and parent.named_children[0] == node
        if parent.type != "temporaries" and (
            not is_target or parent.parent is None or parent.parent.type != "statement"
        ):
            read.add(text_of(node))
    for node in walk(method.body):
        if node.type == "temporaries":
            yield from (text_of(each) for each in node.named_children if text_of(each) not in read)


def _header(found: SmalltalkClass) -> Iterator[str]:
    if found.path.name != f"{found.name}.class.st":
        yield f"{found.name}: is in the file {found.path.name}"
    for key in ("category", "package"):
        if not found.properties.get(key):
            yield f"{found.name}: has no #{key}"
    package, tag = found.properties.get("package"), found.properties.get("tag")
    if package != found.path.parent.name:
        yield f"{found.name}: is in the folder of {found.path.parent.name}, and says {package}"
    if found.properties.get("category") != (f"{package}-{tag}" if tag else package):
        yield f"{found.name}: #category does not say what #package and #tag say"
    if not found.comment:
        yield f"{found.name}: has no comment"
