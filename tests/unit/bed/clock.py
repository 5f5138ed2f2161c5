"""A clock that goes on only when a test says so."""


class FakeClock:
    """Tells the time it was set to, in seconds since 1970."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
