"""How is an evaluation told in a line, and in full? Pure."""

from datetime import datetime

from rich.text import Text

from stui_sessiond.printable import printable
from stui_sessiond.tui.problem.problem import shown
from stui_sessiond.wire.messages.evaluation import ListedEvaluation

RUNNING = {"queued", "running"}
"""Words of those that are not over."""

_MARKS = {
    "queued": ("…", "waits"),
    "running": ("◔", "runs"),
    "done": ("✔", "done"),
    "failed": ("✖", "failed"),
    "outcome_unknown": ("?", "unknown"),
    "lost_with_image": ("✖", "lost"),
}


def outcome(one: ListedEvaluation) -> tuple[str, str]:
    """Give the mark and the word for what became of it."""
    if one.status == "done" and one.has_error:
        return "✖", "error"
    return _MARKS.get(one.status, ("?", printable(one.status, 12)))


def seconds(one: ListedEvaluation, now: float) -> float | None:
    """Tell how long it took, or takes until now; None if nobody knows."""
    if one.duration is not None:
        return float(one.duration)
    if one.status not in RUNNING:
        return None
    try:
        return max(now - datetime.fromisoformat(one.accepted_at).timestamp(), 0.0)
    except ValueError:
        return None


def duration_text(value: float | None) -> str:
    """Write a duration in six columns."""
    if value is None:
        return "     -"
    if value < 1:
        return f"{value * 1000:3.0f} ms"
    return f"{value:4.1f} s" if value < 100 else f"{value / 60:.0f} min"  # noqa: PLR2004 -- what fits


def evaluation_line(one: ListedEvaluation, now: float, *, plain: bool = False) -> Text:
    """Write an evaluation in a line: what became of it, how long it took, the code and its value.

    Args:
        one: the evaluation.
        now: seconds since 1970.
        plain: for a screen reader: words with commas, no columns.
    """
    mark, word = outcome(one)
    code = printable(" ".join((one.code or one.command).split()), 300)
    value = "" if one.display is None else printable(" ".join(one.display[:400].split()), 200)
    took = duration_text(seconds(one, now))
    if plain:
        parts = [word, took.strip(), code, value, "a process waits" if isinstance(one.debugger_id, str) else ""]
        return Text(", ".join(part for part in parts if part))
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{mark} {word:8}", "bold" if word in {"error", "failed", "lost", "runs"} else "")
    line.append(f"{took:>7}  ", "dim").append(code)
    if isinstance(one.debugger_id, str):
        line.append("  [process waits]", "italic")
    return line.append(f"  ⇒ {value}", "dim") if value else line


def evaluation_details(one: ListedEvaluation) -> Text:
    """Write all that the list has of an evaluation."""
    _, word = outcome(one)
    text = Text(f"{word}", "bold").append(
        f"  {printable(one.accepted_at)}  by {printable(one.client_id or 'nobody')}"
        f"  in {printable(one.tool_id or '-')}  image {printable(one.image_id or '-')}\n\n",
        "not bold dim",
    )
    text.append(shown(one.code or f"({one.command})", 4_000), "not bold not dim")
    if one.truncated:
        text.append(" ... (its beginning)", "dim")
    if one.display is not None:
        text.append("\n\n⇒ ", "bold").append(shown(one.display, 8_000), "not bold")
    return text
