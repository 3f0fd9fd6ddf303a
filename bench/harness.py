"""Rounds in turn, medians of ratios, the table and the machine it was measured on."""

import os
import platform
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "bench"
DOCS = ROOT / "docs"
PAGE = ROOT / "bench" / "README.md"

Lines = list[tuple[str, ...]]
# name, head of the table, its lines
Section = tuple[str, tuple[str, ...], Lines]
Rounds = dict[str, list[float]]


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, what came out, the goal and whether it is met."""

    what: str
    value: str
    ratio: str = ""
    spread: str = ""
    goal: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        mark = {True: "✓", False: "✗", None: ""}[self.met]
        return self.what, self.value, self.ratio, self.spread, f"{self.goal} {mark}".strip()


HEAD = ("measured", "median", "ratio", "quartiles of the ratio", "goal")


def in_turn(contenders: dict[str, Callable[[], float]], rounds: int) -> Rounds:
    """Ask each contender for a figure in each round. Every second round goes backwards."""
    found: Rounds = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        for name in names if number % 2 else reversed(names):
            found[name].append(contenders[name]())
    return found


def ratio_row(
    what: str,
    own: Sequence[float],
    base: Sequence[float],
    unit: str,
    against: str,
    at_most: float | None = None,
) -> Row:
    """The median, and the median and quartiles of the ratio to `base`, round by round."""
    ratios = [mine / other for mine, other in zip(own, base, strict=True)]
    median = statistics.median(own)
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Row(
        what,
        f"{median:.{0 if median >= 100 else 1}f} {unit}",
        f"{middle:.2f}× {against}",
        f"{low:.2f}–{high:.2f}",
        f"≤ {at_most}×" if at_most else "",
        middle <= at_most if at_most else None,
    )


def machine() -> str:
    """Cores, processor, system, Python and day, without a name of the machine."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    cpu = found[1].strip() if found else platform.machine()
    return (
        f"{os.cpu_count()} cores of {cpu}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    )


def show(title: str, head: Iterable[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a table to the terminal."""
    table = Table(*head, title=title, title_justify="left")
    for cells in lines:
        table.add_row(*cells)
    Console(width=None if os.isatty(1) else 140).print(table)


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def write(section: str, text: str, page: Path = PAGE) -> None:
    """Put the text between a section's two markers in a page of the docs."""
    begin, end = f"<!-- bench:{section} -->", f"<!-- /bench:{section} -->"
    content = page.read_text("utf-8")
    before, _, rest = content.partition(begin)
    _, closing, after = rest.partition(end)
    if not closing:
        raise SystemExit(f"{page.name} has no markers for {section}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def report(sections: Iterable[Section], *, into_page: bool) -> None:
    """Print the sections' tables. `into_page` also puts them into bench/README.md."""
    for section, head, lines in sections:
        show(f"{section}: {machine()}", head, lines)
        if into_page:
            write(section, f"{machine()}.\n\n{markdown(head, lines)}")
