"""The figures of a goal at every width: no name and no number is cut, and no line is too long."""

import io
import re
from typing import Any

import pytest
from rich.cells import cell_len, set_cell_size
from rich.console import Console

from gimel.terminal.goal_table import show_goal
from gimel.terminal.text import plain

VISITORS = "12,345,678"
WIDTHS = (40, 59, 60, 79, 80, 99, 100, 120, 200)
HEADLINES = [
    "homepage headline: plain",
    "homepage headline: Try it free",
    "homepage headline: bold",
]
HOSTILE = [
    "[red]red[/red] [/] [bold",
    "\x1b[2J\u202egnp.exe",
    "非常に長い名前" * 8,
    "אדום: 50%",
    "x" * 256,
]


def goal(labels: list[str], kind: str = "unique") -> dict[str, Any]:
    row = {
        "trials": 12_345_678,
        "successes": 1_234_567,
        "rate": 0.1,
        "rate_interval": [0.0969, 0.1031],
    }
    baseline = row | {"lift": None, "lift_interval_always_valid": None, "chance_to_be_best": 0.01}
    other = row | {"lift": 0.05, "lift_interval_always_valid": [-0.041, 0.152]}
    other["chance_to_be_best"] = None
    rows = [(baseline if label == labels[0] else other) | {"label": label} for label in labels]
    return {"kind": kind, "better": "higher", "results": rows}


def shown(width: int, found: dict[str, Any]) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    show_goal(console, found, found["results"][0]["label"])
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def names_in(lines: list[str]) -> str:
    """The column of names, or whole blocks, without the spaces at which names wrap."""
    end = max(cell_len(line.partition(VISITORS)[0]) for line in lines if VISITORS in line)
    is_table = lines[0].startswith("Variant")
    return re.sub(r"\s", "", "".join(set_cell_size(x, end) if is_table else x for x in lines))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["unique", "total", "value"])
def test_no_name_and_no_number_is_cut(width: int, kind: str) -> None:
    labels = [*HEADLINES, *HOSTILE]
    lines = shown(width, goal(labels, kind))
    text = "\n".join(lines)
    assert all(cell_len(line) <= width for line in lines)
    assert "…" not in text
    assert "\x1b" not in text
    for label in labels:
        assert re.sub(r"\s", "", plain(label)) in names_in(lines)
    assert text.count(VISITORS) == len(re.findall(r"\b1,234,567\b", text)) == 8
    assert text.count("+5.0%") == 7
    assert text.count("–") == 7


@pytest.mark.parametrize("width", WIDTHS)
def test_the_bounds_are_printed_from_100_columns_on_and_in_blocks(width: int) -> None:
    for labels in (["a", "b"], HEADLINES, HOSTILE):
        lines = shown(width, goal(labels))
        compared = len(labels) - 1
        has_bounds = width >= 100 or width < 60
        assert "\n".join(lines).count("-4.1% to +15.2%") == (compared if has_bounds else 0)
        drawn = sum("●" in line for line in lines)
        assert drawn == compared or not 80 <= width < 100


def test_three_headlines_take_one_line_each_at_120_columns() -> None:
    lines = shown(120, goal(HEADLINES))
    assert [line.partition(VISITORS)[0].strip() for line in lines[1:]] == HEADLINES
    assert sum("●" in line for line in lines) == 2
    assert sum("±0.31" in line for line in lines) == 3


def test_columns_give_way_to_names() -> None:
    """The margin goes first, then the bar."""
    of_name = {
        length: "".join(shown(100, goal(["a" * length, "b" * length]))) for length in (8, 20, 30)
    }
    assert [("±" in text, "●" in text, " to +" in text) for text in of_name.values()] == [
        (True, True, True),
        (False, True, True),
        (False, False, True),
    ]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_zero_stands_in_one_column(width: int) -> None:
    found = goal(["a", "b", "c", "d"])
    for row, interval in zip(
        found["results"][1:], ([-0.4, -0.2], [-0.1, 0.1], [0.3, 0.4]), strict=True
    ):
        row |= {"lift_interval_always_valid": interval, "lift": sum(interval) / 2 + 0.05}
    lines = shown(width, found)
    assert len({line.index("│") for line in lines[2:]}) == 1
    assert lines[2].index("●") < lines[2].index("│") < lines[4].index("●")


def test_a_block_has_a_line_for_each_figure() -> None:
    lines = shown(40, goal(["blue", "red"]))
    assert [line.strip() for line in lines[lines.index("red") :]] == [
        "red",
        "Visitors        12,345,678",
        "Conv.           1,234,567",
        "Rate            10.00% ±0.31",
        "Lift            +5.0%",
        "Any time, 95 %  -4.1% to +15.2%",
        "Best            –",
    ]
    assert "Lift            baseline" in lines[lines.index("blue") + 4]


def test_a_name_of_invisible_characters_ends_after_256_characters() -> None:
    lines = shown(120, goal(["a", "\u200b" * 256]))
    assert len(lines) < 12
    assert lines[-1].split()[0].endswith("…")
