"""Of what do the metrics tell? Put together by `daemon`."""

from collections.abc import Callable, Mapping

import msgspec

from stui_sessiond.commands.connection import ConnectionCommands
from stui_sessiond.commands.gate import Quotas
from stui_sessiond.commands.running import RunningTable
from stui_sessiond.images.registry import ImageRegistry
from stui_sessiond.logs import LogTally
from stui_sessiond.observe.sampler import Sampler
from stui_sessiond.server.listeners import Server
from stui_sessiond.storage.audit_log import AuditState
from stui_sessiond.storage.tally import StorageGauges


class ObservedParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a daemon that hold numbers. Reading them is all that is done to them."""

    version: str
    uptime_s: Callable[[], float]
    server: Server
    """Who has the dispatcher with its commands, and the feed with its sessions."""
    connections: ConnectionCommands
    quotas: Quotas
    running: RunningTable
    transitions: Mapping[str, int]
    """Of all state machines, by outcome."""
    images: ImageRegistry
    storage: Callable[[], StorageGauges | None]
    """None: it is in memory alone."""
    audit: Callable[[], AuditState | None]
    """None: there is none."""
    sampler: Sampler
    log: LogTally
