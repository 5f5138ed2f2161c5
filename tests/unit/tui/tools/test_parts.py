"""The parts of tools that need no screen: what was evaluated, lines that are kept, differences, snippets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.tui.tools.difference import Change, compare, written
from stui_sessiond.tui.tools.line_ring import MAX_LINE_CHARS, LineRing
from stui_sessiond.tui.tools.recall import MAX_ENTRIES, Recall
from stui_sessiond.tui.tools.snippets import Snippets, check_name


def test_recall_goes_back_and_forth() -> None:
    """Older and newer go through what was noted, each once; at the ends there is nothing more."""
    recall = Recall()
    for code in ("a", "b", " ", "a"):
        recall.note(code)
    assert [recall.older(), recall.older(), recall.older()] == ["a", "b", None]
    assert [recall.newer(), recall.newer(), recall.newer()] == ["a", None, None]
    assert recall.older() == "a"


@given(st.lists(st.sampled_from(["n", "o", "N"]) | st.text("xy", min_size=1, max_size=3), max_size=60))
def test_recall_never_leaves_its_list(steps: list[str]) -> None:
    """Whatever is done, what is shown is an entry, and no entry is there twice."""
    recall = Recall()
    for step in steps:
        shown = None
        if step in {"o", "n"}:
            shown = recall.older() if step == "o" else recall.newer()
        else:
            recall.note(step)
        assert shown is None or shown in recall.entries
        assert len(set(recall.entries)) == len(recall.entries) <= MAX_ENTRIES


TEXTS = st.lists(st.text("ab\n\r", max_size=12), max_size=30)


@given(TEXTS, st.integers(1, 6), st.integers(1, 20))
def test_ring_keeps_the_end_of_the_stream(texts: list[str], max_lines: int, max_chars: int) -> None:
    """What is kept is the end of all lines written, within both bounds; the number of each line stays."""
    whole, ring = LineRing(10**6, 10**9), LineRing(max_lines, max_chars)
    gone = 0
    for text in texts:
        whole.write(text)
        gone += ring.write(text)
        assert len(ring) <= max_lines
        assert ring.chars == sum(map(len, ring))
        assert ring.chars <= max_chars or len(ring) == 1
        assert gone == ring.dropped
    # a line that was cut off while it was open goes on as a new one
    assert list(whole)[len(whole) - len(ring) + 1 :] == list(ring)[1:]


@given(TEXTS)
def test_ring_does_not_care_where_texts_are_cut(texts: list[str]) -> None:
    """The lines are the same however the stream was cut into texts; a CR LF that is cut is two ends."""
    clean = [text.replace("\r", "") for text in texts]
    one, many = LineRing(), LineRing()
    one.write("".join(clean))
    for text in clean:
        many.write(text)
    assert list(one) == list(many)


def test_ring_cuts_long_lines_and_finds_words() -> None:
    """A very long line becomes several; searching goes around the end."""
    ring = LineRing()
    ring.write("x" * (MAX_LINE_CHARS + 1) + "\nHello World\n")
    assert [len(line) for line in ring] == [MAX_LINE_CHARS, 1, 11]
    assert (ring.find("world", 0), ring.find("WORLD", 2, backwards=True), ring.find("no", 0)) == (2, 2, None)
    assert ring.window(1, 5) == ["x", "Hello World"]
    ring.clear()
    assert (len(ring), ring.dropped, ring.find("x", 0)) == (0, 3, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON)
def test_difference_gives_both_sides(old: Any, new: Any) -> None:  # noqa: ANN401 -- any JSON
    """What is marked as gone was there, what is marked as new is; equal states have no difference."""
    before, after = written(old), written(new)
    lines = compare(before, after)
    assert (lines == []) is (before == after)
    assert all(one.text in before for one in lines if one.change in {Change.GONE, Change.SAME})
    assert all(one.text in after for one in lines if one.change in {Change.NEW, Change.SAME})
    assert sum(one.change is Change.NEW for one in lines) - sum(one.change is Change.GONE for one in lines) == len(
        after
    ) - len(before)


def test_difference_shows_lines_of_texts() -> None:
    """A text of several lines is compared by its lines, not as one."""
    lines = compare(written({"code": "a\nb\nc"}), written({"code": "a\nB\nc"}))
    assert [(one.change.value, one.text.strip()) for one in lines if one.change is not Change.SAME] == [
        ("-", "b"),
        ("+", "B"),
    ]


def test_snippets_live_in_a_folder(tmp_path: Path) -> None:
    """A snippet is a file; it is saved, listed, loaded, renamed and deleted, and never overwritten by renaming."""
    snippets = Snippets(tmp_path / "snippets")
    assert snippets.names() == []
    snippets.save("counter", "c := Counter new\n")
    snippets.save("Array é", "#(1)")
    assert snippets.names() == ["Array é", "counter"]
    snippets.save("counter", "c := 3")
    assert snippets.load("counter") == "c := 3"
    with pytest.raises(FileExistsError):
        snippets.save("counter", "x", replace=False)
    with pytest.raises(FileExistsError):
        snippets.rename("counter", "Array é")
    snippets.rename("counter", "c")
    snippets.delete("Array é")
    assert snippets.names() == ["c"]
    assert [one.name for one in snippets.folder.iterdir()] == ["c.st"]


@given(st.text(max_size=120))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    """A name that is accepted is one file in the folder."""
    if check_name(name) is None:
        assert Path("folder", f"{name}.st").name == f"{name}.st"
        assert name.isprintable()


@pytest.mark.parametrize("name", ["", " a", "../a", "a/b", ".hidden", "a\n", "x" * 101, 'a"b'])
def test_bad_names_are_refused(name: str, tmp_path: Path) -> None:
    """A name that is none is refused with what is wrong."""
    assert check_name(name)
    with pytest.raises(ValueError, match="name"):
        Snippets(tmp_path).save(name, "x")
