"""Draws docs/figures/*.svg: python -m bench.figures

The false positives are those of docs/statistics-tables.md, which `python -m bench.calibrate`
writes. The looks are one simulated experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

from bench.calibrate import DOCS, LOOKS, Bench, comparisons

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 320, 62, 34, 16, 46
# greys and hues that stand on white and on black
INK, GRID = "#7a7f87", "#9aa0a844"
BLUE, RED, GREEN, AMBER = "#3b82d6", "#d9534f", "#2f9e63", "#c47f17"
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

    def svg(self) -> str:
        return "\n".join([*self.parts, "</svg>\n"])

    def save(self, name: str) -> None:
        (DOCS / "figures").mkdir(parents=True, exist_ok=True)
        (DOCS / "figures" / name).write_text(self.svg(), "utf-8")


def table(name: str) -> list[list[str]]:
    """Return the rows that `calibrate` wrote under a name, without the head."""
    page = (DOCS / "statistics-tables.md").read_text("utf-8")
    _, _, found = page.partition(f"<!-- calibrate: {name} -->\n")
    lines = found.partition("<!-- end -->")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def shares(name: str, column: int) -> list[float]:
    """Return a column of a table, for a rate of 10 % and each number of visitors."""
    return [float(row[column].rstrip("%")) / 100 for row in table(name) if row[1] == "10%"]


def false_positives() -> Chart:
    """Draw what the tables "one-look" and "many-looks" say of A/A tests."""
    sizes = [int(row[0].replace(",", "")) for row in table("one-look") if row[1] == "10%"]
    across = [(log10(size) - 3) / 3 for size in sizes]
    chart = Chart("A/A tests that show a difference, though there is none", 0, 0.7)
    for level in (0, 0.05, 0.2, 0.4, 0.6):
        chart.level(level, f"{level:.0%}")
    for x, size in zip(across, sizes, strict=True):
        chart.text(min(chart.at(x, 0)[0], WIDTH - 46), HEIGHT - 26, f"{size:,}")
    chart.text(WIDTH / 2, HEIGHT - 8, "visitors a variant (conversion rate 10 %)")
    for name, column, color, words, at in (
        ("one-look", 5, RED, "plain HyperLogLog, textbook test, 1 look", (0.87, 0.53)),
        ("many-looks", 5, AMBER, "peeking at an ordinary p-value, 100 looks", (0.64, 0.28)),
        ("many-looks", 3, GREEN, "Gimel, 100 looks", (1, 0.066)),
    ):
        chart.line(list(zip(across, shares(name, column), strict=True)), color)
        chart.text(*chart.at(*at), words, "end", color)
    return chart


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
    false_positives().save("false-positives.svg")
