"""Write `base_image.txt` anew: `python -m tests.pharo.write_facts FOLDER`.

FOLDER has the sources of Pharo in `Pharo8.0`, `Pharo9.0`, `Pharo10`, ... , `Pharo13`, each a checkout of the branch of
that name. Only names and versions are written down.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tree_sitter import Node

from tests.pharo.checks import Package
from tests.pharo.facts import FILE, VERSIONS, BaseImage
from tests.pharo.tonel import NotTonel, parse, read_folder, text_of

PACKAGE = Path(__file__).resolve().parents[2] / "examples" / "pharo" / "src"
FOLDERS = {8: "Pharo8.0", 9: "Pharo9.0", 10: "Pharo10", 11: "Pharo11", 12: "Pharo12", 13: "Pharo13"}
CLASS_SIDE = ("Class", "ClassDescription", "Behavior", "Object", "ProtoObject")
GLOBALS = {"Smalltalk", "Processor", "Transcript", "Undeclared"}
HEAD = """\
# What the base image of Pharo has, as far as the package in examples/pharo uses it: see facts.py.
# Read in the sources of pharo-project/pharo, branches Pharo8.0 to Pharo13 (the last of October 2024).
# One fact a line: what, a tab, the versions that have it. Written by write_facts.py.
"""


@dataclass
class Version:
    """The classes and methods of one version."""

    superclasses: dict[str, str] = field(default_factory=dict)
    traits: dict[str, list[str]] = field(default_factory=dict)
    methods: dict[str, set[str]] = field(default_factory=dict)

    def understands(self, class_name: str, selector: str) -> bool:
        """Whether instances of a class (or the class, with ` class` after its name) do."""
        name, is_class = class_name.removesuffix(" class"), class_name.endswith(" class")
        suffix = " class" if is_class else ""
        while name in self.superclasses:
            owners = [name, *self.traits.get(name + suffix, [])]
            if any(selector in self.methods.get(each + suffix, ()) for each in owners):
                return True
            if is_class and any(selector in self.methods.get(each, ()) for each in self.traits.get(name + suffix, [])):
                return True
            name = self.superclasses[name]
        return is_class and any(selector in self.methods.get(each, ()) for each in CLASS_SIDE)

    def holds(self, question: str) -> bool:
        """Whether a fact is so in this version."""
        owner, arrow, selector = question.partition(">>")
        if not arrow:
            return owner in self.superclasses or owner in GLOBALS
        if owner == "*":
            return any(selector in each for name, each in self.methods.items() if "Test" not in name)
        return self.understands(owner, selector)


def read_version(folder: Path) -> Version:
    """All that the sources below a folder define."""
    version = Version()
    for path in folder.rglob("*.st"):
        if path.name != "package.st":
            _read_file(path, version)
    return version


def _read_file(path: Path, version: Version) -> None:
    source = path.read_bytes()
    text = source.decode("utf-8", "replace")
    head = re.search(r"^(Class|Trait) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    if head:
        name = _property(head[2], "name")
        version.superclasses[name] = _property(head[2], "superclass") or "nil"
        for key, suffix in (("traits", ""), ("classTraits", " class")):
            version.traits[name + suffix] = re.findall(r"\bT\w+", _property(head[2], key, quoted=True))
    try:
        root = parse(source)
    except NotTonel:
        return
    for owner, selector, body in _methods(root):
        if "deprecated:" not in body:
            version.methods.setdefault(owner, set()).add(selector)


def _property(text: str, key: str, *, quoted: bool = False) -> str:
    pattern = rf"#{key} : '([^']*)'" if quoted else rf"#{key} : #?'?(\w+)"
    found = re.search(pattern, text)
    return found[1] if found else ""


def _methods(root: Node) -> Iterator[tuple[str, str, str]]:
    for node in root.children:
        if node.type == "method_definition":
            reference = next(child for child in node.children if child.type == "method_reference")
            head, _, pattern = text_of(reference).partition(">>")
            owner = " class" if {"class", "classSide"} & set(head.split()[1:]) else ""
            words = pattern.split()
            selector = "".join(word for word in words if word.endswith(":")) or words[0]
            yield head.split()[0] + owner, selector, text_of(node)


def main(folder: Path) -> None:
    """Ask every version everything that the checks ask about the package."""
    versions = {number: read_version(folder / name) for number, name in FOLDERS.items()}
    known = {line for version in versions.values() for line in version.superclasses} | GLOBALS
    package = Package(
        read_folder(PACKAGE),
        BaseImage([f"{name}\t{' '.join(map(str, VERSIONS))}" for name in known]),
        by_version=frozenset(),
    )
    package.problems()
    lines = []
    for question in sorted(package.questions):
        held = [str(number) for number, version in versions.items() if version.holds(question)]
        if held:
            lines.append(f"{question}\t{' '.join(held)}\n")
    FILE.write_text(HEAD + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
