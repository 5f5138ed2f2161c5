"""What does the base image of Pharo have, in which versions?

`base_image.txt` is a list of facts, one a line: `Class>>selector` or `Class class>>selector`, or `*>>selector` for
"some class", or `Class` alone, with the versions that have it. The facts come from the sources of Pharo (the branches
`Pharo8.0` to `Pharo13` of `pharo-project/pharo` on GitHub); `write_facts.py` reads them there. A method that only says
that it is deprecated counts as absent.
"""

from __future__ import annotations

from pathlib import Path

VERSIONS = frozenset({8, 9, 10, 11, 12, 13})
FILE = Path(__file__).with_name("base_image.txt")


class BaseImage:
    """The facts that are known, by question."""

    def __init__(self, lines: list[str]) -> None:
        self._versions: dict[str, frozenset[int]] = {}
        for line in lines:
            if line.strip() and not line.startswith("#"):
                question, _, versions = line.partition("\t")
                self._versions[question] = frozenset(int(each) for each in versions.split())

    @classmethod
    def read(cls) -> BaseImage:
        """The facts in the file."""
        return cls(FILE.read_text(encoding="utf-8").splitlines())

    def versions(self, question: str) -> frozenset[int]:
        """In which versions it is so; none when the list does not have it."""
        return self._versions.get(question, frozenset())

    def knows_class(self, name: str) -> bool:
        """Whether some version has a class or global of this name."""
        return bool(self.versions(name))
