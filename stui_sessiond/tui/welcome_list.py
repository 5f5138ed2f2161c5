"""What does the first screen offer, and how is each line written? Pure."""

import msgspec

from stui_sessiond.printable import printable
from stui_sessiond.tui.column import cut
from stui_sessiond.tui.connection import LOCAL_NAME, Connection, Connections
from stui_sessiond.tui.moment import ago

NAME_CHARS = 16
URL_CHARS = 27
RESULT_CHARS = 14
"""Together they fit into a line of 80; the details below have all of it."""

LocalState = bool | None
"""Whether this user's daemon runs; None while nobody has looked."""


class Line(msgspec.Struct, frozen=True):
    """One line: a heading without id, or something to choose."""

    text: str
    option: str | None = None


CONTINUE = "continue"
LOCAL = "local"
NEW = "new"


def welcome_lines(
    connections: Connections, local_url: str | None, running: LocalState, now: float, *, text_mode: bool = False
) -> list[Line]:
    """Tell what there is: the last session, this machine's daemon, favourites, what was used before."""
    lines: list[Line] = []
    last = connections.last()
    if last is not None:
        name = printable(last.session_name or "the last session", 40)
        where = LOCAL_NAME if last.url == local_url else printable(last.shown_name, 30)
        lines += [Line("Go on"), Line(f"  {name} on {where}{_used(last, now)}", CONTINUE)]
    if local_url is not None:
        lines += [Line("This machine"), Line(f"  {local_line(connections.find(local_url), running, now)}", LOCAL)]
    favourites = [one for one in connections.favourites() if one.url != local_url]
    recent = [one for one in connections.recent() if one.url != local_url]
    if favourites:
        lines.append(Line("Favourites"))
        lines += [Line(connection_line(one, now, text_mode=text_mode), one.url) for one in favourites]
    if recent:
        lines.append(Line("Recent"))
        lines += [Line(connection_line(one, now, text_mode=text_mode), one.url) for one in recent]
    return [*lines, Line("Elsewhere"), Line("  A new connection ...", NEW)]


def local_line(known: Connection | None, running: LocalState, now: float) -> str:
    """The line of this machine's daemon."""
    if running is None:
        return "looking for a daemon ..."
    if not running:
        return "- no daemon runs here; Enter starts one"
    return "* a daemon runs here" + (_used(known, now) if known is not None else ", not used before")


def connection_line(one: Connection, now: float, *, text_mode: bool = False) -> str:
    """The line of a connection: what it is called, where it is, when it was used last, and with what result."""
    used = "never used" if one.used_at is None else ago(max(0.0, now - one.used_at))
    mark = " " if one.result in {"", "connected"} else "!"
    if text_mode:
        return ", ".join(
            part for part in ("favourite" if one.favourite else "", one.name, one.url, used, one.result) if part
        )
    name = cut(one.name, NAME_CHARS) if one.name else cut(one.url, NAME_CHARS + URL_CHARS + 1)
    place = f"{name:<{NAME_CHARS}} {cut(one.url, URL_CHARS):<{URL_CHARS}}" if one.name else name
    return f"  {mark} {place:<{NAME_CHARS + URL_CHARS + 1}} {used:<10} {cut(one.result, RESULT_CHARS)}".rstrip()


def details(one: Connection | None, client_id: str) -> list[str]:
    """All that is known of a connection."""
    if one is None:
        return []
    proof = {"none": "no token", "environment": "token in $", "keyring": "token in the keyring: ", "file": "token in "}
    lines = [f"{printable(one.url)} as {printable(client_id)}, {proof[one.proof_from]}{printable(one.proof_at)}"]
    if one.result:
        lines.append(f"last time: {printable(one.result)}")
    if one.session_id is not None:
        lines.append(f"last session: {printable(one.session_name or one.session_id)}")
    return lines


def _used(one: Connection, now: float) -> str:
    return "" if one.used_at is None else f", used {ago(max(0.0, now - one.used_at))}"
