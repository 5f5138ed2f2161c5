"""Where does a link of a page lead once the page is in the site? Pages keep the links that are right in the source tree."""

import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path

_LINK = re.compile(r"(!?)\[((?:[^\]\[]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)


def rewrite(text: str, source: str, place: str, places: Mapping[str, str], exists: Callable[[str], bool]) -> str:
    """Give a page's text with links that are right in the site. Code is left alone.

    A link to a file that is no page becomes its text and the file's name. One to a file that is not there stays as it
    is, and breaks the build.

    Args:
        text: the page.
        source: where it is in the source tree.
        place: where it is in the site.
        places: from places in the source tree to places in the site.
        exists: whether the source tree has a file or folder.
    """

    def moved(found: re.Match[str]) -> str:
        picture, words, target = found.groups()
        path, _, anchor = target.partition("#")
        if not path or "://" in target or target.startswith("mailto:"):
            return found.group()
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if there in places:
            relative = posixpath.relpath(places[there], posixpath.dirname(place) or ".")
            return f"{picture}[{words}]({relative}{'#' + anchor if anchor else ''})"
        if not exists(there):
            return found.group()
        return words if words.strip("`") == there else f"{words} (`{there}`)"

    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(moved, text[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*parts, _LINK.sub(moved, text[end:])])


def pages_of(root: Path) -> dict[str, str]:
    """List what becomes part of the site, from its place in the source tree to that in the site."""
    found = {path.relative_to(root).as_posix(): path.relative_to(root / "docs").as_posix() for path in _documents(root)}
    found |= {f"protocol/{path.name}": f"reference/protocol/{path.name}" for path in (root / "protocol").glob("*.md")}
    found["protocol"] = "reference/protocol/README.md"
    for name in ("pharo", "squeak_image", "amber_image"):
        found[f"examples/{name}/README.md"] = f"reference/images/{name.removesuffix('_image')}.md"
    for name in ("ARCHITECTURE.md", "CHANGELOG.md"):
        found[name] = f"project/{name.lower()}"
    found["README.md"] = "project/readme.md"
    found["benchmarks/README.md"] = "explanation/benchmarks.md"
    for path in (root / "benchmarks" / "results").glob("*.svg"):
        found[path.relative_to(root).as_posix()] = f"explanation/{path.name}"
    if (root / "benchmarks" / "results" / "soak.md").exists():
        found["benchmarks/results/soak.md"] = "explanation/soak.md"
    return found


def _documents(root: Path) -> list[Path]:
    docs = root / "docs"
    return [path for path in docs.rglob("*.*") if path.is_file() and (docs / "site") not in path.parents]
