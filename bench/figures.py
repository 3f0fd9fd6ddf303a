"""Draws docs/figures/*.svg from the simulations of calibrate.py: python -m bench.figures"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

from bench.calibrate import DOCS, LOOKS, Bench, comparisons, one_look

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 320, 62, 34, 16, 46
# greys and hues that stand on white and on black
INK, GRID = "#7a7f87", "#9aa0a844"
BLUE, RED, GREEN = "#3b82d6", "#d9534f", "#2f9e63"
Points = Sequence[tuple[float, float]]


class Chart:
    """A chart of `x` from 0 to 1 and `y` between two values."""

    def __init__(self, title: str, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}" role="img" '
            f'aria-label="{title}">',
            f'<text x="{LEFT}" y="18" font-weight="600">{title}</text>',
        ]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = LEFT + x * (WIDTH - LEFT - RIGHT)
        part = (min(max(y, self.low), self.high) - self.low) / (self.high - self.low)
        return across, HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def text(
        self, x: float, y: float, words: str, anchor: str = "middle", color: str = INK
    ) -> None:
        self.parts.append(
            f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{color}">{words}</text>'
        )

    def level(self, y: float, words: str) -> None:
        left, height = self.at(0, y)
        self.parts.append(
            f'<path d="M{left:.0f} {height:.1f}H{WIDTH - RIGHT}" stroke="{GRID}" fill="none"/>'
        )
        self.text(left - 6, height + 4, words, "end")

    def line(self, points: Points, color: str, *, dashed: bool = False) -> None:
        path = "L".join("{:.1f} {:.1f}".format(*self.at(x, y)) for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<path d="M{path}" stroke="{color}" stroke-width="2" fill="none"{dash}/>'
        )

    def save(self, name: str) -> None:
        (DOCS / "figures").mkdir(parents=True, exist_ok=True)
        (DOCS / "figures" / name).write_text("\n".join([*self.parts, "</svg>\n"]), "utf-8")


def false_positives() -> None:
    bench = Bench(rates=(0.1,))
    _, *rows = one_look(bench)
    chart = Chart("False positives of A/A tests, one look, rate 10 % (nominal: 5 %)", 0, 0.7)
    for share in (0, 0.05, 0.2, 0.4, 0.6):
        chart.level(share, f"{share:.0%}")
    across = [(log10(size) - 3) / 3 for size in bench.sizes]
    for x, size in zip(across, bench.sizes, strict=True):
        chart.text(min(chart.at(x, 0)[0], WIDTH - 46), HEIGHT - 26, f"{size:,}")
    chart.text(WIDTH / 2, HEIGHT - 8, "visitors a variant")
    series = (
        (5, RED, "textbook test, 1 HyperLogLog"),
        (4, BLUE, "Gimel, 1 shard"),
        (3, GREEN, "Gimel, 64 shards"),
    )
    for place, (column, color, words) in enumerate(series):
        shares = [float(str(row[column]).rstrip("%")) / 100 for row in rows]
        chart.line(list(zip(across, shares, strict=True)), color, dashed=column == 4)
        chart.text(LEFT + 12, TOP + 22 + 18 * place, words, "start", color)
    chart.save("false-positives.svg")


def looks() -> None:
    """The A/A experiment, of two hundred, that came nearest to fooling the fixed interval early."""
    bench = Bench(pool=50)
    a, b = (bench.arm(100_000, 0.1, 64, LOOKS, 200) for _ in "ab")
    path = max(comparisons(b, a, 64), key=lambda path: sum(look.p_value < 0.05 for look in path))
    chart = Chart("One A/A experiment: no difference, 100 looks", -0.15, 0.15)
    for lift in (-0.1, 0, 0.1):
        chart.level(lift, f"{lift:+.0%}" if lift else "lift 0")
    steps = [(look + 1) / LOOKS for look in range(LOOKS)]
    for side in (0, 1):
        for color, kind in ((RED, "lift_interval"), (GREEN, "lift_interval_always_valid")):
            found = [(x, getattr(look, kind)) for x, look in zip(steps, path, strict=True)]
            chart.line([(x, bounds[side]) for x, bounds in found if bounds], color)
    for x in (0.1, 0.5, 1):
        chart.text(min(chart.at(x, 0)[0], WIDTH - 40), HEIGHT - 26, f"{round(x * 100_000):,}")
    chart.text(WIDTH / 2, HEIGHT - 8, "visitors a variant")
    chart.text(WIDTH - RIGHT, TOP + 14, "95 % interval for one look", "end", RED)
    chart.text(WIDTH - RIGHT, TOP + 32, "95 % interval for any number of looks", "end", GREEN)
    chart.save("looks.svg")


if __name__ == "__main__":
    looks()
    false_positives()
