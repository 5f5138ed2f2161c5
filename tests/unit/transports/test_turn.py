"""Who writes when the present turn of the loop is over: everybody once, whatever becomes of the others."""

import asyncio

from stui_sessiond.transports.turn import PIPES_AT_ONCE, Turn


class Pen:
    """A pipe that only notes that it was told to write."""

    def __init__(self, journal: list[object], failure: Exception | None = None) -> None:
        self.journal = journal
        self.failure = failure
        self.aborted = False

    def write_turn(self) -> None:
        """Write."""
        if self.failure is not None:
            raise self.failure
        self.journal.append(self)

    def abort(self) -> None:
        """Be cut off."""
        self.aborted = True


async def test_turn_in_order() -> None:
    """All write in the order of asking, and not before the turn is over; later ones write in their own turn."""
    turn = Turn()
    journal: list[object] = []
    pens = [Pen(journal) for _ in range(3)]
    for pen in pens:
        turn.add(pen)
    assert journal == []
    await asyncio.sleep(0)
    assert journal == pens
    turn.add(pens[0])
    await asyncio.sleep(0)
    assert journal == [*pens, pens[0]]


async def test_turn_with_one_that_fails() -> None:
    """It is cut off, and the others write."""
    turn = Turn()
    journal: list[object] = []
    first, broken, last = Pen(journal), Pen(journal, RuntimeError("no")), Pen(journal)
    for pen in (first, broken, last):
        turn.add(pen)
    await asyncio.sleep(0)
    assert (journal, broken.aborted) == ([first, last], True)


async def test_turn_with_very_many() -> None:
    """The loop goes round between so many and the next ones."""
    turn = Turn()
    journal: list[object] = []
    for _ in range(PIPES_AT_ONCE + 1):
        turn.add(Pen(journal))
    asyncio.get_running_loop().call_soon(journal.append, "somebody else")
    await asyncio.sleep(0)
    assert len(journal) == PIPES_AT_ONCE + 1
    assert journal[-1] == "somebody else"
    await asyncio.sleep(0)
    assert len(journal) == PIPES_AT_ONCE + 2


async def test_turn_in_which_enough_pipes_wrote_at_once() -> None:
    """The next one has to wait; when the loop has gone round there is room for as many again."""
    turn = Turn()
    assert all(turn.spend() for _ in range(PIPES_AT_ONCE))
    assert not turn.spend()
    await asyncio.sleep(0)
    assert turn.spend()
