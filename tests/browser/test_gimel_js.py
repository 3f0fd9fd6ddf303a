"""`gimel.js` in Chromium, on a page as `gimel snippet` prints it, against a real backend."""

from playwright.sync_api import Page

from gimel.snippet import snippet
from tests.support.gimel_local import LocalBackend
from tests.support.gimel_page import counts, wait_until_sent
from tests.support.shop import Shop


def test_a_visitor_takes_part_and_reaches_a_goal(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    html = snippet(local.url, experiment="button color", variants={"blue": 80, "red": 20})
    shop.html = (
        f"<!doctype html><title>Shop</title>{html}<button data-gimel-goal=signup>Go</button>"
    )
    page.goto(shop.url)
    assert page.locator("html").get_attribute("data-gimel-button-color") in ("blue", "red")
    page.get_by_text("Go").click()
    wait_until_sent(page)
    assert counts(local.client, "button color") == (1, 1)
