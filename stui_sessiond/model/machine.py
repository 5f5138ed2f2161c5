"""What is a declared state machine: who is who, what may they do, what do they see? Pure.

`read` makes one of the JSON that a client declares, and says where it is wrong. Members that are not known are refused
and not ignored: a guard that is misspelt would guard nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NoReturn

import msgspec

from stui_sessiond.model import guard
from stui_sessiond.model.pointer import Path, PatternError, parse, written
from stui_sessiond.model.view import View

MAX_BYTES = 64 * 1024
"""Of the whole declaration, as JSON. It is kept with the session and compiled again when it is needed."""

MAX_TRANSITIONS = 64
MAX_ROLES = 32
MAX_VIEWS = 16
"""Views: what a change means for each is stored with its event."""

MAX_LISTED = 64
"""Names or pointers in one list."""

Share = Literal["owner", "editor", "viewer", "none"]


class MachineError(Exception):
    """The declaration is wrong at `place`, a JSON Pointer into it."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place or 'the machine'}: {reason}")
        self.place = place
        self.reason = reason


class Who(msgspec.Struct, frozen=True):
    """Somebody who asks: what he is known by. `client_id` is None for an observer and who did not name himself."""

    client_id: str | None
    share: Share
    token: str | None
    """The name of his token."""


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has a role: any of these."""

    clients: list[str] = []
    tokens: list[str] = []
    shares: list[Literal["owner", "editor", "viewer"]] = []


class _Transition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    may_change: list[str]
    from_: list[str] | str | None = msgspec.field(name="from", default=None)
    to: list[str] | str | None = None
    who: list[str] | None = None
    guard: Any = True
    doc: str | None = None


class _View(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    roles: list[str] | None = None
    hide: list[str] | None = None
    show: list[str] | None = None


class _Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    schema: dict[str, Any]
    initial: dict[str, Any]
    transitions: list[_Transition]
    name: str | None = None
    doc: str | None = None
    status: str | None = None
    roles: dict[str, Role] = {}
    views: list[_View] = []
    revert: list[str] = []


class Transition(msgspec.Struct, frozen=True):
    """One change that is allowed."""

    name: str
    may_change: Sequence[Path]
    source: Sequence[str] | None
    """The statuses it leads from; None: any."""
    target: Sequence[str] | None
    """Those it leads to; None: the status stays."""
    who: Sequence[str] | None
    """The roles that may; None: every editor, and the owner."""
    guard: Any


class Machine(msgspec.Struct, frozen=True):
    """A machine that was read."""

    name: str | None
    schema: dict[str, Any]
    initial: dict[str, Any]
    status: Path | None
    transitions: Mapping[str, Transition]
    roles: Mapping[str, Role]
    views: Sequence[tuple[frozenset[str] | None, View]]
    """The roles that each is for, in order: the first that fits is the one. None: everybody."""
    revert: frozenset[str]

    def roles_of(self, who: Who) -> list[str]:
        """The roles that somebody has, in order of their names."""
        return sorted(
            name
            for name, role in self.roles.items()
            if who.client_id in role.clients or who.token in role.tokens or who.share in role.shares
        )

    def view_of(self, who: Who, roles: Sequence[str]) -> View | None:
        """What somebody with these roles sees; None: everything.

        Without a view for him the owner sees everything, and others see nothing if there are views at all.
        """
        for wanted, view in self.views:
            if wanted is None or not wanted.isdisjoint(roles):
                return None if view.kind == "hide" and not view.patterns else view
        return NOTHING if self.views and who.share != "owner" else None

    def status_of(self, state: dict[str, Any]) -> str | None:
        """The status; None without one, or where it is no text."""
        found: Any = state
        for part in self.status or ():
            if not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        return found if self.status is not None and isinstance(found, str) else None

    def allowed(self, state: dict[str, Any], who: Who, roles: Sequence[str]) -> list[str]:
        """The transitions that lead on from here and are for somebody; whether a guard holds depends on the change."""
        status = self.status_of(state)
        return [
            each.name
            for each in self.transitions.values()
            if (each.source is None or status in each.source) and may(each, who, roles)
        ]


NOTHING: Final = View("", "show", ())
"""For whom no view is meant."""


def may(transition: Transition, who: Who, roles: Sequence[str]) -> bool:
    """Tell whether a transition is for somebody."""
    if transition.who is None:
        return who.share in {"editor", "owner"}
    return any(role in transition.who for role in roles)


_convert: Callable[[object], _Machine] = msgspec.json.Decoder(_Machine).decode  # type: ignore[assignment]


def read(text: str) -> Machine:
    """Read a declaration, written as JSON. Its schema is not looked at here.

    Raises:
        MachineError: it is none.
    """
    if len(text.encode()) > MAX_BYTES:
        msg = f"a machine has at most {MAX_BYTES} bytes"
        _refuse("", msg)
    try:
        wish = _convert(text)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        _refuse(_pointer(place.removesuffix("`")), reason)
    names = _Names(frozenset(wish.roles))
    if len(wish.roles) > MAX_ROLES:
        _many("/roles", MAX_ROLES)
    for name, role in wish.roles.items():
        for kind in ("clients", "tokens", "shares"):
            names.bounded(getattr(role, kind), written(("roles", name, kind)))
    status = None if wish.status is None else names.pattern(wish.status, "/status")
    if status is not None and (not status or "*" in status):
        _refuse("/status", "it names one member of the state")
    return Machine(
        name=wish.name,
        schema=wish.schema,
        initial=wish.initial,
        status=status,
        transitions=_transitions(wish, names),
        roles=wish.roles,
        views=_views(wish, names),
        revert=frozenset(names.roles(wish.revert, "/revert")),
    )


def _transitions(wish: _Machine, names: "_Names") -> dict[str, Transition]:
    if not wish.transitions:
        _refuse("/transitions", "there has to be one, or nothing could ever change")
    if len(wish.transitions) > MAX_TRANSITIONS:
        _many("/transitions", MAX_TRANSITIONS)
    found: dict[str, Transition] = {}
    for index, each in enumerate(wish.transitions):
        place = f"/transitions/{index}"
        names.new(each.name, found, f"{place}/name")
        if wish.status is None and (each.from_ is not None or each.to is not None):
            _refuse(place, "`from` and `to` are about the status: say where it is with `status`")
        try:
            guard.check(each.guard)
        except guard.GuardError as error:
            _refuse(f"{place}/guard{error.place}", error.reason)
        found[each.name] = Transition(
            each.name,
            names.patterns(each.may_change, f"{place}/may_change"),
            names.statuses(each.from_, f"{place}/from"),
            names.statuses(each.to, f"{place}/to"),
            None if each.who is None else names.roles(each.who, f"{place}/who"),
            each.guard,
        )
    return found


def _views(wish: _Machine, names: "_Names") -> list[tuple[frozenset[str] | None, View]]:
    if len(wish.views) > MAX_VIEWS:
        _many("/views", MAX_VIEWS)
    found: dict[str, tuple[frozenset[str] | None, View]] = {}
    for index, each in enumerate(wish.views):
        place = f"/views/{index}"
        names.new(each.name, found, f"{place}/name")
        if (each.hide is None) == (each.show is None):
            _refuse(place, "a view has either `hide` or `show`")
        patterns = names.patterns(each.hide if each.hide is not None else each.show or [], place)
        roles = None if each.roles is None else frozenset(names.roles(each.roles, f"{place}/roles"))
        found[each.name] = (roles, View(each.name, "show" if each.hide is None else "hide", patterns))
    return list(found.values())


class _Names:
    """Checks lists of names and pointers."""

    def __init__(self, roles: frozenset[str]) -> None:
        self._roles = roles

    def bounded(self, listed: Sequence[str], place: str) -> None:
        if len(listed) > MAX_LISTED:
            _many(place, MAX_LISTED)

    def new(self, name: str, known: Mapping[str, object], place: str) -> None:
        if not 0 < len(name) <= MAX_LISTED or not name.isprintable():
            msg = f"a name has 1 to {MAX_LISTED} printable characters"
            _refuse(place, msg)
        if name in known:
            msg = f"there are two of the name {name!r}"
            _refuse(place, msg)

    def roles(self, listed: Sequence[str], place: str) -> list[str]:
        self.bounded(listed, place)
        for index, name in enumerate(listed):
            if name not in self._roles:
                msg = f"there is no role {name[:100]!r} in `roles`"
                _refuse(f"{place}/{index}", msg)
        return list(listed)

    def statuses(self, listed: Sequence[str] | str | None, place: str) -> list[str] | None:
        if listed is None:
            return None
        listed = [listed] if isinstance(listed, str) else list(listed)
        self.bounded(listed, place)
        if not listed:
            _refuse(place, "it is empty: leave it out, or name a status")
        return listed

    def pattern(self, text: str, place: str) -> Path:
        try:
            return parse(text)
        except PatternError as error:
            _refuse(place, str(error))

    def patterns(self, listed: Sequence[str], place: str) -> list[Path]:
        self.bounded(listed, place)
        return [self.pattern(text, f"{place}/{index}") for index, text in enumerate(listed)]


def _many(place: str, most: int) -> NoReturn:
    _refuse(place, f"there are at most {most}")


def _refuse(place: str, reason: str) -> NoReturn:
    raise MachineError(place, reason) from None


def _pointer(place: str) -> str:
    """The place that a decoder names, `.transitions[0].who`, as a JSON Pointer."""
    return place.replace("[", "/").replace("]", "").replace(".", "/")
