"""How is a connection shown to an operator?"""

from stui_sessiond.server.peer import Peer
from stui_sessiond.wire.messages.overview import ConnectionRow
from stui_sessiond.wire.timestamp import format_time

SHOWN_SESSIONS = 20
"""Subscriptions of a connection that are told by name."""


def outline(peer: Peer, now: float, monotonic: float) -> ConnectionRow:
    """Tell who it is and what it takes part in; `now` is the time by both clocks. Topics make no subscription here."""
    named = [name for name, one in peer.subscriptions.items() if not one.by_topic]
    actor, link = peer.actor, peer._link  # noqa: SLF001 -- what only this page shows
    return ConnectionRow(
        connection_id=actor.connection_id,
        transport=actor.transport or "",
        role=actor.role,
        client_id=actor.client_id,
        principal=actor.principal,
        image_id=None if link is None else link.image_id,
        address=actor.address,
        since=format_time(now - (monotonic - peer.began_at)),
        subscriptions=len(named) + len(peer.topics),
        sessions=list(named[:SHOWN_SESSIONS]),
        topics=[f"{topic.kind}:{topic.name}" if topic.name else topic.kind for topic in peer.topics],
        requests=len(peer._open),  # noqa: SLF001 -- the same
    )
