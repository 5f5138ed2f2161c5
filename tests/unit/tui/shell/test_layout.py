"""What is shown when a draft and what is stored differ, and what the journal of drafts keeps."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from stui_sessiond.tui import draft_journal
from stui_sessiond.tui.draft_journal import DraftJournal
from stui_sessiond.tui.layout import LAYOUT_ID, Done, Draft, Kept, KeptTool, Layout, Stamp, choose, plan, unsaved_of

PAD = KeptTool("workspace-1", "workspace", "Workspace 1")
OTHER = KeptTool("workspace-2", "workspace", "Workspace 2")


def draft(text: str, number: int, *, base: Stamp | None = None, writer: str = "me", tool: KeptTool = PAD) -> Draft:
    """A draft of a workspace."""
    return Draft(tool.tool_id, {"text": text}, Stamp(writer, number), base, tool)


def kept(text: str, number: int, writer: str = "me") -> Kept:
    """What is stored of one."""
    return Kept({"text": text}, Stamp(writer, number))


def layout(*tools: KeptTool, opened: int = 2, writer: str = "me", number: int = 1) -> Kept:
    """A stored layout."""
    return Kept(msgspec.to_builtins(Layout(tools, opened=opened)), Stamp(writer, number))


def test_choice_between_draft_and_stored() -> None:
    """Newer of the same line wins; two that were made apart are both shown."""
    assert choose(None, draft("a", 1)) == "draft"
    assert choose(kept("a", 1, "they"), draft("b", 1, base=Stamp("they", 1))) == "draft"
    assert choose(kept("a", 2), draft("b", 1)) == "stored"
    assert choose(kept("a", 1), draft("b", 2)) == "draft"
    assert choose(kept("a", 2), draft("a", 2)) == "stored"
    assert choose(kept("same", 7, "they"), draft("same", 2)) == "stored"
    assert choose(kept("a", 8, "they"), draft("b", 1, base=Stamp("they", 7))) == "both"


def test_plan_opens_the_draft_in_the_place_of_the_stored_one() -> None:
    """A terminal that was killed: what it had typed is back, in its tab."""
    found = plan(layout(PAD, OTHER), {"workspace-1": kept("a", 1)}, {"workspace-1": draft("ab", 2)})
    assert [one.tool.tool_id for one in found.openings] == ["workspace-1", "workspace-2"]
    assert (found.openings[0].state, found.openings[0].unsaved) == ({"text": "ab"}, True)
    assert (found.recovered, found.beside) == (1, 0)


def test_plan_opens_both_where_others_changed_it() -> None:
    """Theirs stays in its tab; ours comes beside it under a name, and variables, that no tool had."""
    stored = {"workspace-1": kept("theirs", 9, "they")}
    found = plan(layout(PAD), stored, {"workspace-1": draft("ours", 2, base=Stamp("they", 8))})
    assert [(one.tool.tool_id, one.state) for one in found.openings] == [
        ("workspace-1", {"text": "theirs"}),
        ("workspace-3", {"text": "ours"}),
    ]
    assert (found.layout.opened, found.beside) == (3, 1)


def test_plan_opens_a_tool_that_only_the_draft_knows() -> None:
    """Opened, typed into, killed before the session had heard of it."""
    assert [one.tool for one in plan(None, {}, {"workspace-1": draft("a", 1)}).openings] == [PAD]


def test_plan_keeps_tools_of_both_layouts() -> None:
    """Somebody opened one elsewhere, we opened one here: both are there."""
    ours = Draft(LAYOUT_ID, msgspec.to_builtins(Layout((OTHER,), opened=5)), Stamp("me", 3), Stamp("they", 1))
    found = plan(layout(PAD, writer="they", number=2), {}, {LAYOUT_ID: ours})
    assert [tool.tool_id for tool in found.layout.tools] == ["workspace-1", "workspace-2"]
    assert found.layout.opened == 5


@given(
    some.lists(
        some.one_of(
            some.builds(draft, some.text(max_size=5), some.integers(1, 30)),
            some.builds(Done, some.just("workspace-1"), some.integers(1, 30)),
        ),
        max_size=20,
    )
)
def test_no_draft_is_lost_before_it_is_done(records: list[Draft | Done]) -> None:
    """The last draft is unsaved unless something later says that it, or a newer one, is stored."""
    last = max((place for place, one in enumerate(records) if isinstance(one, Draft)), default=None)
    left = unsaved_of(records)
    if last is None:
        assert left == {}
    else:
        newest = records[last]
        assert isinstance(newest, Draft)
        ended = any(isinstance(one, Done) and one.number >= newest.stamp.number for one in records[last:])
        assert left == ({} if ended else {"workspace-1": newest})


# ---- the journal


def test_journal_of_a_killed_writer_is_adopted(tmp_path: Path) -> None:
    """Held, it is left alone; let go of without an end, the next one has what was unsaved, and then it is gone."""
    first = DraftJournal(tmp_path, "session_1", "one")
    first.write([draft("a", 1), draft("x", 2, tool=OTHER)])
    first.done("workspace-2", 2)
    second = DraftJournal(tmp_path, "session_1", "two")
    assert second.adopt() == ([], [])
    assert first._stream is not None
    first._stream.close()  # as the system does when a process is killed
    assert second.adopt() == ([draft("a", 1)], [])
    second.write([draft("a", 1, writer="two")])
    second.settle()
    assert not first.path.exists()
    assert second.path.exists()
    second.done("workspace-1", 1)
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_draft_that_is_written_late_is_found_by_the_next_one(tmp_path: Path) -> None:
    """A thread that writes while its screen is closed holds no file afterwards, and what it wrote is there."""
    journal = DraftJournal(tmp_path, "s", "one")
    journal.close()
    journal.write([draft("a", 1)])
    reader = DraftJournal(tmp_path, "s", "two")
    assert reader.adopt() == ([draft("a", 1)], [])
    reader.close()


def test_torn_line_is_left_out_and_a_bad_one_is_kept_aside(tmp_path: Path) -> None:
    """What a power loss leaves of a last line is no error; damage in the middle is told, and nothing is thrown away."""
    journal = DraftJournal(tmp_path, "s", "one")
    journal.write([draft("a", 1)])
    journal.write([draft("b", 2)])
    assert journal._stream is not None
    journal._stream.close()
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-5])
    reader = DraftJournal(tmp_path, "s", "two")
    assert reader.adopt() == ([draft("a", 1)], [])
    reader.close()
    damaged = b"{nonsense\n" + whole
    journal.path.write_bytes(damaged)
    drafts, problems = reader.adopt()
    assert (drafts, len(problems)) == ([], 1)
    assert (tmp_path / f"{journal.path.name}.unreadable").read_bytes() == damaged
    reader.close()


def test_journal_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written over and over, it is as long as what is unsaved, and what is unsaved stays."""
    monkeypatch.setattr(draft_journal, "MAX_BYTES", 5_000)
    journal = DraftJournal(tmp_path, "s", "one")
    for number in range(1, 200):
        journal.write([draft("t" * 100, number)])
    assert journal.path.stat().st_size < 10_000
    assert journal._stream is not None
    journal._stream.close()
    reader = DraftJournal(tmp_path, "s", "two")
    assert reader.adopt()[0] == [draft("t" * 100, 199)]
    reader.close()


@given(some.binary(max_size=300))
def test_any_bytes_are_a_journal_or_a_problem(data: bytes) -> None:
    """Whatever is in a file of that name, it is read or told of, and never raises."""
    import tempfile  # noqa: PLC0415 -- hypothesis and fixtures of functions do not go together

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "s.x.drafts"
        path.write_bytes(data)
        journal = DraftJournal(Path(name), "s", "me")
        drafts, problems = journal.adopt()
        whole = data.split(b"\n")[:-1]
        assert bool(problems) == (not all(_is_line(text) for text in whole))
        assert drafts == [] or b'"draft"' in data
        journal.close()


def _is_line(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=draft_journal._Line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True
