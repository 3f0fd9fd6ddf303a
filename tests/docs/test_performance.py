"""docs/performance.md has no figure of its own: each is in a table of bench/README.md."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "performance.md").read_text("utf-8")
MEASURED = (ROOT / "bench" / "README.md").read_text("utf-8")
NUMBER = r"(?<![\w.,])\d[\d,]*(?:\.\d+)?"


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


FIGURES = set(re.findall(NUMBER, "\n".join(rows(MEASURED))))


@pytest.mark.parametrize("row", rows(PAGE))
def test_a_row_has_measured_figures(row: str) -> None:
    _, *cells = row.strip("| ").split(" | ")
    assert set(re.findall(NUMBER, " ".join(cells))) <= FIGURES


@pytest.mark.parametrize(
    "figure",
    ["1.24", "2.14", "1.27", "4.44", "112", "0.31", "28", "47.9", "2.8", "67", "1.5", "46"],
)
def test_a_sentence_has_measured_figures(figure: str) -> None:
    assert re.search(rf"(?<![\w.,]){figure}(?![\d,.]*\d)", PAGE)
    assert figure in FIGURES


def test_every_link_of_the_measurements_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", MEASURED):
        assert link.startswith("https:") or (ROOT / "bench" / link).exists(), link
