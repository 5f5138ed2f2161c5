"""Which classes and methods are in a folder of Tonel files?

The grammar is tree-sitter's, written by others, for Tonel and the Smalltalk in it. Here its trees become the few things
that the checks ask for. A file that does not follow the grammar raises `NotTonel`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import tree_sitter_tonel_smalltalk
from tree_sitter import Language, Node, Parser

LANGUAGE = cast("Language", tree_sitter_tonel_smalltalk.language())  # its types say that it is a capsule
SENDS = {"unary_message", "binary_message", "keyword_message"}
CASCADED = {"cascaded_unary_message", "cascaded_binary_message", "cascaded_keyword_message"}


class NotTonel(Exception):  # noqa: N818 -- it says what the text is
    """A file does not follow the grammar; the text says where."""


def text_of(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, in the order of the text."""
    yield node
    for child in node.children:
        yield from walk(child)


@dataclass(frozen=True)
class Send:
    """A message send: to what, which, where."""

    receiver: Node
    selector: str
    arguments: list[Node]
    line: int


@dataclass
class Method:
    """One method, as it is written."""

    class_name: str
    is_class_side: bool
    selector: str
    category: str
    arguments: list[str]
    body: Node
    source: str
    line: int

    @property
    def name(self) -> str:
        """As Smalltalk writes it."""
        return f"{self.class_name}{' class' if self.is_class_side else ''}>>{self.selector}"

    def sends(self) -> Iterator[Send]:
        """All message sends, those in blocks and cascades too."""
        for node in walk(self.body):
            if node.type in SENDS:
                yield self._send(node, node.named_children[0], node.named_children[1:])
            elif node.type == "cascade":
                first = node.named_children[0]
                receiver = first.named_children[0] if first.type in SENDS else first
                for part in node.named_children[1:]:
                    if part.type in CASCADED:
                        yield self._send(part, receiver, part.named_children)

    @staticmethod
    def _send(node: Node, receiver: Node, parts: list[Node]) -> Send:
        kinds = ("unary_identifier", "binary_operator", "keyword")
        selector = "".join(text_of(part) for part in parts if part.type in kinds)
        arguments = [part for part in parts if part.type not in kinds and part.type != "comment"]
        return Send(receiver, selector, arguments, node.start_point.row + 1)


@dataclass
class SmalltalkClass:
    """One class definition with its methods."""

    name: str
    superclass: str
    comment: str
    properties: dict[str, str | list[str]]
    path: Path
    methods: list[Method] = field(default_factory=list)

    def variables(self, kind: str) -> list[str]:
        """The names under `instVars`, `classVars` or `classInstVars`."""
        value = self.properties.get(kind, [])
        return value if isinstance(value, list) else [value]

    def selectors(self, *, class_side: bool) -> set[str]:
        """What the class itself implements on one side."""
        return {method.selector for method in self.methods if method.is_class_side == class_side}


def parse(source: bytes) -> Node:
    """The tree of a file.

    Raises:
        NotTonel: the text does not follow the grammar.
    """
    root = Parser(LANGUAGE).parse(source).root_node
    if root.has_error:
        wrong = next((node for node in walk(root) if node.type == "ERROR" or node.is_missing), root)
        line, column = wrong.start_point.row + 1, wrong.start_point.column + 1
        message = f"line {line}, column {column}: {text_of(wrong)[:60]!r}"
        raise NotTonel(message)
    return root


def read_class(path: Path) -> SmalltalkClass:
    """The class in a `.class.st` file.

    Raises:
        NotTonel: the file does not follow the grammar, or has no class.
    """
    source = path.read_bytes()
    try:
        root = parse(source)
    except NotTonel as error:
        message = f"{path.name}: {error}"
        raise NotTonel(message) from None
    definition = next((node for node in walk(root) if node.type == "class_definition"), None)
    if definition is None:
        message = f"{path.name}: there is no class in it"
        raise NotTonel(message)
    properties = _properties(next(node for node in definition.children if node.type == "ston_map"))
    comment = next((text_of(node) for node in root.children if node.type == "class_comment"), "")
    found = SmalltalkClass(
        _one(properties, "name"), _one(properties, "superclass"), comment.strip('"\n '), properties, path
    )
    found.methods = [_method(node) for node in root.children if node.type == "method_definition"]
    return found


def read_folder(folder: Path) -> dict[str, SmalltalkClass]:
    """All classes below a folder, by name."""
    classes = [read_class(path) for path in sorted(folder.rglob("*.class.st"))]
    return {each.name: each for each in classes}


def _one(properties: dict[str, str | list[str]], key: str) -> str:
    value = properties.get(key, "")
    return value if isinstance(value, str) else ""


def _properties(ston_map: Node) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for pair in ston_map.children:
        if pair.type == "ston_pair":
            key, value = [child for child in pair.named_children if child.type != "comment"][:2]
            found[_word(text_of(key))] = _value(value)
    return found


def _value(node: Node) -> str | list[str]:
    inner = node.named_children[0] if node.type == "ston_value" and node.named_children else node
    if inner.type == "ston_list":
        return [_word(text_of(child)) for child in inner.named_children]
    return _word(text_of(inner))


def _word(text: str) -> str:
    """`#Foo`, `#'Foo-Bar'` and `'foo'` as the plain name."""
    return text.strip().removeprefix("#").strip("'")


def _method(node: Node) -> Method:
    reference = next(child for child in node.children if child.type == "method_reference")
    metadata = next((child for child in node.children if child.type == "method_metadata"), None)
    body = next((child for child in node.children if child.type == "method_body"), reference)
    category = ""
    if metadata is not None:
        category = _one(_properties(next(c for c in metadata.children if c.type == "ston_map")), "category")
    head, _, pattern = text_of(reference).partition(">>")
    words = pattern.split()
    keywords = [word for word in words if word.endswith(":")]
    selector = "".join(keywords) or words[0]
    arguments = [word for word in words[(0 if keywords else 1) :] if not word.endswith(":")]
    return Method(
        class_name=head.split()[0],
        is_class_side="class" in head.split()[1:],
        selector=selector,
        category=category,
        arguments=arguments,
        body=body,
        source=text_of(node),
        line=node.start_point.row + 1,
    )


def string_value(node: Node) -> str:
    """The text of a string literal."""
    return ast.literal_eval(repr(text_of(node)[1:-1].replace("''", "'")))  # type: ignore[no-any-return]


def code_lines(method: Method) -> int:
    """How many lines the body has, without empty ones and the comment at its beginning."""
    body = method.source[method.source.index("[") + 1 : method.source.rindex("]")]
    body = re.sub(r'\A\s*"(?:[^"]|"")*"', "", body)
    return sum(1 for line in body.splitlines() if line.strip())
