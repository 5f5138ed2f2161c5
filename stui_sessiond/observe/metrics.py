"""How are the metrics of one daemon told? A registry of its own, asked when somebody scrapes.

Nothing is kept here: the parts hold the numbers. What takes time is writing them as text, so that is done a piece at a
time, with others in between.
"""

import asyncio
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from stui_sessiond.observe import connection, image, process, request, store
from stui_sessiond.observe.parts import ObservedParts

FAMILIES = (process.families, connection.families, request.families, image.families, store.families)


PIECE = 200
"""Samples that are written before others have their turn: about a millisecond."""


class DaemonCollector(Collector):
    """Reads the parts of one daemon."""

    def __init__(self, parts: ObservedParts) -> None:
        self._parts = parts

    def describe(self) -> list[Metric]:
        """Name nothing beforehand."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Make all metrics as they are now."""
        for families in FAMILIES:
            yield from families(self._parts)


class _One(Collector):
    """A registry with one family in it, to be written alone."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


class Metrics:
    """The metrics of one daemon."""

    def __init__(self, parts: ObservedParts) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(DaemonCollector(parts))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    async def write(self, accept: str) -> tuple[bytes, str]:
        """Write all metrics in the newest form that `accept` takes (a header); tell its content type as well."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is none
            encode, content_type = choose_encoder("")
        ends = encode(_Nothing())
        pieces = []
        for family in self.registry.collect():
            for piece in _cut(family):
                written = encode(_One(piece)).removesuffix(ends)
                pieces.append(written if piece.samples[:1] == family.samples[:1] else _without_head(written))
                await asyncio.sleep(0)
        return b"".join((*pieces, ends)), content_type


def _cut(family: Metric) -> Iterator[Metric]:
    """Cut a large family into pieces that are written in a moment each."""
    for start in range(0, max(1, len(family.samples)), PIECE):
        piece = Metric(family.name, family.documentation, family.type, family.unit)
        piece.samples = family.samples[start : start + PIECE]
        yield piece


def _without_head(written: bytes) -> bytes:
    """Leave out what the first piece of the family has said: its help and its type."""
    return b"".join(line for line in written.splitlines(keepends=True) if not line.startswith(b"# "))


class _Nothing(Collector):
    """A registry with nothing in it."""

    def collect(self) -> Iterator[Metric]:
        yield from ()
