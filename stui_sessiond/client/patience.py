"""How long does a lasting client wait, for what?"""

import msgspec

from stui_sessiond.client.backoff import Backoff

CONNECT_S = 10.0
"""For one try, up to the answer to hello: a daemon answers within milliseconds, a network that lost us never."""

SILENCE_S = 5.0
"""For the answer to a heartbeat. Then the connection is taken for dead."""

PROBE_S = 1.0
"""For the answer to a ping after the network changed: there a dead connection is likely, and a person waits."""

OUTCOME_S = 10.0
"""For an outcome that the daemon does not know yet, because it or the image was cut off: an image is back in less."""

OUTCOME_WAITS = Backoff(first_s=0.1, cap_s=1.0)
"""Between two questions for such an outcome."""

RENEWALS = 2
"""Heartbeats within the interval that the daemon names."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Durations, in seconds."""

    backoff: Backoff = Backoff()
    connect_s: float = CONNECT_S
    heartbeat_s: float | None = None
    """Between heartbeats; half of what the daemon names if None, which is also the longest."""
    silence_s: float = SILENCE_S
    probe_s: float = PROBE_S
    outcome_s: float = OUTCOME_S
    give_up_s: float | None = None
    """Without a connection for so long, it counts as failed; None goes on trying for ever."""

    def between_heartbeats_s(self, interval_s: float) -> float:
        """Tell how long to wait between heartbeats, where the daemon wants a sign of life each `interval_s`."""
        named = interval_s / RENEWALS
        return named if self.heartbeat_s is None else min(self.heartbeat_s, named)
