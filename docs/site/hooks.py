"""What mkdocs is told beside mkdocs.yml: pages from elsewhere in the source tree, the reference, and links between them."""

import fnmatch
import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.site import reference
from docs.site.links import pages_of, rewrite

ROOT = Path(__file__).resolve().parents[2]
_PLACES = pages_of(ROOT)
_SOURCES = {place: source for source, place in _PLACES.items() if source != "protocol"}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add what is not in docs/, and complete the navigation: a `*folder/` in it is all pages there not named before."""
    for place, source in _SOURCES.items():
        if not source.startswith("docs/"):
            files.append(File.generated(config, place, content=(ROOT / source).read_bytes()))
    for place, text in _reference().items():
        files.append(File.generated(config, place, content=text))
    config.nav = _filled(config.nav or [], sorted(file.src_uri for file in files.documentation_pages()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Set links right."""
    del config, files
    place = page.file.src_uri
    if place not in _SOURCES:
        return markdown
    return rewrite(markdown, _SOURCES[place], place, _PLACES, lambda path: (ROOT / path).exists())


def _reference() -> dict[str, str]:
    folder = ROOT / "protocol"
    descriptors = [json.loads(path.read_bytes()) for path in sorted((folder / "commands").glob("*.json"))]
    errors = json.loads((folder / "errors.json").read_bytes())
    close_codes = json.loads((folder / "close-codes.json").read_bytes())
    return reference.pages(descriptors, errors["errors"] if isinstance(errors, dict) else errors, close_codes)


def _filled(nav: list[Any], places: list[str]) -> list[Any]:
    named = {each for each in _named(nav) if not each.startswith("*")}

    def below(pattern: str) -> list[str]:
        folder = pattern.removeprefix("*")
        return [each for each in places if fnmatch.fnmatch(each, f"{folder}*.md") and each not in named]

    def fill(item: Any) -> list[Any]:  # noqa: ANN401 -- what YAML holds
        if isinstance(item, str):
            return list(below(item)) if item.startswith("*") else [item]
        ((title, inner),) = item.items()
        if isinstance(inner, str) and not inner.startswith("*"):
            return [item]
        return [{title: [each for one in (inner if isinstance(inner, list) else [inner]) for each in fill(one)]}]

    return [each for item in nav for each in fill(item)]


def _named(nav: Any) -> list[str]:  # noqa: ANN401 -- what YAML holds
    if isinstance(nav, str):
        return [nav]
    return [name for each in (nav.values() if isinstance(nav, dict) else nav) for name in _named(each)]
