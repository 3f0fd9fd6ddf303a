"""Going back and forth, and what the reader can switch off: position, focus, options."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard_page import (
    KEY,
    KeyedBackend,
    Opener,
    Watch,
    address,
    events,
    row,
    send,
)
from tests.support.gimel_local import LocalBackend
from tests.support.waiting import wait

LONG = 40


@pytest.fixture(name="long", scope="module")
def long_fixture(shared: LocalBackend) -> LocalBackend:
    """A namespace whose overview is longer than a window."""
    for number in range(LONG):
        send(shared.url, events("long", f"test {number:02}", {"A": (2, {"g": 1}), "B": (1, {})}))
    return shared


def scroll_to(page: Page, top: int) -> None:
    page.evaluate("top => scrollTo(0, top)", top)
    assert page.evaluate("scrollY") == top


def test_going_back_finds_the_place_again(long: LocalBackend, visit: Opener) -> None:
    page = visit(long.url, {"namespace": "long", "sort": "name"})
    expect(page.locator(".list tbody tr")).to_have_count(LONG)
    scroll_to(page, 1200)
    page.get_by_role("link", name="test 20").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("test 20")
    assert page.evaluate("scrollY") == 0
    expect(page.locator(".results")).to_be_visible()
    scroll_to(page, 40)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Experiments")
    wait(lambda: page.evaluate("scrollY") == 1200)
    page.go_forward()
    expect(page.get_by_role("heading", level=1)).to_have_text("test 20")
    wait(lambda: page.evaluate("scrollY") == 40)


def test_a_reload_finds_the_place_again(long: LocalBackend, visit: Opener) -> None:
    page = visit(long.url, {"namespace": "long"})
    expect(page.locator(".list tbody tr")).to_have_count(LONG)
    scroll_to(page, 900)
    page.reload()
    expect(page.locator(".list tbody tr")).to_have_count(LONG)
    wait(lambda: page.evaluate("scrollY") == 900)


def test_unlocking_leads_the_focus_to_the_title(keyed: KeyedBackend, visit: Opener) -> None:
    page = visit(keyed.url)
    field = page.get_by_label("Key", exact=True)
    expect(field).to_be_focused()
    field.fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This key is wrong.")).to_be_visible()
    expect(field).to_be_focused()
    field.fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".list")).to_contain_text("locked away")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.get_by_role("button", name="Forget key").click()
    expect(field).to_be_focused()


def test_a_revoked_key_closes_the_dialog(keyed: KeyedBackend, visit: Opener) -> None:
    view = {"key": KEY, "namespace": "alephbet", "experiment": "locked away"}
    page = visit(keyed.url, view, clock=True)
    page.get_by_role("button", name="Settings").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate("sessionStorage.setItem('gimel key', 'revoked')")
    page.clock.run_for(16_000)
    expect(page.get_by_text("This key is wrong.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    assert "locked away" not in page.locator("body").inner_text()


def options(page: Page, name: str, value: bool) -> None:
    page.get_by_role("button", name="Options").click()
    page.get_by_role("checkbox", name=name).set_checked(value)
    page.keyboard.press("Escape")


def test_updates_can_be_paused(shop: LocalBackend, visit: Opener, watch: Watch) -> None:
    page = visit(shop.url, {"namespace": "shop"}, clock=True)
    expect(page.locator(".list tbody tr")).to_have_count(4)
    options(page, "Update every 15 seconds", False)
    expect(page.locator("#live")).to_contain_text("Paused")
    asked = len(watch.requests)
    page.clock.run_for(60_000)
    assert len(watch.requests) == asked
    page.reload()
    expect(page.locator("#live")).to_contain_text("Paused")
    expect(page.locator(".list tbody tr")).to_have_count(4)
    asked = len(watch.requests)
    page.clock.run_for(60_000)
    assert len(watch.requests) == asked
    with page.expect_request("**/experiments?*"):
        options(page, "Update every 15 seconds", True)
    expect(page.locator("#live")).to_contain_text("Updated")
    with page.expect_request("**/experiments?*"):
        page.clock.run_for(16_000)


def test_the_shortcut_can_be_switched_off(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop"})
    search: Any = page.get_by_role("searchbox")
    expect(page.locator(".search kbd")).to_be_visible()
    page.keyboard.press("/")
    expect(search).to_be_focused()
    options(page, "goes to the search", False)
    expect(page.locator(".search kbd")).to_have_count(0)
    page.locator("h1").focus()
    page.keyboard.press("/")
    expect(page.locator("h1")).to_be_focused()
    page.goto("about:blank")
    page.goto(address(shop.url, namespace="shop"))
    expect(row(page, "Button 9")).to_be_visible()
    page.keyboard.press("/")
    expect(search).not_to_be_focused()
