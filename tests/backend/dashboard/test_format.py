"""Figures and names beside English words, whatever the reader's language."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import Opener, address, row
from tests.support.gimel_local import LocalBackend


@pytest.mark.parametrize("locale", ["ar-EG", "he-IL", "fa-IR"])
def test_figures_keep_the_order_of_the_words_around_them(
    shop: LocalBackend, visit: Opener, locale: str
) -> None:
    page = visit(shop.url, {"namespace": "shop", "experiment": "Button 10"}, locale=locale)
    red = row(page, "red")
    expect(red.locator("[data-label=Lift] .sub")).to_have_text(
        re.compile(r"\+\d[\d.]*% to \+\d[\d.]*%")
    )
    expect(page.locator(".facts").first).to_contain_text(re.compile(r"4,0\d\d visitors"))
    page.goto(address(shop.url, namespace="shop"))
    expect(page.locator(".list tbody tr")).to_have_count(4)
    # Neither another script's digits nor marks of direction
    assert not re.search(r"[\u0590-\u08ff\u200e\u200f]", page.locator("body").inner_text())


def test_names_in_controls_have_their_own_direction(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop", "experiment": "Button 10"})
    expect(page.get_by_label("Compared with").locator("option").first).to_have_attribute(
        "dir", "auto"
    )
    page.goto(address(shop.url, namespace="shop", find="כפתור"))
    search = page.get_by_role("searchbox")
    expect(search).to_have_value("כפתור")
    assert search.evaluate("each => getComputedStyle(each).direction") == "rtl"
