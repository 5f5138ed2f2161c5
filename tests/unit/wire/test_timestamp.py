"""Times on the wire."""

import pytest

from stui_sessiond.wire.timestamp import format_time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1756549800, "2025-08-30T10:30:00.000Z"),
        (1756549800.25, "2025-08-30T10:30:00.250Z"),
        (1756549800.9999, "2025-08-30T10:30:00.999Z"),
        (951782400, "2000-02-29T00:00:00.000Z"),
    ],
)
def test_time_is_written(seconds: float, text: str) -> None:
    """UTC with milliseconds, cut and not rounded."""
    assert format_time(seconds) == text
