"""The dashboard as a reader meets it: overview, experiment, what stays and what moves."""

import re

from playwright.sync_api import Page, expect

from gimel.snippet import snippet
from tests.support.dashboard_page import Opener, events, fragment_of, row, send
from tests.support.gimel_local import LocalBackend


def names(page: Page) -> list[str]:
    return page.locator(".list tbody th bdi").all_text_contents()


def test_the_overview_says_how_each_experiment_stands(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop"})
    expect(page).to_have_title("Experiments · Gimel")
    expect(row(page, "Button 10")).to_contain_text(
        re.compile(r"Running · just now.*4,0\d\d.*red\+\d+\.\d%.*Winner.*signup", re.DOTALL)
    )
    expect(row(page, "Worse")).to_contain_text(
        re.compile(r"Stopped.*control.*the baseline.*Loser", re.DOTALL)
    )
    expect(row(page, "Lopsided")).to_contain_text("Do not trust")
    expect(row(page, "Button 9")).to_contain_text("Keep collecting")
    interval = shop.client.experiment("Button 10", "shop")["goals"][1]["results"][1]
    low, high = interval["lift_interval_always_valid"]
    drawn = row(page, "Button 10").locator(".plot")
    expect(drawn).to_have_role("img")
    expect(drawn).to_have_accessible_name(
        f"Lift between {low:+.1%} and {high:+.1%}: all above zero"
    )


def test_search_sort_and_filter_live_in_the_address(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop", "sort": "name"})
    expect(page.locator(".list tbody tr")).to_have_count(4)
    assert names(page) == ["Button 9", "Button 10", "Lopsided", "Worse"]
    page.get_by_role("link", name="Sort by visitors").click()
    assert names(page) == ["Button 10", "Worse", "Lopsided", "Button 9"]
    page.get_by_role("link", name="Sort by visitors").click()
    assert names(page) == ["Button 9", "Lopsided", "Worse", "Button 10"]
    expect(page.get_by_role("columnheader", name="visitors")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("link", name="Sort by verdict").click()
    assert names(page) == ["Lopsided", "Button 10", "Worse", "Button 9"]
    page.get_by_role("searchbox").press_sequentially("BUT")
    assert names(page) == ["Button 10", "Button 9"]
    expect(page.get_by_role("searchbox")).to_be_focused()
    again = visit(page.url.partition("/dashboard")[0], fragment_of(page))
    expect(again.get_by_role("searchbox")).to_have_value("BUT")
    assert names(again) == ["Button 10", "Button 9"]
    page.get_by_role("searchbox").fill("nothing like this")
    expect(page.get_by_text("No experiment matches.")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    page.get_by_role("link", name="Archived 1").click()
    assert names(page) == ["No goal yet"]
    page.get_by_role("link", name="Stopped 1").click()
    assert names(page) == ["Worse"]
    page.get_by_role("link", name="Running 3").click()
    assert sorted(names(page)) == ["Button 10", "Button 9", "Lopsided"]


def test_an_empty_namespace_shows_the_snippet_and_then_what_it_sent(
    shop: LocalBackend, visit: Opener
) -> None:
    page = visit(shop.url, {"namespace": "b & <ü>"}, clock=True)
    printed = snippet(shop.url, script_url=shop.url, namespace="b & <ü>")
    assert page.locator("#snippet").text_content() == printed
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == printed
    send(shop.url, events("b & <ü>", "first", {"A": (1, {})}))
    page.clock.run_for(16_000)
    expect(row(page, "first")).to_contain_text("No goal reached yet")


def test_a_refresh_moves_nothing(shop: LocalBackend, visit: Opener) -> None:
    for number in range(30):
        send(shop.url, events("long", f"test {number}", {"A": (2, {"g": 1}), "B": (1, {})}))
    page = visit(shop.url, {"namespace": "long", "sort": "name"}, clock=True)
    target = row(page, "test 20")
    target.get_by_role("link").focus()
    page.evaluate("scrollTo(0, 900)")
    target.evaluate("row => { row.same = true; }")
    before = page.evaluate("scrollY")
    assert before == 900
    more = events("long", "test 20", {"B": (5, {})})
    send(shop.url, more)
    # one that sorts before all that is in sight
    send(shop.url, events("long", "test 3", {"C": (1, {})}))
    page.clock.run_for(16_000)
    expect(target).to_contain_text("7")
    assert page.evaluate("scrollY") == before
    assert target.evaluate("row => row.same")
    expect(target.get_by_role("link")).to_be_focused()
