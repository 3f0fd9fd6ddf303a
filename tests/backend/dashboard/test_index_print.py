"""The page on paper, and in a window that it just fills."""

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import Opener, axe
from tests.support.gimel_local import LocalBackend

HEIGHTS = "[document.scrollingElement.scrollHeight, innerHeight]"


@pytest.mark.parametrize("size", [(1280, 800), (360, 780)])
def test_a_short_view_is_as_tall_as_the_window(
    shop: LocalBackend, visit: Opener, size: tuple[int, int]
) -> None:
    page = visit(shop.url, {"namespace": "shop", "experiment": "no such"}, size=size)
    expect(page.get_by_text("There is no such experiment in the namespace")).to_be_visible()
    content, window = page.evaluate(HEIGHTS)
    assert content == window


def test_paper_shows_figures_and_alarm_without_controls(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop", "experiment": "Lopsided"}, color_scheme="dark")
    alarm = page.get_by_role("alert").filter(has_text="The split is wrong")
    expect(alarm).to_be_visible()
    page.emulate_media(media="print", color_scheme="dark")
    controls = page.locator("button:not(.tip), input, .theme, .live, .skip")
    assert controls.count() > 8
    assert [each for each in controls.all() if each.is_visible()] == []
    expect(alarm).to_be_visible()
    style = "each => [getComputedStyle(each).printColorAdjust, getComputedStyle(each).color]"
    assert alarm.evaluate(style) == ["exact", "rgb(255, 255, 255)"]
    # Light paper, whatever the screen
    assert page.locator(".results th .name").first.evaluate(style)[1] == "rgb(22, 26, 35)"
    assert axe(page) == []
    expect(page.locator(".results")).to_contain_text("10.0%")


def test_paper_shows_the_namespace_of_the_overview(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop"})
    expect(page.locator(".list tbody tr")).to_have_count(4)
    page.emulate_media(media="print")
    expect(page.get_by_label("Namespace")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_hidden()
    expect(page.get_by_role("button", name="New experiment")).to_be_hidden()
