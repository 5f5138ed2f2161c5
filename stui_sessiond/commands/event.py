"""The commands about what happened: subscribe, unsubscribe, what became of a request, the digest."""

import functools
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from stui_sessiond.commands.relay import Relay
from stui_sessiond.commands.shared_state import state_for, view_for
from stui_sessiond.commands.table import Caller, Command, Followed
from stui_sessiond.errors import (
    ParameterError,
    RefusedError,
    SessionNotSharedError,
    StuiError,
    TooManySubscriptionsError,
    UnsupportedOperationError,
)
from stui_sessiond.ids import SessionId
from stui_sessiond.model.event import Position
from stui_sessiond.sessions.digest import Evaluation, Note, sum_up
from stui_sessiond.sessions.feed import Feed, Start
from stui_sessiond.sessions.hub import Hub, Topic, may_hear
from stui_sessiond.sessions.ledger import not_kept
from stui_sessiond.sessions.log import follow_up
from stui_sessiond.sessions.manager import SessionManager
from stui_sessiond.sessions.requests import RequestBook
from stui_sessiond.sessions.telling import shown
from stui_sessiond.wire.messages import Position as WirePosition
from stui_sessiond.wire.messages import connection as wire
from stui_sessiond.wire.messages import event as told
from stui_sessiond.wire.timestamp import format_time

_TOPIC_KINDS = frozenset({"client", "image"})


