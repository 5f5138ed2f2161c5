"""What is the smallest script that still goes wrong? Leaves out, again and again, whatever can be left out."""

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from msgspec.structs import replace

from stui_sessiond.testing.fuzz.payload import Ask, Item
from stui_sessiond.testing.fuzz.script import Batch, HalfClose, Reconnect, Script, Step
from stui_sessiond.testing.fuzz.tally import Failure

MAX_TRIES: Final = 300
MAX_S: Final = 60.0

Try = Callable[[Script], Awaitable[Failure | None]]


async def shrink(failure: Failure, play: Try) -> Failure:
    """Play smaller scripts as long as one of them ends with the same kind of failure; give the smallest.

    A failure that does not come again is given back as it is.
    """
    end = time.monotonic() + MAX_S
    tries = 0
    best = failure
    shrunk = True
    while shrunk and best.script is not None:
        shrunk = False
        for smaller in candidates(best.script):
            tries += 1
            if tries > MAX_TRIES or time.monotonic() > end:
                return best
            found = await play(smaller)
            if found is not None and found.kind == failure.kind:
                best, shrunk = replace(found, script=smaller, seed=failure.seed), True
                break
    return best


def candidates(script: Script) -> Iterator[Script]:
    """List scripts that are a little smaller, those first that leave out most."""
    steps = script.steps
    size = len(steps) // 2
    while size:
        for start in range(0, len(steps), size):
            yield replace(script, steps=steps[:start] + steps[start + size :])
        size //= 2
    for at, step in enumerate(steps):
        for smaller in _smaller_steps(step):
            yield replace(script, steps=(*steps[:at], smaller, *steps[at + 1 :]))
    if script.moves != ("answer",):
        yield replace(script, moves=("answer",))
        for move in script.moves:
            if len(script.moves) > 1:
                yield replace(script, moves=(move,))
    if script.named:
        yield replace(script, named=False)
    if script.role != "client":
        yield replace(script, role="client")


def _smaller_steps(step: Step) -> Iterator[Step]:
    if not isinstance(step, Batch | Reconnect | HalfClose):
        return
    items = step.items
    if len(items) > 1:
        for at in range(len(items)):
            yield replace(step, items=items[:at] + items[at + 1 :])
    if isinstance(step, Batch) and (step.cuts or step.fragments):
        yield replace(step, cuts=(), fragments=0)
    for at, item in enumerate(items):
        for smaller in _smaller_items(item):
            yield replace(step, items=(*items[:at], smaller, *items[at + 1 :]))


def _smaller_items(item: Item) -> Iterator[Item]:
    if not isinstance(item, Ask):
        if len(item.data) > 1:
            half = len(item.data) // 2
            yield replace(item, data=item.data[:half])
            yield replace(item, data=item.data[half:])
        return
    if item.tricks or item.id_suffix:
        yield replace(item, tricks=(), id_suffix="")
    for at in range(len(item.damage)):
        yield replace(item, damage=item.damage[:at] + item.damage[at + 1 :])
    if item.oversize:
        yield replace(item, oversize=False)
    wish = item.wish
    for name in wish.parameters:
        fewer = {key: value for key, value in wish.parameters.items() if key != name}
        yield replace(item, wish=replace(wish, parameters=fewer))
    if wish.envelope:
        yield replace(item, wish=replace(wish, envelope=False))
