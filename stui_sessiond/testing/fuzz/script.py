"""What is said in one conversation, from beginning to end? Data: it can be played again, and made smaller."""

from typing import Final

from msgspec import Struct

from stui_sessiond.testing.fuzz.payload import PERMILLE, Ask, Item, an_ask, garbage
from stui_sessiond.testing.fuzz.source import Source, chance, pick
from stui_sessiond.testing.fuzz.values import Ref
from stui_sessiond.testing.fuzz.wishes import Book, Wish

MAX_BATCHES: Final = 12
MAX_ITEMS: Final = 8

BAD_FRAMES: Final = ("binary", "reserved", "rsv", "unmasked", "orphan", "long_ping", "odd_close", "bad_utf8", "nested")
"""Frames that fail a WebSocket connection."""

MOVES: Final = ("answer", "late", "error", "wrong", "twice", "stranger", "noise", "odd_text", "event", "hang_up")
"""How the fuzzer's own image answers a request."""


class Batch(Struct, frozen=True):
    """Messages that leave together, cut at these places (thousandths) into several writes."""

    items: tuple[Item, ...]
    cuts: tuple[int, ...] = ()
    fragments: int = 0
    """Over WebSocket: how many frames each message is cut into beyond the first."""


class Reconnect(Struct, frozen=True):
    """These are sent, and the connection is cut off at once; the next one may resume it."""

    items: tuple[Item, ...]
    resume: bool


class BadFrame(Struct, frozen=True):
    """Over WebSocket, a frame that ends the connection; over lines nothing. A new connection follows."""

    kind: str


class HalfClose(Struct, frozen=True):
    """Over lines: the sending side is shut down after these; the last one has no LF. A new connection follows."""

    items: tuple[Item, ...]


Step = Batch | Reconnect | BadFrame | HalfClose


class Script(Struct, frozen=True):
    """A conversation. `role` is what its connections say hello as, None for none."""

    steps: tuple[Step, ...]
    role: str | None = None
    named: bool = False
    """Whether its connections say who they are."""
    moves: tuple[str, ...] = ("answer",)
    """What the fuzzer's own image does at its first, second ... request, over and over."""


def a_script(source: Source, book: Book, hostile_percent: int) -> Script:
    """Make a conversation."""
    role = pick(source, ("client", "client", None, "observer")) if chance(source, 60) else "client"
    moves = tuple(pick(source, MOVES) for _ in range(1 + source.below(6))) if chance(source, 70) else ("answer",)
    steps: list[Step] = []
    if not chance(source, 10):
        owner = {"client_id": Ref("client_id"), "image_id": Ref("image_id")}
        asks = [Ask(Wish("create_session", owner))] * (1 + source.below(2))
        if chance(source, 50):
            asks.append(Ask(Wish("subscribe", {"session_id": Ref("session_id")})))
        steps += [Batch((ask,)) for ask in asks]
    steps += [_step(source, book, hostile_percent) for _ in range(1 + source.below(MAX_BATCHES))]
    return Script(tuple(steps), role, named=chance(source, 60), moves=moves)


def _step(source: Source, book: Book, hostile_percent: int) -> Step:
    items = _items(source, book, hostile_percent)
    if not chance(source, 6):
        cuts = tuple(sorted(source.below(PERMILLE) for _ in range(source.below(5)))) if chance(source, 30) else ()
        return Batch(items, cuts, source.below(4) if chance(source, 20) else 0)
    match source.below(3):
        case 0:
            return Reconnect(items, resume=chance(source, 70))
        case 1:
            return BadFrame(pick(source, BAD_FRAMES))
        case _:
            return HalfClose(items)


def _items(source: Source, book: Book, hostile_percent: int) -> tuple[Item, ...]:
    made: list[Item] = []
    for _ in range(1 + source.below(MAX_ITEMS)):
        if chance(source, hostile_percent // 4):
            made.append(garbage(source))
        else:
            among = book.every if chance(source, 5) else book.built
            made.append(an_ask(source, book.wish(source, among, hostile_percent), hostile_percent // 2))
    return tuple(made)
