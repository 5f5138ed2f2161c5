"""How did the figures go over time? A small SVG: one panel for each, minutes to the right, what warms up in grey."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, TOP, GAP_X, GAP_Y, COLUMNS = 300, 110, 62, 30, 76, 58, 3
COLOURS = ("#1b6ca8", "#b8472a", "#4a7c2c")
DOTS = 400
"""Points of a line, at most; of more, the highest of neighbours is drawn, so that no peak is hidden."""


class Panel(msgspec.Struct, frozen=True):
    """A title, and lines by their names; seconds and values."""

    title: str
    lines: Mapping[str, Points]


def draw(panels: Sequence[Panel], warm_s: float, path: Path) -> None:
    """Draw panels in rows, all over the same time."""
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * (WIDTH + GAP_X) + 20, rows * (HEIGHT + GAP_Y) + 12
    end_s = max(points[-1][0] for panel in panels for points in panel.lines.values())
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    parts = [head + 'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>']
    for number, panel in enumerate(panels):
        left = LEFT + number % COLUMNS * (WIDTH + GAP_X)
        top = TOP + number // COLUMNS * (HEIGHT + GAP_Y)
        parts += _panel(panel, left, top, warm_s, end_s)
    path.write_text("\n".join([*parts, "</svg>", ""]), "utf-8")


def _panel(panel: Panel, left: float, top: float, warm_s: float, end_s: float) -> list[str]:
    highest = _round_up(max(value for points in panel.lines.values() for _, value in points))
    parts = [
        f'<text x="{left}" y="{top - 10}" font-weight="bold">{panel.title}</text>',
        f'<rect x="{left}" y="{top}" width="{warm_s / end_s * WIDTH:.1f}" height="{HEIGHT}" fill="#eee"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        y = top + HEIGHT * (1 - share)
        parts.append(f'<line x1="{left}" x2="{left + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{highest * share:,.6g}</text>')
        x = left + WIDTH * share
        label = f"{end_s * share / 60:.3g}" + (" min" if share == 1 else "")
        parts.append(f'<text x="{x:.1f}" y="{top + HEIGHT + 14}" text-anchor="middle">{label}</text>')
    for number, (name, points) in enumerate(panel.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        dots = [
            f"{left + at / end_s * WIDTH:.1f},{top + HEIGHT * (1 - value / highest):.1f}"
            for at, value in _peaks(points)
        ]
        parts.append(f'<polyline points="{" ".join(dots)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if len(panel.lines) > 1:
            x = left + WIDTH - 64 * (len(panel.lines) - number)
            parts.append(f'<text x="{x}" y="{top - 10}" fill="{colour}">{name}</text>')
    return parts


def _peaks(points: Points) -> list[tuple[float, float]]:
    step = -(-len(points) // DOTS)
    return [max(points[start : start + step], key=lambda point: point[1]) for start in range(0, len(points), step)]


def _round_up(value: float) -> float:
    """The next number that reads well."""
    for power in range(-3, 12):
        for digit in (1, 2, 4, 6, 8):
            if digit * 10.0**power >= value:
                return digit * 10.0**power
    return value
