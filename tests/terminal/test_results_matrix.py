"""`gimel results --matrix` at every width: no name is cut."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from gimel.terminal.results import show_matrix

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
