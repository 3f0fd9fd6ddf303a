"""The dashboard as a whole: namespaces, updates, a backend that is away, accessibility."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import Opener, address, axe, events, fragment_of, held, row, send
from tests.support.gimel_local import LocalBackend


def test_the_namespace_switch(shop: LocalBackend, visit: Opener) -> None:
    send(shop.url, events("other", "elsewhere", {"A": (1, {})}))
    page = visit(shop.url, {"namespace": "shop", "find": "Button"})
    page.get_by_label("Namespace").select_option("other")
    expect(page.locator(".list tbody th bdi")).to_have_text(["elsewhere"])
    assert fragment_of(page) == {"namespace": "other"}
    page.go_back()
    expect(page.get_by_label("Namespace")).to_have_value("shop")
    expect(page.locator(".list tbody tr")).to_have_count(2)


def test_a_hidden_page_asks_for_nothing(shop: LocalBackend, visit: Opener, watch: Any) -> None:
    page = visit(shop.url, {"namespace": "shop"}, clock=True)
    expect(page.locator(".list tbody tr")).to_have_count(4)
    hide = """value => {
        Object.defineProperty(document, "hidden", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    asked = len(watch.requests)
    page.clock.run_for(120_000)
    assert len(watch.requests) == asked
    # The answer to what was asked just before must not start it again.
    page.evaluate("refresh()")
    page.clock.run_for(120_000)
    assert len(watch.requests) == asked + 1
    with page.expect_request("**/experiments?*"):
        page.evaluate(hide, False)


def test_away_and_back(local: LocalBackend, visit: Opener) -> None:
    send(local.url, events("alephbet", "kept", {"A": (5, {"g": 2}), "B": (4, {})}))
    page = visit(local.url, clock=True)
    expect(row(page, "kept")).to_contain_text("9")
    with local.down():
        page.clock.run_for(16_000)
        trouble = page.get_by_text("The backend does not answer.")
        expect(trouble).to_contain_text(re.compile(r"These figures are from \d\d:\d\d, just now"))
        expect(page.locator("#live")).to_have_text("Not updated")
        expect(row(page, "kept")).to_contain_text("9")
        page.clock.run_for(130_000)
        expect(trouble).to_contain_text(re.compile("2 minutes ago"))
    page.clock.run_for(6_000)
    expect(page.locator("#trouble")).to_be_empty()
    expect(page.locator("#live")).to_contain_text("Updated")


LAYOUT_SHIFTS = """
    window.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.shift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""


PAINTED = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_shifts_as_data_come(shop: LocalBackend, visit: Opener, width: int) -> None:
    views = ({"namespace": "shop"}, {"namespace": "shop", "experiment": "Lopsided"})
    for fragment in (*views, {"namespace": "empty"}):
        page = visit(shop.url, {"namespace": "shop"}, size=(width, 800), script=LAYOUT_SHIFTS)
        expect(page.locator(".list")).to_be_visible()
        with held(page, "**/experiment*"):
            page.goto("about:blank")
            page.goto(address(shop.url, **fragment))
            expect(page.locator(".bones")).to_be_visible()
            page.evaluate(PAINTED)
            title = page.get_by_role("heading", level=1).bounding_box()
        expect(page.locator(".bones")).to_have_count(0)
        page.evaluate(PAINTED)
        assert page.evaluate("window.shift") < 0.001
        seen = page.get_by_role("heading", level=1).bounding_box()
        assert title
        assert seen
        assert (seen["x"], seen["y"]) == (title["x"], title["y"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_axe_finds_nothing(shop: LocalBackend, visit: Opener, scheme: str, width: int) -> None:
    page = visit(shop.url, {"namespace": "shop"}, size=(width, 800), color_scheme=scheme)
    expect(page.locator(".list")).to_be_visible()
    assert axe(page) == []
    for experiment in ("Lopsided", "Button 10", "Worse", "No goal yet", "no such"):
        page.goto(address(shop.url, namespace="shop", experiment=experiment))
        expect(page.get_by_role("heading", level=1)).to_have_text(experiment)
        expect(page.locator(".bones")).to_have_count(0)
        assert axe(page) == []
    page.goto(address(shop.url, namespace="shop", experiment="Button 10"))
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert axe(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_text("All figures").click()
    page.get_by_role("button", name="Settings").click()
    assert axe(page) == []
    page.get_by_role("button", name="Delete…").click()
    assert axe(page) == []
    page.keyboard.press("Escape")
    page.goto(address(shop.url, namespace="none here"))
    expect(page.locator("#snippet")).to_be_visible()
    assert axe(page) == []
