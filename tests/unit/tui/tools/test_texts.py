"""What tools show of what they were told, and what they keep: pure."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.client import CallFailedError
from stui_sessiond.tui.tools.browser_state import (
    MAX_DRAFT_CHARS,
    MAX_DRAFTS,
    Draft,
    Method,
    drop,
    find,
    keep,
    template,
)
from stui_sessiond.tui.tools.class_form import ClassWish
from stui_sessiond.tui.tools.code_base import hierarchy_rows
from stui_sessiond.tui.tools.conflict_screen import Clash
from stui_sessiond.tui.tools.debug_info import read_debug_info
from stui_sessiond.tui.tools.evaluation_text import duration_text, evaluation_details, evaluation_line, outcome, seconds
from stui_sessiond.tui.tools.object_label import Seen, first_line, path_text, repeated, variable_label
from stui_sessiond.tui.widgets.outcome_line import fitted
from stui_sessiond.wire.messages.code import GetHierarchyResult, SubclassInfo
from stui_sessiond.wire.messages.development import Variable
from stui_sessiond.wire.messages.evaluation import ListedEvaluation


def evaluation(**more: Any) -> ListedEvaluation:  # noqa: ANN401 -- fields of the row
    """A row of the list."""
    row: dict[str, Any] = {
        "evaluation": "e", "command": "evaluate", "status": "done", "client_id": "me", "tool_id": "w", "code": "3 + 4",
        "truncated": False, "accepted_at": "2026-11-20T11:14:04.618Z", "finished_at": None, "duration": 0.25,
        "has_error": False, "display": "7", "image_id": "i", "instance_id": "1",
    }  # fmt: skip
    return ListedEvaluation(**{**row, **more})


def test_line_of_an_evaluation() -> None:
    """What became of it is a mark and a word; for a screen reader it is a sentence."""
    row = evaluation(code="3 +\n  4")
    assert evaluation_line(row, 0).plain == "✔ done     250 ms  3 + 4  ⇒ 7"
    assert evaluation_line(row, 0, plain=True).plain == "done, 250 ms, 3 + 4, 7"
    waiting = evaluation(has_error=True, display="ZeroDivide: ", debugger_id="d")
    assert "a process waits" in evaluation_line(waiting, 0, plain=True).plain
    assert outcome(waiting) == ("✖", "error")
    assert outcome(evaluation(status="lost_with_image")) == ("✖", "lost")


def test_duration_of_what_runs_grows() -> None:
    """What is not over has lasted since it was accepted."""
    row = evaluation(status="running", duration=None, accepted_at="1970-01-01T00:01:00Z")
    assert seconds(row, 63.5) == 3.5
    assert (duration_text(3.5), duration_text(0.004), duration_text(600), duration_text(None).strip()) == (
        " 3.5 s",
        "  4 ms",
        "10 min",
        "-",
    )
    assert seconds(evaluation(status="lost_with_image", duration=None), 0) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_evaluation_obeys_a_terminal(code: str, display: str) -> None:
    """Whatever was evaluated and came of it, each line is printable."""
    row = evaluation(code=code, display=display)
    assert evaluation_line(row, 0).plain.isprintable()
    assert all(line.isprintable() for line in evaluation_details(row).plain.split("\n"))


def test_object_that_is_shown_above_is_known_again() -> None:
    """By hash and class; without a hash nobody can tell."""
    above = [Seen("Array", 1), Seen("Association", 2)]
    assert (repeated(above, Seen("Association", 2)), repeated(above, Seen("Array", 2))) == (1, None)
    assert repeated([Seen("Array", None)], Seen("Array", None)) is None


def test_labels_of_parts() -> None:
    """A part is its name and one line; a cycle says so."""
    assert variable_label("x", Variable("String", "'a\nb'")).plain == "x 'a ..."
    assert variable_label("x", Variable("Array", "...", cycle=True)).plain == "x ↻ again: Array, shown above"
    assert first_line("\x1b[2J") == "\\x1b[2J"
    assert path_text(("key", "1")) == "self → key → 1"


@given(
    st.dictionaries(
        st.sampled_from(["state", "stack", "frame", "locals", "outcome", "error", "more"]),
        st.none() | st.text(max_size=3) | st.integers() | st.lists(st.integers(), max_size=2)
        | st.dictionaries(st.sampled_from(["index", "class", "self"]), st.integers() | st.text(max_size=3), max_size=2),
    )
)  # fmt: skip
def test_any_debug_info_is_read(told: dict[str, Any]) -> None:
    """Whatever an image tells of a process, what is as it should be is shown."""
    info = read_debug_info(told)
    assert info.state == (told["state"] if isinstance(told.get("state"), str) else "suspended")
    assert info.stack == [] or "stack" in told


METHODS = st.builds(Method, st.sampled_from(["A", "B"]), st.sampled_from(["x", "y", ""]), st.booleans())


@given(st.lists(st.builds(Draft, METHODS, st.text(max_size=5), st.none()), max_size=30))
def test_drafts_are_kept_once_for_each_method(made: list[Draft]) -> None:
    """The newest of a method is found, until it is dropped."""
    drafts: list[Draft] = []
    for draft in made:
        drafts = keep(drafts, draft)
        assert find(drafts, draft.method) == draft
        assert len(drafts) <= MAX_DRAFTS
    for draft in made:
        drafts = drop(drafts, draft.method)
        assert find(drafts, draft.method) is None


def test_drafts_are_bounded() -> None:
    """Many or long ones give way, the oldest first; the newest stays however long it is."""
    drafts: list[Draft] = []
    for number in range(MAX_DRAFTS + 5):
        drafts = keep(drafts, Draft(Method("A", f"m{number}"), "x", None))
    assert [drafts[0].method.selector, len(drafts)] == ["m5", MAX_DRAFTS]
    drafts = keep(drafts, Draft(Method("A", "long"), "x" * (MAX_DRAFT_CHARS + 1), None))
    assert [one.method.selector for one in drafts] == ["long"]
    assert "'counting'" in template(Method("A", category="counting"))


def test_hierarchy_is_indented_below_its_superclasses() -> None:
    """Those above come first, the farthest to the left; those below follow theirs."""
    answer = GetHierarchyResult(["Object", "ProtoObject"], [SubclassInfo("B", "A"), SubclassInfo("C", "B")], 2)
    rows = hierarchy_rows("A", answer)
    assert [row.text for row in rows] == ["ProtoObject", "  Object", "    A  <", "      B", "        C"]
    assert rows[3].method == Method("B")


def test_clash_is_read_from_the_refusal() -> None:
    """What a refusal leaves out is nothing: theirs was removed, and there is no merge."""
    details = {"base": "a", "yours": "b", "present": None}
    error = CallFailedError("no", code="code_conflict", error_type="RuntimeError", retryable=False, details=details)
    assert Clash.of(error, "t", "mine") == Clash("t", "a", "b", "", None)


def test_wish_for_a_class_is_checked() -> None:
    """Names are names, and no variable is there twice."""
    assert ClassWish("Counter", instance_vars="a b").wrong is None
    for wish in (ClassWish("counter"), ClassWish(""), ClassWish("A", "object"), ClassWish("A", instance_vars="a 1"),
                 ClassWish("A", instance_vars="a", class_vars="a")):  # fmt: skip
        assert wish.wrong


def test_outcome_is_cut_but_not_its_keys() -> None:
    """However narrow the line is, the key that explains stays in sight."""
    assert fitted("short", "alt+e explains", 40) == "short  [alt+e explains]"
    assert fitted("a very long message", "alt+e explains", 28) == "a very lo…  [alt+e explains]"
    assert fitted("a very long message", "", 10) == "a very lo…"
    assert fitted("世界世界", "k", 9) == "世 …  [k]"
