"""What happened while the user was away, in a few lines? Pure."""

from msgspec import UNSET

from stui_sessiond.printable import printable
from stui_sessiond.tui.moment import lasting, since
from stui_sessiond.wire.messages.event import GetDigestResult

MAX_ROWS = 8
"""Of each kind: more is a list to be looked at with a tool."""

CODE_CHARS = 44
"""Of an expression: with the rest of the line it fits into 80."""


def is_news(digest: GetDigestResult, own: str | None) -> bool:
    """Tell whether there is anything that the user did not see, or do, before."""
    others = any(change.client_id != own for change in digest.changes)
    came = any(note.client_id != own for note in digest.clients)
    lost = digest.gap is not UNSET
    return bool(digest.finished or digest.running or digest.images or digest.output_chars or others or came or lost)


def digest_lines(digest: GetDigestResult, own: str | None, away_s: float, now: float) -> list[str]:
    """Tell it, the most important first."""
    lines = [f"You were away for {lasting(away_s)}."]
    if digest.gap is not UNSET:
        lines.append(f"? Not all of it is known: {printable(digest.gap.reason)}")
    failed = sum(one.has_error for one in digest.finished)
    if digest.finished:
        lines += [
            "",
            f"{len(digest.finished)} evaluations finished" + (f", {failed} with an error:" if failed else ":"),
        ]
        for one in digest.finished[:MAX_ROWS]:
            mark = "! " if one.has_error else "  "
            code = printable(one.code or one.evaluation, CODE_CHARS)
            lines.append(f"{mark}{code} -> {printable(one.display or one.status, CODE_CHARS)}")
        lines += _more(len(digest.finished))
    if digest.running:
        lines += ["", f"{len(digest.running)} still running:"]
        lines += [
            f"  {printable(one.code or one.evaluation, CODE_CHARS)}, since {since(one.at, now)}"
            for one in digest.running[:MAX_ROWS]
        ]
        lines += _more(len(digest.running))
    changes = [change for change in digest.changes if change.client_id != own]
    if changes:
        lines += ["", "Changed by others:"]
        lines += [
            f"  {printable(change.client_id or 'somebody')}: {change.count} times, last {since(change.last_at, now)}"
            for change in changes[:MAX_ROWS]
        ]
    if digest.images:
        lines += ["", "The image:"]
        lines += [f"  {note.event.replace('.', ' ')}, {since(note.at, now)}" for note in digest.images[-MAX_ROWS:]]
    if digest.output_chars:
        lines += ["", f"{digest.output_chars} characters on the Transcript; the last of them:"]
        lines += [f"  {printable(line, 70)}" for line in digest.output_tail.splitlines()[-4:]]
    return lines


def _more(count: int) -> list[str]:
    return [f"  and {count - MAX_ROWS} more"] if count > MAX_ROWS else []
