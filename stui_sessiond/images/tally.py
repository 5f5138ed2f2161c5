"""What came of the code that images were asked to run, and how long did it take?"""

from collections import Counter

from stui_sessiond.counting import SLOW_S, Histogram


class EvaluationTally:
    """Requests that ran code in images, since the start."""

    __slots__ = ("ended", "took")

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        """By outcome: `ok`; `error`, one that the code met; `interrupted`; or the code of the error it ended with."""
        self.took = Histogram(SLOW_S)
        """From the request to the image's answer, or to what came instead of it, in seconds."""

    def note(self, outcome: str, took_s: float) -> None:
        """Count one that has ended."""
        self.ended[outcome] += 1
        self.took.note(took_s)
