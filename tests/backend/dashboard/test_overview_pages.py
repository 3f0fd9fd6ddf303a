"""The overview of many experiments: it loads page by page and says how far it is."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.dashboard_page import Opener, Watch, axe, events, row, send
from tests.support.gimel_local import LocalBackend

MANY = 250
ROWS = ".list tbody tr"


def event_batches(namespace: str, number: int) -> Iterator[dict[str, str]]:
    for each in range(number):
        arms: Any = {"A": (2, {"buy": 1, "sign up": 1}), "B": (1, {})}
        yield from events(namespace, f"test {each:03}", arms)


@pytest.fixture(name="many", scope="module")
def many_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    """A backend with 250 experiments; the last by name has the most visitors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIMEL_LIMITS", f'{{"experiments": {MANY}}}')
        backend = LocalBackend(tmp_path_factory.mktemp("local"))
    send(backend.url, event_batches("many", MANY - 1))
    send(backend.url, events("many", "zz busiest", {"A": (30, {"buy": 9}), "B": (28, {})}))
    yield backend
    backend.stop()


def pages_of(watch: Watch) -> list[dict[str, list[str]]]:
    """Return the queries of the requests for the overview."""
    urls = [urlsplit(request.url) for request in watch.requests]
    return [parse_qs(url.query) for url in urls if url.path.endswith("/experiments")]


def hold_page_after(page: Page, name: str) -> list[Route]:
    """Hold the request for the page after this experiment."""
    held: list[Route] = []
    after = re.compile(rf"/experiments\?.*after={name.replace(' ', '.')}")
    page.route(after, lambda route: held.append(route))
    return held


def test_all_pages_load_one_after_the_other(
    many: LocalBackend, visit: Opener, watch: Watch
) -> None:
    page = visit(many.url, {"namespace": "many"})
    expect(page.locator(ROWS)).to_have_count(MANY)
    common = {"namespace": ["many"], "view": ["summary"], "limit": ["100"]}
    assert pages_of(watch) == [
        common,
        common | {"after": ["test 099"]},
        common | {"after": ["test 199"]},
    ]
    expect(page.locator(".loaded")).to_have_count(0)
    page.get_by_role("link", name="Sort by visitors").click()
    expect(page.locator(ROWS).first).to_contain_text("zz busiest")
    page.get_by_role("searchbox").fill("TEST 24")
    expect(page.locator(ROWS)).to_have_count(9)
    assert axe(page) == []


def test_each_page_shows_at_once_and_says_how_many_are_loaded(
    many: LocalBackend, visit: Opener
) -> None:
    page = visit(many.url, {"namespace": "none yet"})
    expect(page.locator("#snippet")).to_be_visible()
    held = hold_page_after(page, "test 099")
    page.evaluate("location.hash = '#namespace=many'")
    expect(page.locator(ROWS)).to_have_count(100)
    note = page.get_by_text("100 of 250 experiments loaded. Search and order cover these.")
    expect(note).to_be_visible()
    expect(page.get_by_role("button", name="Load more")).to_have_count(0)
    page.get_by_role("searchbox").fill("busiest")
    expect(page.get_by_text("No experiment matches.")).to_be_visible()
    assert axe(page) == []
    held[0].continue_()
    expect(row(page, "zz busiest")).to_be_visible()
    expect(note).to_have_count(0)


def test_a_refresh_keeps_the_rows_until_their_page_is_here(
    many: LocalBackend, visit: Opener
) -> None:
    page = visit(many.url, {"namespace": "many"}, clock=True)
    expect(page.locator(ROWS)).to_have_count(MANY)
    held = hold_page_after(page, "test 199")
    with page.expect_request(re.compile("after=test.199")):
        page.clock.run_for(16_000)
    expect(page.locator(ROWS)).to_have_count(MANY)
    expect(page.locator(".loaded")).to_have_count(0)
    held[0].abort()
    expect(page.get_by_text("The backend does not answer.")).to_be_visible()
    expect(page.locator(ROWS)).to_have_count(MANY)


def test_more_load_with_a_click_once_the_page_is_long(many: LocalBackend, visit: Opener) -> None:
    page = visit(many.url, {"namespace": "many"})
    expect(page.locator(ROWS)).to_have_count(MANY)
    # As if the namespace had many more experiments than load by themselves.
    page.evaluate("app.pages = 1; app.answers.clear(); refresh();")
    expect(page.locator(ROWS)).to_have_count(100)
    more = page.get_by_role("button", name="Load more")
    expect(more).to_be_visible()
    assert axe(page) == []
    more.click()
    expect(page.locator(ROWS)).to_have_count(MANY)
    expect(more).to_have_count(0)


def test_an_experiment_is_asked_for_as_a_whole(many: LocalBackend, visit: Opener) -> None:
    page = visit(many.url, {"namespace": "many", "find": "test 000"})
    with page.expect_request("**/experiment?*"):
        page.get_by_role("link", name="test 000").click()
    expect(page.get_by_role("table", name="Goals").get_by_role("link")).to_have_count(2)


def test_a_row_says_that_variants_are_left_out(many: LocalBackend, visit: Opener) -> None:
    page = visit(many.url, {"namespace": "many"})
    expect(page.locator(ROWS)).to_have_count(MANY)
    answer = "app.answers.values().next().value.data"
    page.evaluate(f"{answer}[1].variants_left_out = 3; draw();")
    expect(row(page, "test 000")).to_contain_text("3 more variants not counted here")
    expect(row(page, "test 001")).not_to_contain_text("not counted here")
