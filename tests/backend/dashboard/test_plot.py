"""The intervals on the page: their axis stands where their zero lines are, at any width."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard_page import Opener, address
from tests.support.gimel_local import LocalBackend

ZEROS = """() => {
  const middle = (each) => {
    const { x, width } = each.getBoundingClientRect();
    return x + width / 2;
  };
  return [...document.querySelectorAll("table:has(.axis)")].map((table) => ({
    axis: middle(table.querySelector(".axis text")),
    lines: [...table.querySelectorAll("tbody .zero")]
      .filter((each) => each.checkVisibility()).map(middle),
  }));
}"""


def distance(page: Page) -> float:
    """Return how far a table's zero line is from the zero of its axis, at most."""
    tables = page.evaluate(ZEROS)
    assert all(table["lines"] for table in tables)
    return max(abs(line - table["axis"]) for table in tables for line in table["lines"])


@pytest.mark.parametrize("experiment", [None, "Button 10"])
def test_the_axis_stands_above_the_zero_lines(
    shop: LocalBackend, visit: Opener, experiment: str | None
) -> None:
    page = visit(shop.url, {"namespace": "shop"})
    if experiment:
        page.goto(address(shop.url, namespace="shop", experiment=experiment))
    expect(page.locator(".results" if experiment else ".list tbody tr").first).to_be_visible()
    for width in (360, 361, 520, 768, 959, 960, 961, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert distance(page) < 1, width
    page.emulate_media(media="print")
    for width in (718, 1047):  # of A4, upright and across
        page.set_viewport_size({"width": width, "height": 1000})
        assert distance(page) < 1, width
