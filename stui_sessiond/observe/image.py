"""What do the metrics tell of images?

An image chooses its id, so not every id becomes a label: those of the `NAMED_IMAGES` that changed last do.
"""

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import Metric

from stui_sessiond.images.condition import Condition, Health, health_of
from stui_sessiond.images.registry import KnownImage
from stui_sessiond.observe.family import counters, gauges
from stui_sessiond.observe.parts import ObservedParts

NAMED_IMAGES = 50
"""Ids that become labels at a time; each takes a handful of series."""

CONDITIONS: tuple[str, ...] = get_args(Condition)
HEALTHS: tuple[str, ...] = get_args(Health)


def families(parts: ObservedParts) -> Iterator[Metric]:
    """Make the metrics."""
    known = parts.images.all_known()
    conditions = Counter(one.condition for one in known)
    healths = {one.image_id: health_of(parts.images.facts(one)) for one in known}
    yield gauges(
        "images",
        "Images that are known, by condition.",
        ("condition",),
        (((word,), conditions[word]) for word in CONDITIONS),  # type: ignore[index]  # the words of that type
    )
    found = Counter(healths.values())
    yield gauges(
        "images_by_health",
        "Images that are known, by health (unknown: not connected).",
        ("health",),
        (((word,), found[word]) for word in HEALTHS),  # type: ignore[index]  # the words of that type
    )
    named = sorted(known, key=lambda one: one.connected)[-NAMED_IMAGES:]
    yield from _one_by_one(parts, named)


def _one_by_one(parts: ObservedParts, named: list[KnownImage]) -> Iterator[Metric]:
    label = ("image_id",)
    yield gauges(
        "image_connected",
        f"Whether an image is connected, of at most {NAMED_IMAGES}: the connected ones first, then those seen last.",
        label,
        (((one.image_id,), float(one.connected)) for one in named),
    )
    facts = [(one, parts.images.facts(one)) for one in named if one.connected]
    yield gauges(
        "image_latency_seconds",
        "How long an image took over its last sign of life.",
        label,
        (((one.image_id,), fact.latency_s) for one, fact in facts if fact.latency_s is not None),
    )
    yield gauges(
        "image_silence_seconds",
        "For how long a sign of life has been missing that an image was asked for.",
        label,
        (((one.image_id,), fact.silent_s) for one, fact in facts),
    )
    yield gauges(
        "image_requests_waiting",
        "Requests that wait for an image.",
        label,
        (((one.image_id,), one.link.pending) for one in named if one.link is not None),
    )
    yield counters(
        "image_requests",
        "Requests of clients that an image was asked.",
        label,
        (((one.image_id,), one.tally.requests) for one in named),
    )
    yield counters(
        "image_request_errors",
        "Those of them that were answered with an error, or not at all.",
        label,
        (((one.image_id,), one.tally.errors) for one in named),
    )
    yield counters(
        "image_events",
        "Events that an image told.",
        label,
        (((one.image_id,), one.tally.events) for one in named),
    )
    yield counters(
        "image_events_dropped",
        "Events of an image that were not passed on, because it tells too much or nobody knows the session.",
        label,
        (((one.image_id,), one.tally.events_dropped) for one in named),
    )
