"""The figure of false positives shows what docs/statistics-tables.md says."""

import pytest

from bench import figures


def test_the_committed_figure_is_drawn_from_the_tables() -> None:
    committed = (figures.DOCS / "figures/false-positives.svg").read_text("utf-8")
    assert committed == figures.false_positives().svg()


def test_a_column_of_a_table_is_read() -> None:
    found = figures.shares("one-look", 5)
    assert found == pytest.approx([0.0515, 0.0613, 0.1687, 0.6152])
