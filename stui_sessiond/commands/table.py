"""Which commands are there, and who carries each out?

A command joins the table with its descriptor from `protocol/`; one that is not described there, or names no right,
cannot join.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from stui_sessiond.commands.tally import CommandTally
from stui_sessiond.contract import Contract, Descriptor
from stui_sessiond.ids import ConnectionId, SessionId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.model.request import Origin
from stui_sessiond.security.audit import Actor
from stui_sessiond.security.principal import Principal
from stui_sessiond.sessions.hub import Subscriber, Subscription, Topic
from stui_sessiond.wire.messages.connection import Hello

RIGHTS = frozenset({"connect", "session", "eval", "observe", "admin", "image"})
"""`connect`: everybody let in. `session`: sessions and contexts. `eval`: run code. `observe`: look at what the daemon
itself holds. `admin`: other people's things. `image`: be an image."""


class Caller(Subscriber, Protocol):
    """What a command may know of, and do to, the connection it came over."""

    @property
    def origin(self) -> Origin | None:
        """Where the answer to the present request is owed; read it before anything is awaited."""

    @property
    def actor(self) -> Actor:
        """Who it is, for the audit log."""

    @property
    def rights(self) -> frozenset[str]:
        """What it may do now."""

    @property
    def principal(self) -> Principal | None:
        """Who it is; None before it was let in."""

    @property
    def greeted(self) -> bool:
        """Whether it has said hello."""

    @property
    def once(self) -> bool:
        """Whether it is there for the present request alone."""

    @property
    def must_greet(self) -> bool:
        """Whether it has to say hello before anything else is answered."""

    def greet(
        self, hello: Hello, link: ImageLink | None, connection_id: ConnectionId, principal: Principal
    ) -> Sequence[str]:
        """Take up the role; `link` is set for an image.

        The answers that an earlier connection of this name is owed come over this one; tell the ids of their requests.
        """

    def claim(self) -> None:
        """Send the answers that were kept for an earlier connection of this name."""

    def send(self, message: bytes) -> None:
        """Send one message; never blocks."""

    def close(self, close_name: str) -> None:
        """End the connection, after what was sent before."""

    def refuse_later(self, close_name: str) -> None:
        """End the connection as soon as the answer to the present request is out."""

    @property
    def process_id(self) -> int | None:
        """Its process, where the system vouches for that."""

    @property
    def proof(self) -> str | None:
        """A token that came with the transport's own handshake."""

    @property
    def subscriptions(self) -> dict[SessionId, Subscription]:
        """Sessions this connection hears of."""

    @property
    def topics(self) -> set[Topic]:
        """Topics this connection hears of."""


class Followed(msgspec.Struct, frozen=True):
    """A result, and what is to happen as soon as it has been sent."""

    result: object
    then: Callable[[], None]


Handler = Callable[[Caller, Any], Any | Awaitable[Any]]
"""Takes the caller and the decoded parameters; gives the result, or a `Followed`. A coroutine function may wait."""


class Command(msgspec.Struct, frozen=True):
    """A command and who carries it out."""

    name: str
    parameters: type[Any]
    handle: Handler


class Entry(msgspec.Struct, frozen=True):
    """A command in the table; `handle` is None while it is only described."""

    descriptor: Descriptor
    command: Command | None
    relays: bool
    """Whether the answer may have to wait for an image."""
    tally: CommandTally


class CommandTable:
    """Every command of the contract, by name."""

    def __init__(self, contract: Contract, commands: Iterable[Command]) -> None:
        """Join handlers and descriptors.

        Raises:
            ValueError: a handler without a descriptor or a known right, or a built command without a handler.
        """
        built = {command.name: command for command in commands}
        self._entries = {
            name: Entry(descriptor, built.pop(name, None), _relays(descriptor), CommandTally())
            for name, descriptor in contract.commands.items()
        }
        self.unknown = CommandTally()
        """Of all commands that are not there together."""
        if built:
            msg = f"no descriptor in protocol/commands for {sorted(built)}"
            raise ValueError(msg)
        for name, entry in self._entries.items():
            if entry.descriptor.right not in RIGHTS:
                msg = f"command {name} names no known right: {entry.descriptor.right!r}"
                raise ValueError(msg)
            expected = entry.descriptor.built and entry.descriptor.sender != "daemon"
            if expected != (entry.command is not None):
                msg = f"command {name}: its descriptor and the code do not agree whether it is built"
                raise ValueError(msg)

    def find(self, name: str) -> Entry | None:
        """Look a command up."""
        return self._entries.get(name)

    def tallies(self) -> Iterator[tuple[str, CommandTally]]:
        """The counts of each command."""
        return ((name, entry.tally) for name, entry in self._entries.items())

    @property
    def asked(self) -> int:
        """How many requests were answered since the start, with a result or an error."""
        tallies = (*(entry.tally for entry in self._entries.values()), self.unknown)
        return sum(one.answered + one.failed.total() for one in tallies)

    def tally_of(self, name: str) -> CommandTally:
        """The counts of a command, also of one that is not there."""
        entry = self._entries.get(name)
        return self.unknown if entry is None else entry.tally


def _relays(descriptor: Descriptor) -> bool:
    """Tell whether an answer may have to wait for an image. A `ping` counts as none: it runs no code anywhere.

    Nor does `interrupt_evaluation`: it waits for an image, but not behind what it ends.
    """
    name = descriptor.command
    return name != "ping" and ("image_timeout" in descriptor.errors or name == "evaluate_on")
