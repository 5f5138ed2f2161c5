"""What do the metrics tell of sessions, of the disk, of backups and of the audit log?"""

from collections.abc import Iterator

from prometheus_client.core import Metric

from stui_sessiond.observe.family import counter, counters, gauge, gauges, histogram, state
from stui_sessiond.observe.parts import ObservedParts
from stui_sessiond.storage.audit_log import AuditState
from stui_sessiond.storage.tally import BackupTally, JournalState, StorageGauges

SESSION_STATES = ("active", "expired", "closed")
STORAGE_STATES = ("ok", "full", "failed")


def families(parts: ObservedParts) -> Iterator[Metric]:
    """Make the metrics."""
    yield from _sessions(parts)
    storage, audit = parts.storage(), parts.audit()
    if storage is not None:
        yield from _storage(storage)
        yield from _backups(storage.backups)
    if audit is not None:
        yield from _audit(audit)


def _sessions(parts: ObservedParts) -> Iterator[Metric]:
    shelf, counted = parts.server.feed.keeper.shelf, parts.sampler.sessions
    yield gauge("sessions", "Sessions that are there, whatever their state.", len(shelf))
    yield gauges(
        "sessions_by_state",
        "The same by state, as counted last; that is done every second, with 100,000 sessions every 11 s.",
        ("state",),
        (((word,), counted[word]) for word in SESSION_STATES),
    )
    yield gauge("session_clients", "Clients that have sessions.", shelf.clients)
    yield gauge("sessions_size_bytes", "The size of all sessions.", shelf.total_bytes)
    resident, resident_bytes = shelf.resident
    yield gauge("sessions_in_memory", "Sessions that are held whole in memory.", resident)
    yield gauge("sessions_in_memory_bytes", "Their size, with history and events.", resident_bytes)


def _storage(storage: StorageGauges) -> Iterator[Metric]:
    yield state(
        "storage_state",
        "How the storage is: ok, full (reading goes on, changes are refused), failed (the daemon ends).",
        "state",
        STORAGE_STATES,
        storage.status,
    )
    yield gauge("sessions_damaged", "Sessions that lost acknowledged changes.", storage.damaged)
    yield gauge("storage_quarantined_files", "Files that could not be read and are kept aside.", storage.quarantined)
    yield gauge(
        "sessions_unwritten", "Sessions that are in the journal and whose files are not written yet.", storage.unwritten
    )
    if storage.journal is not None:
        yield from _journal(storage.journal)


def _journal(journal: JournalState) -> Iterator[Metric]:
    tally = journal.tally
    yield histogram(
        "journal_sync_duration_seconds", "How long it took to write and sync a batch of changes.", tally.syncs
    )
    yield histogram("journal_batch_records", "How many changes shared a sync.", tally.batches)
    yield counter("journal_written_bytes", "Bytes of changes handed to the disk.", tally.written_bytes)
    yield gauge("journal_waiting_records", "Changes that wait to be written.", journal.waiting)
    yield gauge("journal_waiting_bytes", "Their size, with those that are being written.", journal.waiting_bytes)
    yield gauge("journal_segments", "Files of the journal.", journal.segments)
    yield counter("journal_refused_changes", "Changes refused because the disk does not keep up.", journal.refused)


def _backups(backups: BackupTally) -> Iterator[Metric]:
    yield counters(
        "backups",
        "Backups since the start, by what came of them.",
        ("outcome",),
        ((("made",), backups.made), (("failed",), backups.failed)),
    )
    yield histogram("backup_duration_seconds", "How long making and verifying a backup took.", backups.took)
    if backups.last_good_at is not None:
        yield gauge(
            "backup_last_success_timestamp_seconds",
            "When the newest good backup was made, seconds since 1970; absent while there is none.",
            backups.last_good_at,
        )


def _audit(audit: AuditState) -> Iterator[Metric]:
    yield counter("audit_entries", "Entries of the audit log that are durable, since the start.", audit.written)
    yield gauge("audit_waiting_entries", "Entries of the audit log that are not durable yet.", audit.waiting)
    yield counter("audit_lost_entries", "Entries that the audit log had no place for; it says so itself.", audit.lost)
    yield gauge("audit_failing", "1 while the disk does not take the audit log.", float(audit.failing))
