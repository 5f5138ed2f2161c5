"""Which bytes does a request become, and what may be answered to them? Writing in both forms, tricks, damage."""

import json
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from stui_sessiond.testing.fuzz.source import Source, chance, pick
from stui_sessiond.testing.fuzz.values import Ref, Verbatim, any_json, plain, write
from stui_sessiond.testing.fuzz.wishes import Wish
from stui_sessiond.wire.forms import request_type

LookUp = Callable[[Ref], object]

HARMLESS: Final = ("shadow", "unknown", "space", "id_last", "beside")
"""Ways to write a request that change nothing: duplicate keys of which the last counts, unknown fields and the like."""

WRONG: Final = (
    "no_id",
    "number_id",
    "empty_id",
    "both_forms",
    "bad_version",
    "bad_type",
    "no_command",
    "list",
    "status",
)
"""Ways to write what is no request."""

BESIDE: Final = ("client_id", "session_id")
"""Parameters that older senders put beside `command`."""

PIECES: Final = (
    b"",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"]",
    b",",
    b"\n",
    b"\r",
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    rb"\ud83d",
    b"1e999",
    b"null",
    b"[" * 80,
    b"/**/",
)
PERMILLE: Final = 1000
MAX_OVERSIZE: Final = 16 * 1024 * 1024
"""A daemon with a higher limit is not sent messages beyond it."""


class Damage(Struct, frozen=True):
    """A change of the bytes: at a place (thousandths of the length) so many bytes are replaced."""

    place: int
    removed: int
    piece: bytes


class Ask(Struct, frozen=True):
    """A request and how it is written."""

    wish: Wish
    id_suffix: str = ""
    tricks: tuple[str, ...] = ()
    wrong: str | None = None
    damage: tuple[Damage, ...] = ()
    truncated: int | None = None
    """Thousandths of the bytes that are sent, if not all."""
    oversize: bool = False


class Garbage(Struct, frozen=True):
    """Bytes that were never a request."""

    data: bytes


Item = Ask | Garbage


class Sent(Struct, frozen=True):
    """A payload on its way, and what is known of its answer."""

    id: str
    data: bytes
    sure: bool
    """Whether it is a request, so that its answer has its id and its form."""
    wish: Wish | None
    envelope: bool | None

    def lines(self) -> int:
        """How many messages it is where messages are lines."""
        return sum(line not in (b"", b"\r") for line in self.data.split(b"\n"))


def an_ask(source: Source, wish: Wish, hostile_percent: int) -> Ask:
    """Choose how a request is written."""
    tricks = tuple(trick for trick in HARMLESS if chance(source, 8))
    suffix = pick(source, ("", "-é", "\U0001f600", " ", '"', "\x07", "x" * 300)) if chance(source, 10) else ""
    if not chance(source, hostile_percent):
        return Ask(wish, suffix, tricks)
    match source.below(5):
        case 0:
            return Ask(wish, suffix, tricks, wrong=pick(source, WRONG))
        case 1 | 2:
            damage = tuple(
                Damage(source.below(PERMILLE + 1), source.below(4), pick(source, PIECES))
                for _ in range(1 + source.below(3))
            )
            return Ask(wish, suffix, tricks, damage=damage)
        case 3:
            return Ask(wish, suffix, tricks, truncated=source.below(PERMILLE))
        case _:
            return Ask(wish, suffix, tricks, oversize=chance(source, 10))


def garbage(source: Source) -> Garbage:
    """Make bytes that are no request."""
    match source.below(4):
        case 0:
            return Garbage(
                pick(source, (b"nonsense", b"{}", b"[]", b"null", b'""', b"0", b" ", b"\x00", b"{", b"\xff"))
            )
        case 1:
            return Garbage(bytes(source.below(256) for _ in range(source.below(40))))
        case 2:
            return Garbage(b"[" * (1 + source.below(100_000)))
        case _:
            return Garbage(write(any_json(source), lambda _: None).encode("utf-8", "replace"))


def render(item: Item, serial: int, look_up: LookUp, limit_bytes: int) -> Sent:
    """Write an item; `limit_bytes` is the longest message the other side takes."""
    request_id = f"q{serial}"
    if isinstance(item, Garbage):
        return Sent(request_id, item.data, sure=False, wish=None, envelope=None)
    wish = item.wish
    request_id += item.id_suffix
    text = write(_message(item, request_id), look_up)
    if "space" in item.tricks:
        text = f" {text}\t\r"
    data = text.encode("utf-8", "replace")
    for damage in item.damage:
        place = damage.place * len(data) // PERMILLE
        data = data[:place] + damage.piece + data[place + damage.removed :]
    if item.truncated is not None:
        data = data[: item.truncated * len(data) // PERMILLE]
    if item.oversize and limit_bytes <= MAX_OVERSIZE:
        data = data[:-1] + b" " * (limit_bytes + 1 - len(data)) + b"}"
    touched = item.wrong or item.damage or item.truncated is not None or item.oversize
    sure = not touched and plain(wish.parameters) and len(data) <= limit_bytes
    return Sent(request_id, data, sure=sure, wish=wish, envelope=wish.envelope)


def _message(ask: Ask, request_id: str) -> dict[str, Any]:
    wish = ask.wish
    parameters = dict(wish.parameters)
    body: dict[str, Any] = {}
    if wish.envelope:
        data: dict[str, Any] = {"request_type": request_type(wish.command), "params": parameters}
        body["version"] = "1.0.0"
        body["payload"] = {"type": "Request", "data": data}
    else:
        if "beside" in ask.tricks:
            body |= {name: parameters.pop(name) for name in BESIDE if isinstance(parameters.get(name), Ref)}
        body["command"] = wish.command
        body["parameters"] = parameters
    if "unknown" in ask.tricks:
        body["unknown"] = {"command": "ping", "x": [None, 1.5]}
    _spoil(ask.wrong, wish, body)
    if ask.wrong == "list":
        return {"id": request_id, "x": [body]}
    given: dict[str, Any] = {} if ask.wrong == "no_id" else {"id": request_id}
    if ask.wrong in {"number_id", "empty_id"}:
        given = {"id": 7 if ask.wrong == "number_id" else ""}
    if "id_last" in ask.tricks:
        return {**body, **given}
    if "shadow" in ask.tricks:  # a key twice: the last one counts
        return {"x": Verbatim('1,"id":"shadowed","timestamp":0', doubtful=False), **given, **body}
    return {**given, **body}


def _spoil(wrong: str | None, wish: Wish, body: dict[str, Any]) -> None:
    match wrong:
        case "both_forms":
            body |= {"command": wish.command, "payload": {"type": "Request", "data": {"request_type": "Ping"}}}
        case "bad_version":
            body["version"] = "2.0.0"
        case "bad_type":
            body["payload"] = {"type": "Response", "data": {"request_type": "Ping"}}
        case "no_command":
            body.pop("command", None)
            body.pop("payload", None)
        case "status":
            body.clear()
            body |= {"status": "success", "result": {}}
        case _:
            pass


def is_json(data: bytes) -> bool:
    """Tell whether a transcript can say the same: JSON as its writer would write it."""
    try:
        found = json.loads(data)
    except ValueError:
        return False
    again = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"{{" not in data and again == data
