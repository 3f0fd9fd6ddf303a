"""`gimel results --matrix`: its order, and names at every width."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from gimel.client import BackendClient
from gimel.terminal.results import show_matrix
from tests.support.commands import count, run, said

LABELS = ("homepage headline: Try it free", "[red]\u202e", "非常に長い名前", "x" * 256)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_name_is_cut(width: int) -> None:
    rows = [
        {"label": label, "successes": 30_000 + n, "sum": None, "relative_variance": None}
        for n, label in enumerate(LABELS)
    ]
    goal = {"goal": "g", "kind": "unique", "samples": None, "results": rows}
    experiment = {"experiment": "e", "counting": {"relative_error": 0.001}, "goals": [goal]}
    variants = [{"label": label, "trials": 10**6} for label in LABELS]
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    show_matrix(console, [experiment | {"variants": variants}])
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "…" not in text
    assert text.count("·") == 4
    assert len(re.findall(r"[+-]\d\.\d%", text)) == 4 * 3
    assert text.count("x") % 256 == 0
    assert "[red]\\u{202e}" in text
    if width >= 80:
        assert re.search(r"\d homepage headline: Try it free ", text)


def test_goals_and_variants_stand_as_in_the_dashboard(url: str) -> None:
    goals = ["goal 10", "goal 2", "main"]
    arms = {"v10": 40, "v2": 40, "control": 40}
    count("order", arms, {goal: dict.fromkeys(arms, 9) for goal in goals})
    BackendClient(url).configure("order", {"baseline": "control", "primary_goal": "main"})
    lines = said(run("results", "order", "--url", url, "--matrix")).splitlines()
    assert [line.partition("  ")[0] for line in lines if "  … keep" in line] == [
        *("main", "goal 2", "goal 10")
    ]
    names = [line.split()[0] for line in lines if re.match(r"(control|v\d+) ", line)]
    assert names == ["control", "v2", "v10"] * 3
    columns = [line.split()[:2] for line in lines if re.match(r"\d (control|v\d+) ", line)]
    assert columns == [["1", "control"], ["2", "v2"], ["3", "v10"]] * 3
