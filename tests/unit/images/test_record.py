"""What is remembered of an image: within bounds, read back as written, doubts once."""

from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.images import record as records
from stui_sessiond.images.conflict import Claim, doubts, second_instance, share_changes
from stui_sessiond.images.record import MAX_CLEANUPS, MAX_CONNECTIONS, MAX_DOUBTS, Doubt, Identity, ImageRecord
from stui_sessiond.wire.messages.connection import ImageIdentity

NAMES = st.text(min_size=1, max_size=8)
STEPS = st.one_of(
    st.tuples(st.just("connect"), st.integers(0, 5)),
    st.tuples(st.just("disconnect"), st.integers(0, 5)),
    st.tuples(st.just("clean"), st.integers(0, 5)),
    st.tuples(st.just("doubt"), st.integers(0, 30)),
    st.tuples(st.just("reopen"), st.just(0)),
)


@given(st.lists(STEPS, max_size=120))
def test_record_after_anything_is_bounded_and_read_back_as_written(steps: list[tuple[str, int]]) -> None:
    """Whatever an image does, its record stays small, says whether it is there, and survives the disk."""
    record, now, highest = ImageRecord("pharo"), 1.0, 0
    for step, number in steps:
        now += 1
        if step == "connect":
            record = records.connect(record, Identity("pharo", f"i-{number}", generation=number), "here", now)
            highest = max(highest, number)
            assert record.gone_at is None
        elif step == "disconnect" and record.identity is not None:
            record = records.disconnect(record, "link_lost", now)
            assert record.gone_at == now
        elif step == "clean":
            record = records.clean(record, "ada", number, now)
        elif step == "doubt":
            record, _ = records.doubt(record, Doubt("second_instance", "x", now, f"i-{number}", "pharo"))
        elif step == "reopen":
            record = records.reopen(record, now)
            assert record.identity is None or record.gone_at is not None
            assert all(one.disconnected_at is not None for one in record.connections[-1:])
        assert record.highest_generation == highest
        assert len(record.connections) <= MAX_CONNECTIONS
        assert len(record.cleanups) <= MAX_CLEANUPS
        assert len(record.doubts) <= MAX_DOUBTS
        assert records.decode(records.encode(record)) == record


def test_record_of_an_image_that_was_there_when_the_daemon_ended_waits_anew() -> None:
    """Its grace begins with the next daemon; that of one that was gone before goes on."""
    here = records.connect(ImageRecord("pharo"), Identity("pharo", "i-1"), "a", 10.0)
    assert records.reopen(here, 99.0).gone_at == 99.0
    assert records.reopen(here, 99.0).connections[-1].reason == "daemon_ended"
    assert records.reopen(records.disconnect(here, "shutting_down", 20.0), 99.0).gone_at == 99.0
    assert records.reopen(records.disconnect(here, "link_lost", 20.0), 99.0).gone_at == 20.0
    assert records.reopen(ImageRecord("never"), 99.0).gone_at is None


def test_doubt_that_is_known_is_no_news() -> None:
    """An image that dials again and again is told of once; the time is that of the newest attempt."""
    record, news = records.doubt(ImageRecord("p"), Doubt("second_instance", "x", 1.0, "i-2", "p"))
    assert news
    record, news = records.doubt(record, Doubt("second_instance", "x", 2.0, "i-2", "p"))
    assert not news
    assert [one.at for one in record.doubts] == [2.0]


def test_doubts_are_settled_by_another_instance() -> None:
    """What was said of a second instance stays while the first one reconnects, and goes with the next instance."""
    record = records.connect(ImageRecord("p"), Identity("p", "i-1"), "a", 1.0)
    record, _ = records.doubt(record, Doubt("second_instance", "x", 2.0, "i-2", "p"))
    record, _ = records.doubt(record, Doubt("shared_changes_file", "x", 2.0, "i-9", "q"))
    same = records.connect(record, Identity("p", "i-1"), "a", 3.0)
    assert [one.kind for one in same.doubts] == ["second_instance"]
    assert records.connect(record, Identity("p", "i-3"), "a", 3.0).doubts == ()


def test_said_keeps_what_an_image_says_within_bounds() -> None:
    """An image that tells a novel of itself does not fill the disk."""
    long = ImageIdentity(
        "p", "i", name="n" * 9999, vm="v" * 9999, changes_file="c" * 99999, capabilities=["x" * 999] * 9999
    )
    assert len(records.encode(ImageRecord("p", records.said(long)))) < 80_000


def claim(image_id: str, *, file: str | None = "/a.changes", host: str | None = None, here: bool = False) -> Claim:
    """What an image says."""
    return Claim(Identity(image_id, f"i-{image_id}", changes_file=file, host=host, generation=1), here)


def test_changes_file_is_shared_only_on_one_machine() -> None:
    """The same name means the same file on the same host, or on this machine when one of them does not say its host."""
    assert share_changes(claim("a", host="h"), claim("b", host="h"))
    assert not share_changes(claim("a", host="h"), claim("b", host="g"))
    assert not share_changes(claim("a", host="h", here=True), claim("b", host="g", here=True))
    assert share_changes(claim("a", here=True), claim("b", host="g", here=True))
    assert not share_changes(claim("a"), claim("b"))
    assert not share_changes(claim("a", file=None, host="h"), claim("b", file=None, host="h"))
    assert not share_changes(claim("a", file="/b", host="h"), claim("b", host="h"))


@given(NAMES, st.integers(0, 9), st.integers(0, 9))
def test_doubts_about_a_generation_only_when_it_is_older(name: str, generation: int, highest: int) -> None:
    """The same generation, and a newer one, are as they should be."""
    found = doubts(Claim(Identity(name, "i", generation=generation)), highest, [], 1.0)
    assert [(about, one.kind) for about, one in found] == [(name, "older_generation")] * (generation < highest)


def test_doubts_about_a_shared_file_are_told_of_both() -> None:
    """Each of the two is told about the other; an image never shares with itself."""
    mine, other = claim("a", host="h"), claim("b", host="h")
    found = doubts(mine, 0, [mine, other], 1.0)
    assert [(about, one.image_id, one.instance_id) for about, one in found] == [("a", "b", "i-b"), ("b", "a", "i-a")]
    assert "i-2" in second_instance(Identity("a", "i-2"), Identity("a", "i-1"), 1.0).text
