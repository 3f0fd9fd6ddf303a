"""Heads of columns that explain themselves: on hover, on focus, and in a list on narrow screens."""

import re

from playwright.sync_api import expect

from tests.support.dashboard_page import Opener, axe
from tests.support.gimel_local import LocalBackend

BUTTON = {"namespace": "shop", "experiment": "Button 10"}


def test_a_head_explains_itself_on_hover_and_focus(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, BUTTON)
    term, tip = page.get_by_role("button", name="Chance to be best"), page.locator("#tip")
    expect(tip).to_be_hidden()
    term.hover()
    expect(tip).to_contain_text("95% can stand beside “keep collecting”")
    # The pointer may rest on it.
    tip.hover()
    expect(tip).to_be_visible()
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.mouse.move(0, 0)
    page.get_by_role("button", name="Lift interval").last.focus()
    expect(tip).to_contain_text("The lifts that the counts allow")
    page.keyboard.press("Tab")
    expect(term).to_be_focused()
    expect(term).to_have_accessible_description(re.compile("How likely this variant is the best"))
    expect(tip).to_contain_text("How likely")
    assert axe(page) == []


def test_every_head_with_figures_is_explained(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop"})
    expect(page.locator(".list tbody tr")).to_have_count(4)
    sorters = page.locator(".list thead .sorter, .list thead .tip")
    assert sorters.count() == 6
    for head in sorters.all():
        expect(head).to_have_accessible_description(re.compile(r"\w+.*\."))
    page = visit(shop.url, BUTTON)
    page.get_by_text("All figures").click()
    heads = page.locator(":is(.goal, .all-goals) thead :is(.number, .wide)")
    heads = heads.filter(has_not=page.locator("bdi"))
    # Of all goals, of the chosen one, and of all its figures
    assert heads.count() == 2 + 6 + 6
    for head in heads.all():
        expect(head.get_by_role("button")).to_have_accessible_description(re.compile(r"\w+.*\."))


def test_the_explanation_stays_inside_the_window(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, BUTTON, size=(1000, 500))
    for name in ("Goal", "Verdict", "Chance to be best", "Expected loss"):
        if name == "Expected loss":
            page.get_by_text("All figures").click()
        page.get_by_role("button", name=name, exact=True).hover()
        box = page.locator("#tip").bounding_box()
        assert box
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 1000
        assert 0 <= box["y"] <= box["y"] + box["height"] <= 500


def test_a_narrow_screen_lists_what_the_figures_mean(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, BUTTON, size=(360, 700))
    expect(page.get_by_role("button", name="Chance to be best")).to_have_count(0)
    page.get_by_text("What the figures mean").last.click()
    expect(
        page.get_by_role("definition").filter(has_text="How likely this variant is the best")
    ).to_be_visible()
    # A table that scrolls has its heads.
    page.get_by_text("All figures").click()
    heads = page.get_by_role("region", name="All figures").get_by_role("columnheader")
    assert heads.all_inner_texts()[1:3] == ["p, any time", "p, corrected"]
    assert axe(page) == []
