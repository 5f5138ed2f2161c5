"""What holds for every three-way merge of sources: nothing that one side did is lost, or it is told as a conflict."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stui_sessiond.model.source_merge import MAX_CHARS, MAX_LINES, Clash, Merge, merge_sources

LINES = st.lists(st.sampled_from(["", "a", "b", "\ta", "^ 1"]), max_size=8)
TEXTS = LINES.map("\n".join)


@settings(max_examples=500)
@given(TEXTS, TEXTS, TEXTS)
def test_merge_with_one_side_unchanged_gives_the_other(base: str, yours: str, present: str) -> None:
    """Who changed nothing has no say; equal changes are one."""
    assert merge_sources(base, yours, base) == Merge(yours)
    assert merge_sources(base, base, present) == Merge(present)
    assert merge_sources(base, yours, yours) == Merge(yours)


@settings(max_examples=500)
@given(TEXTS, TEXTS, TEXTS)
def test_merge_is_the_same_from_both_sides(base: str, yours: str, present: str) -> None:
    """Who comes first makes no difference to what comes of it, nor to what is told as a conflict."""
    one, other = merge_sources(base, yours, present), merge_sources(base, present, yours)
    assert one.text == other.text
    assert one.clashes == tuple(Clash(clash.base, clash.present, clash.yours) for clash in other.clashes)
    assert (one.text is None) == bool(one.clashes)


@settings(max_examples=500)
@given(st.data())
def test_merge_of_changes_in_different_places_has_both(data: st.DataObject) -> None:
    """Lines that are replaced, removed or put in between others, apart by a line that nobody touched, all arrive.

    The lines of a place stand nowhere else: where the same ones do, it is open which of them was changed.
    """
    kept = [f"kept {number}" for number in range(data.draw(st.integers(2, 8)))]
    base, yours, present, wanted = [], [], [], []
    for line in kept:
        old = data.draw(st.lists(st.sampled_from([f"x before {line}", f"y before {line}"]), max_size=2))
        new = data.draw(st.lists(st.sampled_from([f"x before {line}", f"z before {line}"]), max_size=2))
        mine = data.draw(st.booleans())
        base += [*old, line]
        yours += [*(new if mine else old), line]
        present += [*(old if mine else new), line]
        wanted += [*new, line]
    merged = merge_sources("\n".join(base), "\n".join(yours), "\n".join(present))
    assert merged == Merge("\n".join(wanted))


@settings(max_examples=500)
@given(TEXTS, TEXTS, TEXTS)
def test_merge_makes_up_no_line(base: str, yours: str, present: str) -> None:
    """Every line of what comes of it is a line of one of the texts; conflicts quote each text as it is."""
    merged = merge_sources(base, yours, present)
    if merged.text is not None:
        assert set(merged.text.split("\n")) <= {*base.split("\n"), *yours.split("\n"), *present.split("\n")}
    for clash in merged.clashes:
        assert clash.yours not in {clash.present, clash.base}
        assert clash.present != clash.base
        for quoted, text in ((clash.base, base), (clash.yours, yours), (clash.present, present)):
            assert "\n".join(quoted) in text


def test_merge_shows_what_both_changed() -> None:
    """The lines between two that nobody touched, as each side has them."""
    merged = merge_sources("next\n\t| a |\n\t^ 1\n", "next\n\t| a |\n\t^ 2\n", "next\n\t| a |\n\t^ 3\n")
    assert merged == Merge(None, (Clash(("\t^ 1",), ("\t^ 2",), ("\t^ 3",)),))


def test_merge_of_texts_that_are_too_long() -> None:
    """They are not compared; what need not be compared is answered all the same."""
    long = "x" * (MAX_CHARS + 1)
    assert merge_sources(long, "a", "b") == Merge(None)
    assert merge_sources(long, "a", long) == Merge("a")


def test_merge_looks_only_at_lines_between_differences() -> None:
    """So a long method with two changes near one another is merged, and one that differs everywhere is not."""
    far = [f"line {number}" for number in range(2000)]
    yours, present = [*far], [*far]
    yours[1000], present[1010] = "mine", "theirs"
    wanted = [*yours]
    wanted[1010] = "theirs"
    assert merge_sources("\n".join(far), "\n".join(yours), "\n".join(present)) == Merge("\n".join(wanted))
    everywhere = "\n".join(f"other {number}" for number in range(MAX_LINES + 1))
    assert merge_sources("\n".join(far), everywhere, "\n".join(present)) == Merge(None)
