"""How are times and durations told to people? Pure."""

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def ago(seconds: float) -> str:
    """Tell how long ago something was, in a few letters: `now`, `40 s ago`, `3 min ago`, `2 h ago`, `5 d ago`."""
    return "now" if seconds < 1 else f"{lasting(seconds)} ago"


def lasting(seconds: float) -> str:
    """Tell a duration: `40 s`, `3 min`, `2 h`, `5 d`."""
    if seconds < MINUTE:
        return f"{max(0, round(seconds))} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min"
    if seconds < DAY:
        return f"{seconds // HOUR:.0f} h"
    return f"{seconds // DAY:.0f} d"


def since(text: str | None, now: float) -> str:
    """Tell how long ago an RFC 3339 time was; `-` where there is none."""
    if not text:
        return "-"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return "-"
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return ago(max(0.0, now - moment.timestamp()))


def latency(seconds: float) -> str:
    """Tell how long an answer took: `0.4 ms`, `35 ms`, `2.1 s`."""
    if seconds < 0.01:  # noqa: PLR2004 -- where a digit more says something
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
