"""The length of the pages: a reader finds an answer on a page that can be read in eight minutes."""

from pathlib import Path

import pytest

from tests.support.pages import PAGES, name_of

WORDS = 1800
# README.md is what a newcomer reads in two minutes.
BOUNDS = {"README.md": 899}
# The formulas with their derivations and sources, and the tables of their simulations
WITHOUT_BOUND = {"statistics.md", "statistics-tables.md"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_is_short(page: Path) -> None:
    if page.name not in WITHOUT_BOUND:
        assert len(page.read_text("utf-8").split()) <= BOUNDS.get(name_of(page), WORDS)


def test_only_pages_that_exist_may_be_longer() -> None:
    assert {page.name for page in PAGES} >= WITHOUT_BOUND
