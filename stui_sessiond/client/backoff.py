"""How long to wait before the next try? Decorrelated jitter: each wait is drawn anew, from a range that grows. Pure."""

from collections.abc import Callable

import msgspec

FIRST_S = 0.05
"""A connection that was cut is tried again within this; the spread keeps many clients from coming at once."""

CAP_S = 30.0
"""The longest wait; also the longest that a person waits after the daemon came back."""

GROWTH = 3.0
"""The next wait is at most this times the last one.

So the wait is never more than three times what has been waited already: a daemon that starts again in half a second is
found within two, and one that was away for an hour within 30 s.
"""

LASTING_S = 5.0
"""A connection that lasted so long was a good one: the next loss starts over. A shorter one goes on where it was."""

BROKEN_S = 0.2
"""But the daemon was there: the wait after it is counted from no more than this, so that it is below a second."""


class Backoff(msgspec.Struct, frozen=True):
    """The bounds of the waits, in seconds."""

    first_s: float = FIRST_S
    cap_s: float = CAP_S
    lasting_s: float = LASTING_S

    def wait(self, last_s: float | None, draw: Callable[[], float]) -> float:
        """Tell how long to wait, in seconds.

        Args:
            last_s: the last wait; None before the first.
            draw: gives a number from 0 up to 1.
        """
        if last_s is None:
            return self.first_s * draw()
        top = max(self.first_s, last_s) * GROWTH
        return min(self.cap_s, self.first_s + (top - self.first_s) * draw())

    def after(self, last_s: float | None, lasted_s: float) -> float | None:
        """Tell the last wait to count from, after a connection that lasted `lasted_s` seconds."""
        return None if last_s is None or lasted_s >= self.lasting_s else min(last_s, BROKEN_S)
