"""How is a time written on the wire? UTC, RFC 3339, milliseconds, `Z` (PROTOCOL.md, Times)."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=64)
def _second(unix_second: int) -> str:
    return datetime.fromtimestamp(unix_second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=64)
def _millisecond(unix_millisecond: int) -> str:
    return f"{_second(unix_millisecond // 1000)}.{unix_millisecond % 1000:03d}Z"


def format_time(unix_seconds: float) -> str:
    """Write a time given as seconds since 1970, cut (not rounded) to the millisecond."""
    return _millisecond(int(unix_seconds * 1000))
