"""docs/comparison.md: each claim has its source, and each source its date."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "comparison.md").read_text("utf-8")
CLAIMS, SOURCES = PAGE.split("\n## Sources\n")


def test_each_source_is_used_and_each_number_is_a_source() -> None:
    used = {
        int(number)
        for numbers in re.findall(r"\[(\d+(?:, \d+)*)\]", CLAIMS)
        for number in numbers.split(", ")
    }
    listed = [int(number) for number in re.findall(r"^(\d+)\. ", SOURCES, re.M)]
    assert listed == sorted(used)
    assert listed == list(range(1, len(listed) + 1))


def test_each_source_has_an_address_and_a_date() -> None:
    for source in re.findall(r"^\d+\. (.*)", SOURCES, re.M):
        assert re.search(r"https://\S+$", source), source
        assert re.search(r"\bcopy\b|\d{4}-\d\d-\d\d", source), source


def test_each_row_of_another_product_has_a_source() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\* \|(.*)", CLAIMS, re.M)
    assert len(rows) == 16
    for name, cells in rows:
        if name not in ("Gimel", "200 lines of your own"):
            assert re.search(r"\[\d|no source found", cells), name
