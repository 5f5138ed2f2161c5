"""What waits to be stored of a session, in which order, and what is lost."""

from hypothesis import given
from hypothesis import strategies as st

from stui_sessiond.model.event import News
from stui_sessiond.sessions.shelf import MAX_WAITING_NEWS, Fence, Newsbox


def put(box: Newsbox, *names: str) -> None:
    """Let something wait."""
    for name in names:
        box.put(News(name, {}, 0.0), 2)


def names(news: list[News]) -> list[str]:
    """What came out."""
    return [each.name for each in news]


def test_news_without_a_fence_is_taken_whole() -> None:
    """All of it is before what is stored with it."""
    box = Newsbox()
    put(box, "a", "b")
    before, behind = box.take(0.0)
    assert (names(before), behind, bool(box)) == (["a", "b"], [], False)


def test_news_behind_a_fence_waits_for_who_has_it() -> None:
    """Others take what is before it; its owner the rest, up to the next fence."""
    box = Newsbox()
    put(box, "a")
    own = box.fence()
    put(box, "b")
    other = box.fence()
    put(box, "c")
    assert [names(part) for part in box.take(0.0)] == [["a"], []]
    assert [names(part) for part in box.take(0.0)] == [[], []]
    assert [names(part) for part in box.take(0.0, own)] == [[], ["b"]]
    assert [names(part) for part in box.take(0.0, other)] == [[], ["c"]]
    assert not box


def test_fence_that_is_given_up() -> None:
    """What is behind it waits for nobody any more; it is down once."""
    box = Newsbox()
    own = box.fence()
    put(box, "a")
    assert box.lower(own)
    assert not box.lower(own)
    assert names(box.take(0.0)[0]) == ["a"]


def test_loss_is_told_at_the_end_of_all() -> None:
    """Not before a fence: there is more to come."""
    box = Newsbox()
    put(box, *["x"] * (MAX_WAITING_NEWS - 2))
    own = box.fence()
    put(box, "last", "lost", "lost")
    assert "gap" not in names(box.take(0.0)[0])
    behind = box.take(0.0, own)[1]
    assert names(behind) == ["last", "gap"]
    assert behind[-1].data["lost"] == 2
    put(box, "again")
    assert names(box.take(0.0)[0]) == ["again"]


@given(st.lists(st.sampled_from(["put", "fence", "take", "own", "lower"]), max_size=40))
def test_news_keeps_its_order(steps: list[str]) -> None:
    """Whoever takes, and whichever fences stand: nothing comes twice, nothing is left out, nothing overtakes."""
    box, fences, taken, count = Newsbox(), list[Fence](), list[str](), 0
    for step in steps:
        if step == "put":
            put(box, str(count))
            count += 1
        elif step == "fence":
            fences.append(box.fence())
        elif step == "take":
            taken += names(box.take(0.0)[0])
        elif fences and step == "own":
            before, behind = box.take(0.0, fences.pop(0))
            taken += names(before) + names(behind)
        elif fences:
            box.lower(fences.pop())
    for fence in fences:
        box.lower(fence)
    taken += names(box.take(0.0)[0])
    assert taken == [str(number) for number in range(count)]
    assert not box
