"""Does the site hold together? It is built as `make docs` does, strictly, and its reference names all there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from site_builder import reference
from site_builder.links import pages_of, rewrite
from stui_sessiond.cli import main as command_line
from tests.e2e.harness import ROOT

PLACES = {"docs/a.md": "a.md", "protocol/P.md": "reference/protocol/P.md", "benchmarks/x.svg": "explanation/x.svg"}


def build(into: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Build the site. With `--quiet` mkdocs does not count warnings, and `--strict` means nothing."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(into), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once."""
    into = tmp_path_factory.mktemp("site")
    done = build(into)
    assert done.returncode == 0, done.stdout + done.stderr
    return into


def test_site_names_all_there_is(site: Path) -> None:
    """Each command, error, close code, setting and each command of the program is in the reference."""
    pages = "".join(path.read_text("utf-8") for path in (site / "reference").glob("*.html"))
    missing = [name for name in reference.known_names() if name not in pages]
    assert missing == []
    assert [name for name in command_line.commands if f"stui-sessiond-{name}" not in pages] == []


def test_site_asks_nobody_else_for_anything(site: Path) -> None:
    """No font, script, style or picture comes from another server."""
    asked = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?(https?:)?//""")
    for path in site.rglob("*.html"):
        assert asked.search(path.read_text("utf-8")) is None, path
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert re.search(r"url\(['\"]?(?:https?:)?//", styles) is None


def test_site_with_a_broken_link_is_not_built(tmp_path: Path) -> None:
    """A link to a page that is not there fails the build, and is named."""
    copied = tmp_path / "docs"
    copied.mkdir()
    shutil.copy(ROOT / "docs" / "index.md", copied / "index.md")
    (copied / "index.md").write_text("[nowhere](how-to/no-such-page.md)\n", "utf-8")
    config = (ROOT / "mkdocs.yml").read_text("utf-8")
    config = config.partition("\nnav:")[0].replace("docs_dir: docs", f"docs_dir: {copied}")
    config = config.replace("hooks: [site_builder/hooks.py]\n", "")
    (tmp_path / "mkdocs.yml").write_text(config, "utf-8")
    done = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert done.returncode != 0
    assert "no-such-page.md" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("[x](../protocol/P.md#a)", "[x](reference/protocol/P.md#a)"),
        ("![x](../benchmarks/x.svg)", "![x](explanation/x.svg)"),
        ("[x](../examples/y.py)", "x (`examples/y.py`)"),
        ("[`examples/y.py`](../examples/y.py)", "`examples/y.py`"),
        ("[x](gone.md)", "[x](gone.md)"),
        ("[x](https://e.example/)", "[x](https://e.example/)"),
        ("```text\n[x](../protocol/P.md)\n```\n", "```text\n[x](../protocol/P.md)\n```\n"),
    ],
)
def test_links_of_a_page_lead_where_they_did(text: str, there: str) -> None:
    """A link that is right in the source tree is right in the site; a broken one stays broken."""
    assert rewrite(text, "docs/a.md", "a.md", PLACES, {"examples/y.py"}.__contains__) == there


def test_pages_of_the_tree_have_a_place_each() -> None:
    """No two files become the same page."""
    places = [place for source, place in pages_of(ROOT).items() if source != "protocol"]
    assert len(places) == len(set(places))