class EventCommands:
    """Carries out the commands about events."""

    def __init__(
        self,
        manager: SessionManager,
        book: RequestBook,
        relay: Relay,
        feed: Feed,
        hub: Hub,
        max_subscriptions: int,
    ) -> None:
        self._manager = manager
        self._book = book
        self._relay = relay
        self._feed = feed
        self._hub = hub
        self._max_subscriptions = max_subscriptions

    def commands(self) -> Iterable[Command]:
        """List what this object carries out."""
        return (
            Command("subscribe", wire.Subscribe, self.subscribe),
            Command("unsubscribe", wire.Unsubscribe, self.unsubscribe),
            Command("get_request_status", told.GetRequestStatus, self.request_status),
            Command("get_digest", told.GetDigest, self.digest),
        )

    # ---- subscriptions

    async def subscribe(self, caller: Caller, asked: wire.Subscribe) -> Any:  # noqa: ANN401 -- the result, followed by the events
        """Carry out `subscribe`. Events follow when the answer is out."""
        if caller.once:
            msg = "subscribe takes a connection, and a POST is none: use GET /events, or a WebSocket"
            raise UnsupportedOperationError(msg, command="subscribe")
        if (asked.session_id is None) == (asked.topics is None):
            msg = "subscribe: give either `session_id` or `topics`"
            raise ParameterError(msg, field="session_id")
        if asked.topics is not None:
            return await self._subscribe_topics(caller, asked, asked.topics)
        start = await self._start(caller, asked.session_id or "", asked.since, deltas=asked.deltas)
        state: wire.StateAt | UnsetType = UNSET
        if asked.with_state:
            state = wire.StateAt(start.session.header.version, state_for(caller, start.session))
        gap = UNSET if start.missing is None else _gap(asked.since, start)
        result = wire.SubscribeResult(start.missing is None, _shown(start.position), gap, state)
        return Followed(result, functools.partial(self._begin, caller, start))

    async def _start(
        self, caller: Caller, session_id: str, since: WirePosition | None, *, deltas: bool, by_topic: bool = False
    ) -> Start:
        known = caller.subscriptions
        if session_id not in known and len(known) + len(caller.topics) >= self._max_subscriptions:
            msg = f"a connection has at most {self._max_subscriptions} subscriptions"
            raise TooManySubscriptionsError(msg, limit=self._max_subscriptions)
        known_to_caller = None if since is None else Position(since.epoch, since.seq)
        return await self._feed.subscribe(session_id, caller, known_to_caller, deltas=deltas, by_topic=by_topic)

    def _begin(self, caller: Caller, start: Start) -> None:
        if not self._feed.begin(start.subscription):
            caller.fell_behind(start.subscription)

    async def _subscribe_topics(self, caller: Caller, asked: wire.Subscribe, names: list[str]) -> Followed:
        topics = [_topic(name) for name in names]
        if Topic("all") in topics and "admin" not in caller.rights:
            msg = "the topic `all` takes the right `admin`, which this connection does not have"
            raise RefusedError(msg, right="admin")
        positions = asked.positions or {}
        total = len(caller.subscriptions) + len(positions) + len(caller.topics | set(topics))
        if total > self._max_subscriptions:
            msg = f"a connection has at most {self._max_subscriptions} subscriptions"
            raise TooManySubscriptionsError(msg, limit=self._max_subscriptions)
        everything = Topic("all") in topics
        for session_id in positions:
            header = self._feed.header(session_id)
            if not (everything or may_hear(caller, header)):
                msg = f"session {header.session_id} belongs to another client"
                raise SessionNotSharedError(msg, session_id=header.session_id, role="none", needed="viewer")
        starts: list[Start] = []
        try:
            for session_id, since in positions.items():
                starts.append(await self._start(caller, session_id, since, deltas=asked.deltas, by_topic=True))
        except StuiError:  # what has begun goes on: the topic it replaced was live
            for start in starts:
                self._begin(caller, start)
            raise
        lacking = next((start for start in starts if start.missing is not None), None)
        gap = UNSET if lacking is None else _gap(positions.get(lacking.session.header.session_id), lacking)
        result = wire.SubscribeResult(lacking is None, _shown(self._hub.position), gap, topics=names)

        def then() -> None:
            self._feed.listen(topics, caller, deltas=asked.deltas)
            caller.topics.update(topics)
            for start in starts:
                self._begin(caller, start)

        return Followed(result, then)

    def unsubscribe(self, caller: Caller, asked: wire.Unsubscribe) -> wire.UnsubscribeResult:
        """Carry out `unsubscribe`."""
        if asked.session_id is None and asked.topics is None:
            msg = "unsubscribe: give `session_id`, `topics`, or both"
            raise ParameterError(msg, field="session_id")
        found = False
        for topic in map(_topic, asked.topics or ()):
            caller.topics.discard(topic)
            found = self._feed.ignore(topic, caller, caller.subscriptions) or found
        if asked.session_id is not None:
            session_id = SessionId(asked.session_id)
            caller.subscriptions.pop(session_id, None)
            found = self._feed.unsubscribe(session_id, caller, "unsubscribed") is not None or found
        return wire.UnsubscribeResult(asked.session_id, found)

    # ---- what became of a request

    async def request_status(self, caller: Caller, asked: told.GetRequestStatus) -> told.GetRequestStatusResult:
        """Carry out `get_request_status`."""
        key = asked.idempotency_key
        if key is None:
            if asked.request_id is None or caller.connection_id is None:
                msg = (
                    "get_request_status: `idempotency_key` is missing; `request_id` is for connections that said hello"
                )
                raise ParameterError(msg, field="idempotency_key")
            key = f"{caller.connection_id}:{asked.request_id}"
        session_id = SessionId(asked.session_id)
        entry = await self._book.recall(session_id, key)
        under_way = self._relay.status_of(session_id, key)
        status = under_way or ("unknown" if entry is None else self._relay.word_of(session_id, entry))
        result = told.GetRequestStatusResult(asked.session_id, key, status)  # type: ignore[arg-type]  # one of the words
        if entry is None:
            return result
        result.command = entry.command
        result.accepted_at = format_time(entry.accepted_at)
        if entry.finished_at is not None:
            result.finished_at = format_time(entry.finished_at)
        if entry.version is not None:
            result.version = entry.version
        if entry.result is not None:
            result.result = msgspec.Raw(entry.result.encode())
        if entry.failure is not None:
            result.error = told.Failure(entry.failure.code, entry.failure.message, entry.failure.details)
        elif status == "done" and entry.result is None and entry.version is None:
            lack = not_kept(entry)
            result.error = told.Failure(lack.code, lack.message, dict(lack.details))
        return result

    # ---- the digest

    async def digest(self, caller: Caller, asked: told.GetDigest) -> told.GetDigestResult:
        """Carry out `get_digest`."""
        session = await self._manager.session(asked.session_id)
        header, log = session.header, session.log
        since = asked.since
        if since is None:
            events, missing = log.events, None
        else:
            replay = follow_up(header, log, Position(since.epoch, since.seq))
            events, missing = tuple(replay.events), replay.missing
        view = view_for(caller, session)
        found = sum_up(events if view is None else [shown(session, event, view) for event in events])
        gap = (
            None if missing is None else wire.Gap(since, WirePosition(header.epoch, header.seq - len(events)), missing)
        )
        return told.GetDigestResult(
            session_id=header.session_id,
            recovered=missing is None,
            position=_shown(header.position),
            events=found.events,
            finished=[_finished(one) for one in found.finished],
            running=[
                told.RunningEvaluation(one.evaluation, one.client_id, one.code, format_time(one.at))
                for one in found.running
            ],
            changes=[
                told.Changes(client, one.count, one.last_version, format_time(one.last_at))
                for client, one in found.changes.items()
            ],
            images=[told.ImageNote(*_note(one)) for one in found.images],
            clients=[told.ClientNote(*_note(one)) for one in found.clients],
            output_chars=found.output_chars,
            output_tail=found.output_tail,
            gap=UNSET if gap is None else gap,
        )


def _topic(name: str) -> Topic:
    kind, _, rest = name.partition(":")
    if name == "all":
        return Topic("all")
    if kind in _TOPIC_KINDS and rest:
        return Topic(kind, rest)
    msg = f"subscribe: {name[:100]!r} is no topic; there are `client:ID`, `image:ID` and `all`"
    raise ParameterError(msg, field="topics")


def _shown(position: Position) -> WirePosition:
    return WirePosition(position.epoch, position.seq)


def _gap(since: WirePosition | None, start: Start) -> wire.Gap:
    header = start.session.header
    kept = len(start.session.log.events)
    return wire.Gap(since, WirePosition(header.epoch, header.seq - kept), start.missing or "")


def _finished(one: Evaluation) -> told.FinishedEvaluation:
    return told.FinishedEvaluation(
        evaluation=one.evaluation,
        client_id=one.client_id,
        code=one.code,
        status=one.status or "",
        has_error=one.has_error,
        display=one.display,
        duration=one.duration,
        at=format_time(one.at),
    )


def _note(one: Note) -> tuple[str, str | None, str]:
    return one.event, one.who, format_time(one.at)
