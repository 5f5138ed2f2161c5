"""What does cost look like as work grows? A small SVG: one panel for each thing that grows, both axes logarithmic."""

import math
from pathlib import Path

from benchmarks.harness.report import Point

WIDTH, HEIGHT, LEFT, TOP, GAP = 260, 190, 46, 26, 30
COLOURS = {"get_session_info": "#1b6ca8", "update_session_state": "#b8472a", "evaluate": "#4a7c2c"}


def write_plot(points: list[Point], path: Path) -> None:
    """Draw the points."""
    kinds = list(dict.fromkeys(point.of for point in points))
    width = len(kinds) * (WIDTH + GAP) + LEFT
    lowest = 10.0 ** math.floor(math.log10(min(point.cost_us for point in points)))
    highest = 10.0 ** math.ceil(math.log10(max(point.cost_us for point in points)) + 0.01)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + TOP + 44}" '
    parts = [head + 'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>']
    for number, kind in enumerate(kinds):
        parts += _panel(kind, [p for p in points if p.of == kind], LEFT + number * (WIDTH + GAP), lowest, highest)
    path.write_text("\n".join([*parts, "</svg>", ""]), "utf-8")


def _panel(kind: str, points: list[Point], left: float, lowest: float, highest: float) -> list[str]:
    sizes = sorted({point.size for point in points})
    span = math.log10(sizes[-1] / sizes[0]) or 1

    def x(size: int) -> float:
        return left + math.log10(size / sizes[0]) / span * (WIDTH - 30)

    def y(cost: float) -> float:
        return TOP + HEIGHT * (1 - math.log10(cost / lowest) / math.log10(highest / lowest))

    parts = [f'<text x="{left}" y="{TOP - 10}">microseconds of processor, by {kind}</text>']
    step = lowest
    while step <= highest * 1.01:
        parts.append(
            f'<line x1="{left}" x2="{left + WIDTH - 30}" y1="{y(step):.1f}" y2="{y(step):.1f}" stroke="#ddd"/>'
        )
        parts.append(f'<text x="{left - 6}" y="{y(step) + 4:.1f}" text-anchor="end">{step:g}</text>')
        step *= 10
    parts += [f'<text x="{x(s):.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{s:,}</text>' for s in sizes]
    for number, series in enumerate(dict.fromkeys(point.series for point in points)):
        line = sorted((p for p in points if p.series == series), key=lambda p: p.size)
        colour = COLOURS.get(series, "#555")
        path = " ".join(f"{x(p.size):.1f},{y(p.cost_us):.1f}" for p in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(p.size):.1f}" cy="{y(p.cost_us):.1f}" r="3" fill="{colour}"/>' for p in line]
        parts.append(f'<text x="{left + 120 * number}" y="{TOP + HEIGHT + 34}" fill="{colour}">{series}</text>')
    return parts
