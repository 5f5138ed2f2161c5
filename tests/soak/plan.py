"""How long, how many, how often? The whole, and the slice that every run of the tests takes."""

from pathlib import Path

import msgspec

from .trend import Bound

MIB = 2**20

FILLED_S = 720.0
"""Answers to requests with a key are kept for ten minutes, and so are connections that are owed one, as are two
generations of session files that change every few seconds: until then a daemon that leaks nothing grows."""

KEY_NAME = "master.key"
"""Of the file with the key that all is sealed with."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One soak. Durations in seconds."""

    seconds: float
    """Of coming and going that is measured, the warm-up at its beginning included."""
    wave_s: float
    """Of coming and going before: what is made once and stays is made in it."""
    clients: int = 200
    rooms: int = 10
    """Sessions that live from the beginning to the end, each shared by its part of the clients."""
    sample_s: float = 5.0
    stay_s: float = 30.0
    """How long a client stays, on average."""
    away_s: float = 6.0
    think_s: float = 2.0
    """Between two requests of a client, on average."""
    image_restart_s: float = 120.0
    revoke_s: float = 20.0
    session_timeout_s: float = 20.0
    """After which sessions that were left expire."""
    retention_s: float = 20.0
    cleanup_s: float = 5.0
    backup_s: float = 60.0
    amber: bool = True
    leave_s: float = 90.0
    """How long it may take until everybody has left: longer than any answer."""
    settle_s: float = 60.0
    """What settling may take beyond the time in which sessions expire: one who does not read is borne with for 30 s."""
    planted: str | None = None
    """A leak that is planted (`inside.PLANTS`)."""

    @property
    def warm_s(self) -> float:
        """What is left out at the beginning of the time that is measured.

        A soak that is too short for all of that leaves out its first third, and has wider bounds.
        """
        return self.seconds / 3 if self.is_short else FILLED_S

    @property
    def is_short(self) -> bool:
        """Whether what a daemon keeps for minutes is still growing while it is measured."""
        return self.seconds < 1.6 * FILLED_S

    def settings(self, folder: Path) -> str:
        """Tell the daemon's settings: everything is on; what is bounded by age or number is reached within minutes."""
        return f"""\
[server]
auth = "token"
[sessions]
max_per_client = {max(12, self.rooms)}
retention = {self.retention_s}
cleanup_interval = {self.cleanup_s}
autosave_interval = 15
[history]
versions = 50
bytes = 65536
[events]
count = 300
bytes = 131072
[backups]
interval = {self.backup_s}
[audit]
bytes = {16 * MIB}
[encryption]
key_file = "{folder / KEY_NAME}"
[images]
grace = 30
[limits]
unauthenticated = 256
unauthenticated_per_address = 64
connections_per_token = 64
[quotas]
requests_per_second = 100
requests_burst = 400
"""


BOUNDS: dict[str, Bound] = {
    "rss_mib": Bound(12.0, 12.0, 60.0),
    "pss_mib": Bound(12.0, 12.0, 60.0),
    "descriptors": Bound(10.0, 12.0, 30.0),
    "threads": Bound(1.0, 1.0, 2.0),
    "tasks": Bound(10.0, 12.0, 30.0),
    "blocks": Bound(20_000, 20_000, 100_000),
    "objects": Bound(5_000, 5_000, 20_000),
    "peers": Bound(10.0, 12.0, 30.0),
    "parked": Bound(20.0, 40.0, 100.0),  # each stays ten minutes: an hour has few figures that say something new
    "subscriptions": Bound(10.0, 12.0, 30.0),
    "sessions_known": Bound(20.0, 20.0, 50.0),
    "held_kb": Bound(1000.0, 1500.0, 5000.0),
    "journal_mib": Bound(10.0, 20.0, 60.0),
    "sessions_mib": Bound(4.0, 4.0, 20.0),
}
"""What may rise in an hour, in the figure's unit."""

WHOLE = Plan(seconds=3600.0, wave_s=60.0)

SLICE = Plan(
    seconds=5.0,
    wave_s=1.5,
    clients=30,
    rooms=3,
    sample_s=0.25,
    stay_s=1.2,
    away_s=0.1,
    think_s=0.1,
    image_restart_s=3.0,
    revoke_s=1.5,
    session_timeout_s=1.0,
    retention_s=1.0,
    cleanup_s=0.5,
    backup_s=3.0,
    leave_s=15.0,
    settle_s=8.0,
)
