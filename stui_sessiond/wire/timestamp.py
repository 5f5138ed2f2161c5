"""How is a time written on the wire? UTC, RFC 3339, milliseconds, `Z` (PROTOCOL.md, Times)."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=64)
def _second(unix_second: int) -> str:
    return datetime.fromtimestamp(unix_second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def format_time(unix_seconds: float) -> str:
    """Write a time given as seconds since 1970, cut (not rounded) to the millisecond."""
    milliseconds = int(unix_seconds * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"
