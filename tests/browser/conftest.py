"""A site with pages to test, and a page that fails its test at an error."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from gimel.alephbet import ALEPHBET_URL
from tests.support.shop import Shop, serve_alephbet


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose CDN is answered from npm's package. Errors in the page fail the test."""
    context = browser.new_context()
    context.route(ALEPHBET_URL, serve_alephbet)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()
