"""What the segments of a journal tell: a torn write is no damage, damage is none, and nothing sound is lost."""

import pytest

from stui_sessiond.storage.journal import HEADER_BYTES, encode_header
from stui_sessiond.storage.recovery import Damage, Segment, Verdict, recover
from tests.unit.bed.journals import SALT, STORE, a_segment, broken, cut, payload, sessions

OTHER_SALT = bytes(range(16, 32))


def lsns(verdict: Verdict) -> list[int]:
    """The LSNs of the records that were found; each says what it should."""
    assert all(record.payload == payload(record.lsn) for record in verdict.records)
    return [record.lsn for record in verdict.records]


def is_sound(verdict: Verdict) -> bool:
    """Whether there is nothing to tell."""
    return not (verdict.torn or verdict.unfinished or verdict.damage or verdict.mended)


def test_journal_that_is_empty() -> None:
    """The next LSN is what the rest of the store says."""
    assert recover([], STORE, 17) == Verdict([], 17, {}, [], [], [])


def test_journal_that_is_sound() -> None:
    """All records, in order; seals are no changes and have numbers all the same."""
    one, two, three = a_segment(1, 3)[0], a_segment(4, 2, sealed=True)[0], a_segment(7, 1)[0]
    verdict = recover([one, two, three], STORE)
    assert (lsns(verdict), verdict.next_lsn, is_sound(verdict)) == ([1, 2, 3, 4, 5, 7], 8, True)
    assert recover([one, two, three], STORE, floor_lsn=50).next_lsn == 50


def test_last_segment_that_is_cut_anywhere() -> None:
    """Cut in a record, that record and what came after it is torn; nothing is damaged."""
    first = a_segment(1, 2)[0]
    segment, starts = a_segment(3, 4)
    for size in range(HEADER_BYTES + 1, len(segment.data)):
        verdict = recover([first, cut(segment, size)], STORE)
        whole = sum(start <= size for start in starts[1:])
        assert lsns(verdict) == list(range(1, 3 + whole))
        assert (verdict.next_lsn, verdict.damage) == (3 + whole, [])
        assert verdict.torn == ({} if size in starts else {segment.name: starts[whole]})
        assert verdict.unfinished == ([segment.name] if whole == 0 else [])


@pytest.mark.parametrize("size", [0, 1, HEADER_BYTES - 1, HEADER_BYTES])
def test_last_segment_without_a_record(size: int) -> None:
    """A segment that was only begun goes away: its name is needed again."""
    first, last = a_segment(1, 2)[0], a_segment(3, 1)[0]
    verdict = recover([first, cut(last, size)], STORE)
    assert (lsns(verdict), verdict.next_lsn) == ([1, 2], 3)
    assert (verdict.unfinished, verdict.damage, verdict.torn) == ([last.name], [], {})


def test_last_segment_of_zeros() -> None:
    """A header that never reached the disk is an unfinished segment."""
    first, last = a_segment(1, 2)[0], Segment(f"{3:016x}.journal", bytes(HEADER_BYTES))
    verdict = recover([first, last], STORE)
    assert (verdict.unfinished, verdict.damage) == ([last.name], [])


def test_torn_tail_behind_which_old_bytes_lie() -> None:
    """Bytes of another segment that the disk had there before prove nothing."""
    old, _ = a_segment(1, 6, salt=OTHER_SALT)
    new, starts = a_segment(1, 3)
    verdict = recover([Segment(new.name, new.data[: starts[2] + 5] + old.data[starts[2] + 5 :])], STORE)
    assert (lsns(verdict), verdict.damage, verdict.torn) == ([1, 2], [], {new.name: starts[2]})


def test_last_batch_that_was_written_out_of_order() -> None:
    """Records of one batch that no sync covered may be there without those before them: torn, not damaged."""
    segment, starts = a_segment(1, 5, durable=0)
    verdict = recover([broken(segment, starts[1] + 9)], STORE)
    assert (lsns(verdict), verdict.damage) == ([1], [])
    assert verdict.torn == {segment.name: starts[1]}


@pytest.mark.parametrize("place", [0, 4, 8, 12, 16, 24, 32, 40, 60])
@pytest.mark.parametrize("damaged", [1, 2, 4])
def test_record_that_was_acknowledged_and_is_damaged(damaged: int, place: int) -> None:
    """A later record says that it was durable: what is damaged is named, and what comes after it is there."""
    segment, starts = a_segment(1, 5)
    verdict = recover([broken(segment, starts[damaged - 1] + place)], STORE)
    assert lsns(verdict) == [lsn for lsn in range(1, 6) if lsn != damaged]
    assert verdict.next_lsn == 6
    (damage,) = verdict.damage
    assert (damage.name, damage.first_lsn, damage.next_lsn) == (segment.name, damaged, damaged + 1)
    assert damage.sessions in (sessions(damaged), frozenset())
    assert verdict.torn == {}


def test_last_record_that_is_damaged() -> None:
    """Nothing after it tells whether it was acknowledged: torn; with a seal after it: damaged."""
    segment, starts = a_segment(1, 3)
    verdict = recover([broken(segment, starts[2] + 50)], STORE)
    assert (lsns(verdict), verdict.damage, verdict.torn) == ([1, 2], [], {segment.name: starts[2]})
    sealed, starts = a_segment(1, 3, sealed=True)
    verdict = recover([broken(sealed, starts[2] + 50)], STORE)
    assert (lsns(verdict), verdict.next_lsn, verdict.torn) == ([1, 2], 5, {})
    assert verdict.damage == [Damage(sealed.name, 3, 4, sessions(3), "a record is damaged")]


