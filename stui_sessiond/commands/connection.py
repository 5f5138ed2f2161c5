"""The commands about the connection itself: hello, describe, subscribe."""

import secrets
from collections.abc import Callable, Iterable

import msgspec

from stui_sessiond import __version__
from stui_sessiond.commands.image import ImageCommands
from stui_sessiond.commands.table import Caller, Command
from stui_sessiond.contract import Contract
from stui_sessiond.errors import (
    AlreadyGreetedError,
    AuthenticationFailedError,
    ImageIdInUseError,
    ParameterError,
    StuiError,
    TooManySubscriptionsError,
    UnknownCommandError,
    UnsupportedOperationError,
    UnsupportedVersionError,
)
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.validator import SessionValidator
from stui_sessiond.wire.forms import PROTOCOL_VERSION, speaks
from stui_sessiond.wire.messages import connection as wire
from stui_sessiond.wire.messages import plain


class ServerFacts(msgspec.Struct, frozen=True):
    """What `hello` tells every peer."""

    server_id: str
    heartbeat_interval_s: float
    limits: wire.Limits
    image_limits: wire.Limits


class ConnectionCommands:
    """Carries out the commands about the connection."""

    def __init__(
        self,
        facts: ServerFacts,
        contract: Contract,
        manager: SessionManager,
        validator: SessionValidator,
        hub: Hub,
        images: ImageRegistry,
        image_commands: ImageCommands,
        admits_token: Callable[[str | None], bool],
    ) -> None:
        self._facts = facts
        self._contract = contract
        self._manager = manager
        self._validator = validator
        self._hub = hub
        self._images = images
        self._image_commands = image_commands
        self._admits_token = admits_token

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("hello", wire.Hello, self.hello),
            Command("describe", wire.Describe, self.describe),
            Command("subscribe", wire.Subscribe, self.subscribe),
            Command("unsubscribe", wire.Unsubscribe, self.unsubscribe),
        )

    # ---- hello

    def hello(self, caller: Caller, asked: wire.Hello) -> wire.HelloResult:
        """Carry out `hello`."""
        if caller.greeted:
            msg = "this connection has said hello already"
            raise AlreadyGreetedError(msg)
        if asked.protocol and not any(speaks(version) for version in asked.protocol):
            msg = f"this daemon speaks protocol {PROTOCOL_VERSION}; none of {', '.join(asked.protocol)[:100]}"
            raise UnsupportedVersionError(msg, supported=[PROTOCOL_VERSION])
        if caller.must_greet and not self._admits_token(asked.token or caller.proof):
            caller.refuse_later("authentication_failed")
            msg = "the token is missing" if not (asked.token or caller.proof) else "the token is not valid here"
            raise AuthenticationFailedError(msg)
        if asked.client_id is not None:
            self._validator.admit_client(asked.client_id)
        link = self._link(caller, asked) if asked.role == "image" else None
        caller.greet(asked, link)
        if link is not None:
            self._image_commands.announce(link, connected=True)
        return wire.HelloResult(
            server_id=self._facts.server_id,
            server_version=__version__,
            protocol=PROTOCOL_VERSION,
            resume_token=secrets.token_urlsafe(32),
            heartbeat_interval=plain(self._facts.heartbeat_interval_s),
            limits=self._facts.limits if link is None else self._facts.image_limits,
            position=wire.Position(self._facts.server_id, 0),
        )

    def _link(self, caller: Caller, asked: wire.Hello) -> ImageLink:
        identity = asked.identity
        try:
            if identity is None:
                msg = "hello: `identity` is missing: an image says who it is"
                raise ParameterError(msg, field="identity")
            self._validator.check_text(identity.image_id, "identity.image_id")
            link = ImageLink(identity, caller)
            replaced = self._images.admit(link)
        except StuiError as error:
            if not isinstance(error, ImageIdInUseError):
                caller.refuse_later("image_refused")
            raise
        if replaced is not None:
            replaced.pipe.close("replaced")
        return link

    # ---- describe

    def describe(self, caller: Caller, asked: wire.Describe) -> wire.DescribeResult:
        """Carry out `describe`."""
        del caller
        commands = self._contract.commands
        if asked.command is None:
            chosen = list(commands.values())
        elif asked.command in commands:
            chosen = [commands[asked.command]]
        else:
            msg = f"there is no command {asked.command!r}"
            raise UnknownCommandError(msg, command=asked.command)
        return wire.DescribeResult(
            server_version=__version__,
            protocol=PROTOCOL_VERSION,
            contract_version=self._contract.version,
            commands=[msgspec.to_builtins(descriptor) for descriptor in chosen],
            errors=[msgspec.to_builtins(error) for error in self._contract.errors.values()],
        )

    # ---- subscriptions

    def subscribe(self, caller: Caller, asked: wire.Subscribe) -> wire.SubscribeResult:
        """Carry out `subscribe`."""
        if asked.topics is not None:
            msg = "`topics` comes with version 0.3.0; subscribe to one `session_id` at a time"
            raise UnsupportedOperationError(msg, since="0.3.0")
        if asked.session_id is None:
            msg = "subscribe: `session_id` is missing"
            raise ParameterError(msg, field="session_id")
        header = self._manager.header(asked.session_id)
        if (
            header.session_id not in caller.subscriptions
            and len(caller.subscriptions) >= self._facts.limits.subscriptions
        ):
            msg = f"a connection has at most {self._facts.limits.subscriptions} subscriptions"
            raise TooManySubscriptionsError(msg, limit=self._facts.limits.subscriptions)
        position = self._hub.subscribe(header.session_id, caller)
        caller.subscriptions.add(header.session_id)
        here = wire.Position(position.epoch, position.seq)
        if asked.since is None or asked.since == here:
            return wire.SubscribeResult(recovered=True, position=here)
        if asked.since.epoch != here.epoch:
            gap = "the history before this epoch is lost"
        else:
            gap = f"events {asked.since.seq + 1} to {here.seq} are not kept; replay comes with version 0.3.0"
        return wire.SubscribeResult(recovered=False, position=here, gap=gap)

    def unsubscribe(self, caller: Caller, asked: wire.Unsubscribe) -> wire.UnsubscribeResult:
        """Carry out `unsubscribe`."""
        session_id = self._validator.session_id(asked.session_id)
        caller.subscriptions.discard(session_id)
        return wire.UnsubscribeResult(session_id, self._hub.unsubscribe(session_id, caller))
