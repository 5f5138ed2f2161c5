"""The commands about the connection itself: hello and describe."""

import secrets
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from stui_sessiond import __version__
from stui_sessiond.commands.authentication import Authenticator
from stui_sessiond.commands.image import ImageCommands
from stui_sessiond.commands.table import Caller, Command, Followed
from stui_sessiond.contract import Contract
from stui_sessiond.errors import (
    AlreadyGreetedError,
    AuthenticationFailedError,
    ImageIdInUseError,
    ImageNotAllowedError,
    ParameterError,
    RateLimitedError,
    StuiError,
    TooManyConnectionsError,
    UnknownCommandError,
    UnsupportedOperationError,
    UnsupportedVersionError,
)
from stui_sessiond.ids import ConnectionId, ImageId
from stui_sessiond.images.link import ImageLink
from stui_sessiond.images.process import is_here
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.images.registry import Origin as ImageOrigin
from stui_sessiond.model.request import RequestEntry
from stui_sessiond.security.access import Access
from stui_sessiond.security.principal import LOCAL, Principal
from stui_sessiond.security.resume import Resumed, ResumeTokens, new_connection_id
from stui_sessiond.sessions.hub import Hub
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.sessions.validator import SessionValidator
from stui_sessiond.wire.forms import PROTOCOL_VERSION, Reply, speaks
from stui_sessiond.wire.messages import Position, plain
from stui_sessiond.wire.messages import connection as wire


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
        validator: SessionValidator,
        hub: Hub,
        book: RequestBook,
        images: ImageRegistry,
        image_commands: ImageCommands,
        receive_stray: Callable[[ImageLink, Reply], bool],
        authenticator: Authenticator,
        access: Access,
        crowded: Callable[[Principal], bool],
        tokens: Callable[[], ResumeTokens],
        remembered: Callable[[RequestEntry], bytes | None],
    ) -> None:
        self._facts = facts
        self._contract = contract
        self._validator = validator
        self._hub = hub
        self._book = book
        self._images = images
        self._image_commands = image_commands
        self._receive_stray = receive_stray
        self._authenticator = authenticator
        self._access = access
        self._crowded = crowded
        self._tokens = tokens
        self._remembered = remembered
        self.resumed = 0
        """Connections that went on as an earlier one, since the start."""
        self.not_resumed = 0
        """Connections that wanted to, and were new ones."""

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("hello", wire.Hello, self.hello),
            Command("describe", wire.Describe, self.describe),
        )

    # ---- hello

    def hello(self, caller: Caller, asked: wire.Hello) -> Any:  # noqa: ANN401 -- the result, followed by what is owed
        """Carry out `hello`."""
        if caller.once:
            msg = "hello begins a connection, and a POST is none: say who you are in its headers"
            raise UnsupportedOperationError(msg, command="hello")
        if caller.greeted:
            msg = "this connection has said hello already"
            raise AlreadyGreetedError(msg)
        if asked.protocol and not any(speaks(version) for version in asked.protocol):
            msg = f"this daemon speaks protocol {PROTOCOL_VERSION}; none of {', '.join(asked.protocol)[:100]}"
            raise UnsupportedVersionError(msg, supported=[PROTOCOL_VERSION])
        principal = self._principal(caller, asked)
        if self._crowded(principal):
            self._note_refusal(asked)
            caller.refuse_later("too_many_connections")
            msg = "this token has as many connections as it may have"
            raise TooManyConnectionsError(msg)
        if asked.role != "image":
            asked.client_id = self._authenticator.bind_client(principal, asked.client_id)
        link = self._link(caller, asked, principal) if asked.role == "image" else None
        resumed = self._resumed(asked, principal)
        if asked.resume_token is not None:
            self.resumed += resumed is not None
            self.not_resumed += resumed is None
        connection_id = ConnectionId(resumed.connection_id) if resumed else new_connection_id()
        in_flight = caller.greet(asked, link, connection_id, principal)
        if link is not None:
            self._image_commands.announce(link, connected=True)
        known = None if link is None else self._images.known(link.image_id)
        result = wire.HelloResult(
            server_id=self._facts.server_id,
            server_version=__version__,
            protocol=PROTOCOL_VERSION,
            connection_id=connection_id,
            resume_token=self._tokens().issue(Resumed(connection_id, asked.client_id, asked.role, principal.token_id)),
            resumed=resumed is not None,
            in_flight=list(in_flight),
            heartbeat_interval=plain(self._facts.heartbeat_interval_s),
            limits=self._facts.limits if link is None else self._facts.image_limits,
            position=Position(self._hub.position.epoch, self._hub.position.seq),
            rights=sorted(caller.rights),
        )
        if known is not None and known.record.doubts:
            result.warnings = [reason.text for reason in known.record.doubts]
        if resumed is None or asked.client_id is None or set(asked.unanswered) <= set(in_flight):
            return Followed(result, caller.claim)
        return self._hand_over_remembered(caller, result, asked.client_id, asked.unanswered)

    def _resumed(self, asked: wire.Hello, principal: Principal) -> Resumed | None:
        """Read which connection this one continues: one of the same client, with the same right to be here."""
        said = None if asked.resume_token is None else self._tokens().read(asked.resume_token)
        if said is None or asked.role != "client":
            return None
        same = (said.client_id, said.role, said.holder) == (asked.client_id, "client", principal.token_id)
        return said if same else None

    async def _hand_over_remembered(
        self, caller: Caller, result: wire.HelloResult, client_id: str, unanswered: Collection[str]
    ) -> Followed:
        """Nobody here knows these requests: the daemon was restarted, or it is long ago. The book may."""
        wanted = set(unanswered) - set(result.in_flight)
        owed = await self._book.owed(ConnectionId(result.connection_id), client_id, wanted)
        answers = {name: answer for name, one in owed.items() if (answer := self._remembered(one)) is not None}
        result.in_flight = [*result.in_flight, *answers]

        def then() -> None:
            caller.claim()
            for answer in answers.values():
                caller.send(answer)

        return Followed(result, then)

    def _principal(self, caller: Caller, asked: wire.Hello) -> Principal:
        """Find out who this is.

        Raises:
            AuthenticationFailedError: it has to show a token, and does not show a valid one.
        """
        if not caller.must_greet:
            return LOCAL
        try:
            return self._authenticator.find(asked.token or caller.proof)
        except AuthenticationFailedError:
            caller.refuse_later("authentication_failed")
            raise

    def _link(self, caller: Caller, asked: wire.Hello, principal: Principal) -> ImageLink:
        identity = asked.identity
        try:
            if identity is None:
                msg = "hello: `identity` is missing: an image says who it is"
                raise ParameterError(msg, field="identity")
            self._validator.check_text(identity.image_id, "identity.image_id")
            if not principal.may_be_image(identity.image_id) or not self._access.rules.images.admits(identity.image_id):
                msg = f"image {identity.image_id!r} is not allowed here, or the token is for something else"
                raise ImageNotAllowedError(msg, image_id=identity.image_id)
            self._image_commands.pace.check_arrival(ImageId(identity.image_id))
            link = ImageLink(identity, caller, self._receive_stray, f"d-{secrets.token_hex(4)}-")
            here = is_here(caller.actor.transport, caller.actor.address)
            origin = ImageOrigin(caller.actor.address or "unknown", here, caller.process_id)
            replaced = self._images.admit(link, origin)
        except StuiError as error:
            self._note_refusal(asked)
            if not isinstance(error, ImageIdInUseError | RateLimitedError):
                caller.refuse_later("image_refused")
            raise
        if replaced is not None:
            replaced.pipe.close("replaced")
        return link

    def _note_refusal(self, asked: wire.Hello) -> None:
        if asked.role == "image" and asked.identity is not None:
            self._images.refuse(asked.identity.image_id)

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
