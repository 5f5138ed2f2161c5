"""Which daemons does the user know, when was each used last, and what came of it? Pure but for the file at the end."""

import re
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from stui_sessiond.client import parse_url
from stui_sessiond.tui.stored_file import load_file, store_file

FILE_NAME = "connections.json"

MAX_RECENT = 50
"""Connections that are remembered beside the favourites; more than fit on two screens."""

MAX_POSITIONS = 200
"""Sessions of which it is known how far their events were seen."""

NAME_CHARS = 64
"""A name has to fit on a line of 80 beside the address."""

ProofSource = Literal["none", "environment", "keyring", "file"]

LOCAL_NAME = "this machine"


class Seen(msgspec.Struct, frozen=True):
    """How far the events of a session were seen, and when (seconds since 1970)."""

    epoch: str
    seq: int
    at: float


class Connection(msgspec.Struct, frozen=True, omit_defaults=True):
    """A daemon, as the user knows it. Where the token is, never the token. Times are seconds since 1970."""

    url: str
    name: str = ""
    client_id: str | None = None
    favourite: bool = False
    proof_from: ProofSource = "none"
    """Not where it is secret: which of the places is to be asked."""
    proof_at: str = ""
    """The variable, the entry of the keyring, or the file."""
    used_at: float | None = None
    result: str = ""
    """What came of the last use: `connected`, or why not."""
    session_id: str | None = None
    """The session that was open last."""
    session_name: str = ""

    @property
    def shown_name(self) -> str:
        """What people call it."""
        return self.name or self.url


class Connections(msgspec.Struct, frozen=True):
    """All of them, the one that was used last first."""

    known: tuple[Connection, ...] = ()
    seen: dict[str, Seen] = {}
    """By session."""

    def find(self, url: str) -> Connection | None:
        """The connection to an address."""
        return next((one for one in self.known if one.url == url), None)

    def last(self) -> Connection | None:
        """The one whose session is to be restored."""
        return next((one for one in self.known if one.session_id is not None), None)

    def favourites(self) -> list[Connection]:
        """Favourites, by name."""
        return sorted((one for one in self.known if one.favourite), key=lambda one: one.shown_name.casefold())

    def recent(self) -> list[Connection]:
        """The others, the one that was used last first."""
        return [one for one in self.known if not one.favourite]


def put(connections: Connections, changed: Connection, instead_of: str | None = None) -> Connections:
    """Add a connection, or put it in the place of the one with its address, or with another one."""
    gone = {changed.url, instead_of}
    others = [one for one in connections.known if one.url not in gone]
    known = sorted([changed, *others], key=lambda one: -(one.used_at or 0.0))
    recent = [one for one in known if not one.favourite][:MAX_RECENT]
    return replace(connections, known=tuple(one for one in known if one.favourite or one in recent))


def forget(connections: Connections, url: str) -> Connections:
    """Leave one out."""
    return replace(connections, known=tuple(one for one in connections.known if one.url != url))


def note_seen(connections: Connections, session_id: str, seen: Seen) -> Connections:
    """Remember how far the events of a session were seen."""
    marks = {**connections.seen, session_id: seen}
    newest = sorted(marks, key=lambda name: marks[name].at)[-MAX_POSITIONS:]
    return replace(connections, seen={name: marks[name] for name in newest})


# ---- what a person fills in


class Form(msgspec.Struct, frozen=True):
    """The fields of a form, as they were typed."""

    url: str = ""
    name: str = ""
    client_id: str = ""
    proof_from: ProofSource = "none"
    proof_at: str = ""
    favourite: bool = False


def form_of(connection: Connection) -> Form:
    """The form of a connection that is to be changed."""
    return Form(
        connection.url,
        connection.name,
        connection.client_id or "",
        connection.proof_from,
        connection.proof_at,
        connection.favourite,
    )


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check(form: Form) -> dict[str, str]:
    """Tell what is wrong, by field, in words that say what to do; empty when it can be used."""
    wrong: dict[str, str] = {}
    try:
        parse_url(form.url.strip())
    except ValueError:
        wrong["url"] = "wss://HOST:PORT/, tls:// or tcp://HOST:PORT, unix:///PATH"
    if len(form.name) > NAME_CHARS or not form.name.isprintable():
        wrong["name"] = f"At most {NAME_CHARS} letters, on one line"
    if form.client_id and not form.client_id.isprintable():
        wrong["client_id"] = "Letters without line breaks"
    place = form.proof_at.strip()
    if form.proof_from == "environment" and not _VARIABLE.fullmatch(place):
        wrong["proof_at"] = "The name of a variable, such as STUI_SESSIOND_TOKEN"
    if form.proof_from == "keyring" and not place:
        wrong["proof_at"] = "The user name under which `keyring set stui USER` put it"
    if form.proof_from == "file" and not place:
        wrong["proof_at"] = "The path of a file that only you can read"
    return wrong


def connection_of(form: Form, before: Connection | None = None) -> Connection:
    """The connection that a form without faults describes; what is remembered of `before` stays."""
    return replace(
        before or Connection(url=""),
        url=form.url.strip(),
        name=form.name.strip(),
        client_id=form.client_id.strip() or None,
        proof_from=form.proof_from,
        proof_at=form.proof_at.strip(),
        favourite=form.favourite,
    )


# ---- the file


def load_connections(folder: Path) -> tuple[Connections, str]:
    """Read them; also tell what was wrong with the file, if anything."""
    return load_file(folder / FILE_NAME, Connections, Connections())


def store_connections(folder: Path, connections: Connections) -> None:
    """Write them.

    Raises:
        OSError: they could not be written.
    """
    store_file(folder / FILE_NAME, connections)