def test_several_records_that_are_damaged() -> None:
    """Each hole is told by itself."""
    segment, starts = a_segment(1, 9)
    verdict = recover([broken(segment, starts[1] + 50, starts[2] + 50, starts[5] + 50)], STORE)
    assert lsns(verdict) == [1, 4, 5, 7, 8, 9]
    assert [(hole.first_lsn, hole.next_lsn, hole.sessions) for hole in verdict.damage] == [
        (2, 4, sessions(2, 3)),
        (6, 7, sessions(6)),
    ]


def test_earlier_segment_that_is_damaged_at_its_end() -> None:
    """A later segment proves that all of it was durable, whatever its records say."""
    one, starts = a_segment(1, 3, durable=0)
    two = a_segment(4, 2)[0]
    for segment in (broken(one, starts[2] + 50), cut(one, starts[3] - 1)):
        verdict = recover([segment, two], STORE)
        assert lsns(verdict) == [1, 2, 4, 5]
        (damage,) = verdict.damage
        assert (damage.name, damage.first_lsn, damage.next_lsn) == (one.name, 3, 4)
        assert damage.sessions == sessions(3)
        assert verdict.torn == {}


def test_earlier_segment_that_lacks_records_at_its_end() -> None:
    """Cut between two records it looks sound: the next segment tells that some are missing."""
    one, starts = a_segment(1, 3)
    verdict = recover([cut(one, starts[2]), a_segment(4, 1)[0]], STORE)
    assert lsns(verdict) == [1, 2, 4]
    assert [(hole.first_lsn, hole.next_lsn) for hole in verdict.damage] == [(3, 4)]


def test_segment_that_is_missing() -> None:
    """A gap is damage, unless everything in it is known to be in the files."""
    one, three = a_segment(1, 2)[0], a_segment(6, 2)[0]
    verdict = recover([one, three], STORE)
    assert lsns(verdict) == [1, 2, 6, 7]
    assert [(hole.name, hole.first_lsn, hole.next_lsn) for hole in verdict.damage] == [("", 3, 6)]
    assert is_sound(recover([one, three], STORE, covered_lsn=5))
    assert not is_sound(recover([one, three], STORE, covered_lsn=4))
    assert is_sound(recover([three], STORE))  # the ones before it were freed


def test_segment_of_another_store() -> None:
    """It is not ours, whatever is in it."""
    one, foreign = a_segment(1, 2)[0], a_segment(3, 2, store=SALT)[0]
    verdict = recover([one, foreign], STORE)
    assert lsns(verdict) == [1, 2]
    assert [(hole.name, hole.sessions, hole.reason) for hole in verdict.damage] == [
        (foreign.name, frozenset(), "it belongs to another store")
    ]


@pytest.mark.parametrize("place", [*range(12), 58, 63])
@pytest.mark.parametrize("last", [False, True])
def test_header_that_is_mended(place: int, last: bool) -> None:
    """Damage in magic, checksum or padding is made up for by the records behind it: nothing is lost."""
    segment = broken(a_segment(1, 3)[0], place)
    verdict = recover([segment] if last else [segment, a_segment(4, 1)[0]], STORE)
    assert lsns(verdict) == ([1, 2, 3] if last else [1, 2, 3, 4])
    assert (verdict.mended, verdict.damage) == ([segment.name], [])


@pytest.mark.parametrize("place", range(12, 56))
def test_header_whose_content_is_damaged(place: int) -> None:
    """The records know the checksum it had: they prove what it said."""
    segment = broken(a_segment(1, 3)[0], place)
    verdict = recover([segment, a_segment(4, 1)[0]], STORE)
    assert lsns(verdict) == [1, 2, 3, 4]
    assert (verdict.mended, verdict.damage) == ([segment.name], [])


def test_header_and_first_record_that_are_damaged() -> None:
    """Then the segment is lost, and every session that is named in it is told."""
    segment, starts = a_segment(1, 3)
    verdict = recover([broken(segment, 20, starts[0] + 50), a_segment(4, 1)[0]], STORE)
    assert lsns(verdict) == [4]
    (damage,) = verdict.damage
    assert (damage.name, damage.next_lsn, damage.sessions) == (segment.name, 4, sessions(1, 2, 3))
    assert damage.reason.startswith("its header")


def test_segment_that_is_cut_in_its_header() -> None:
    """In the midst of others it is damage; so is a header that is not known here."""
    one, two, three = a_segment(1, 2)[0], a_segment(3, 2)[0], a_segment(5, 1)[0]
    for broken_two in (cut(two, 30), cut(two, 0)):
        verdict = recover([one, broken_two, three], STORE)
        assert lsns(verdict) == [1, 2, 5]
        assert two.name in {hole.name for hole in verdict.damage}
        assert min(hole.first_lsn for hole in verdict.damage) == 3
        assert max(hole.next_lsn for hole in verdict.damage) == 5


def test_records_of_one_segment_under_the_header_of_another() -> None:
    """The seed keeps them apart."""
    header, _ = encode_header(STORE, OTHER_SALT, 1)
    segment, _ = a_segment(1, 3)
    verdict = recover([Segment(segment.name, header + segment.data[HEADER_BYTES:])], STORE)
    assert lsns(verdict) == []
    assert verdict.torn == {segment.name: HEADER_BYTES}
    assert verdict.unfinished == [segment.name]
