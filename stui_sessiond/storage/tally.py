"""How do the journal, the backups and the store do? Numbers, held by whoever makes them."""

from typing import Literal, NamedTuple

from stui_sessiond.counting import FAST_S, SIZES, SLOW_S, Histogram


class JournalTally:
    """How the journal did since the start. Written by its thread."""

    __slots__ = ("batches", "syncs", "written_bytes")

    def __init__(self) -> None:
        self.syncs = Histogram(FAST_S)
        """How long it took to write and sync a batch, in seconds; also one that failed."""
        self.batches = Histogram(SIZES)
        """How many records shared a sync."""
        self.written_bytes = 0
        """Of records that were handed to the disk."""


class JournalState(NamedTuple):
    """How the journal does."""

    tally: JournalTally
    waiting: int
    """Records that wait to be written."""
    waiting_bytes: int
    """Of those, and of those that are being written."""
    refused: int
    """Changes that were not taken because the disk does not keep up, since the start."""
    segments: int
    """Its files."""


class BackupTally:
    """How backups went. Times are seconds since 1970."""

    __slots__ = ("failed", "last_good_at", "made", "took")

    def __init__(self) -> None:
        self.made = 0
        self.failed = 0
        self.took = Histogram(SLOW_S)
        """Of those that were made, in seconds."""
        self.last_good_at: float | None = None
        """Of all that are there, also those of earlier daemons; None: there is none."""


class StorageGauges(NamedTuple):
    """A storage at a moment, as far as can be told without looking at its sessions."""

    status: Literal["ok", "full", "failed"]
    journal: JournalState | None
    """None before it is open."""
    unwritten: int
    """Sessions that are in the journal, and whose files are not written yet."""
    damaged: int
    """Sessions that lost acknowledged changes."""
    quarantined: int
    """Files that could not be read and are kept aside."""
    backups: BackupTally
