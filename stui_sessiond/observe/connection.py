"""What do the metrics tell of connections, of who was turned away, and of who hears what?"""

from collections.abc import Iterator

from prometheus_client.core import Metric

from stui_sessiond.observe.family import counter, counters, gauge, gauges, histograms
from stui_sessiond.observe.parts import ObservedParts


def families(parts: ObservedParts) -> Iterator[Metric]:
    """Make the metrics."""
    yield from _connections(parts)
    yield from _doors(parts)
    yield from _subscribers(parts)


def _connections(parts: ObservedParts) -> Iterator[Metric]:
    tally, commands = parts.server.connections, parts.connections
    yield gauges(
        "connections",
        "Connections that are there, by transport and by the role said in hello (before_hello: none yet).",
        ("transport", "role"),
        tally.present.items(),
    )
    yield counters(
        "connections_opened",
        "Connections that were let in.",
        ("transport",),
        (((name,), count) for name, count in tally.opened.items()),
    )
    yield counters(
        "connections_ended",
        "Connections that ended, by reason: a close code of the protocol, left (the peer went in good order), "
        "reset, timed_out (the network), silent (no sign of life).",
        ("transport", "reason"),
        tally.ended.items(),
    )
    yield histograms(
        "connection_duration_seconds",
        "How long connections lasted that have ended.",
        ("transport",),
        {(name,): lasted for name, lasted in tally.lasted.items()},
    )
    yield counters(
        "connection_resumes",
        "Connections that asked to go on as an earlier one, and whether they do.",
        ("outcome",),
        ((("recovered",), commands.resumed), (("refused",), commands.not_resumed)),
    )


def _doors(parts: ObservedParts) -> Iterator[Metric]:
    admission, quotas = parts.server.admission, parts.quotas
    refused: dict[tuple[str, str], int] = dict(parts.server.connections.refused)
    refused |= {("tcp_or_http", name): count for name, count in admission.refused.items()}
    yield counters(
        "connections_refused",
        "Connections that were not let in, by the close code they were told.",
        ("transport", "reason"),
        refused.items(),
    )
    yield counter("authentication_failures", "Attempts to authenticate that failed.", admission.failed)
    yield gauge("connections_unauthenticated", "TCP and HTTP connections that have not said who they are.",
                admission.unauthenticated)  # fmt: skip
    yield counters(
        "rate_limited_requests",
        "Requests that were refused because their sender asked too often, by the rate that was used up.",
        ("rate",),
        ((("requests",), quotas.refused_requests), (("evaluations",), quotas.refused_evaluations)),
    )


def _subscribers(parts: ObservedParts) -> Iterator[Metric]:
    feed = parts.server.feed
    hub, resumes = feed.hub, feed.resumes
    yield gauges(
        "subscriptions",
        "Subscriptions that are there, to sessions and to topics.",
        ("kind",),
        ((("session",), hub.subscriptions), (("topic",), hub.subscribed_topics)),
    )
    yield counter("events_published", "Events that happened.", hub.published)
    yield counter("events_delivered", "Events handed to subscribers at once, one for each subscriber.", hub.deliveries)
    yield counter(
        "subscribers_fell_behind",
        "Times that a subscriber did not take an event at once, and was given it later from the session's log.",
        hub.fell_behind,
    )
    yield counters(
        "subscription_resumes",
        "Subscriptions that went on from a position: recovered without loss, or with a gap.",
        ("outcome",),
        ((("recovered",), resumes.recovered), (("gap",), resumes.with_gap)),
    )
    yield counter("events_replayed", "Events that were sent from a session's log.", resumes.replayed)
    yield counter(
        "gaps_sent", "Times that a subscriber was told that events it missed are not kept any more.", resumes.gaps
    )
