"""The key on the dashboard: asked for, kept in the session only, sent in a header only."""

import pytest
from playwright.sync_api import Request, expect

from tests.support.dashboard_page import (
    KEY,
    READ_ONLY_KEY,
    KeyedBackend,
    Opener,
    Watch,
    address,
    axe,
    events,
    send,
)
from tests.support.deployments import Deployment


def bearers(watch: Watch) -> list[Request]:
    return [request for request in watch.requests if "x-api-key" in request.headers]


def test_the_key_leaves_the_address_bar_and_stays_in_the_session(
    keyed: KeyedBackend, visit: Opener, watch: Watch
) -> None:
    page = visit(keyed.url, {"namespace": "alephbet", "key": KEY})
    expect(page.locator(".list")).to_contain_text("locked away")
    assert page.url == f"{keyed.url}/dashboard#namespace=alephbet"
    stored = page.evaluate("[{ ...sessionStorage }, { ...localStorage }, document.cookie]")
    assert stored == [{"gimel key": KEY}, {}, ""]
    assert page.evaluate("history.length") == 2  # about:blank, and the page without its key
    assert {request.headers["x-api-key"] for request in bearers(watch)} == {KEY}
    assert KEY not in page.content()
    page.reload()
    expect(page.locator(".list")).to_contain_text("locked away")


def test_a_wrong_key_is_asked_for_again(keyed: KeyedBackend, visit: Opener, watch: Watch) -> None:
    page = visit(keyed.url)
    field = page.get_by_label("Key", exact=True)
    expect(page.locator("#unlock-error")).to_be_empty()
    assert bearers(watch) == []
    for wrong in ("wrong", "ключ"):
        field.fill(wrong)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This key is wrong.")
    assert "locked away" not in page.content()
    field.fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".list")).to_contain_text("locked away")
    page.get_by_role("button", name="Forget key").click()
    expect(field).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    assert "locked away" not in page.content()


def test_a_key_that_may_only_read_sees_all_and_no_control_that_changes(
    keyed: KeyedBackend, visit: Opener
) -> None:
    """The key in a link that `gimel dashboard --share` prints."""
    changing = ("New experiment", "Stop", "Settings")

    def controls(key: str) -> list[str]:
        page = visit(keyed.url, {"key": key})
        expect(page.locator(".list")).to_contain_text("locked away")
        found = page.get_by_role("button").all_inner_texts()
        page.get_by_role("link", name="locked away").click()
        expect(page.get_by_role("heading", name="locked away")).to_be_visible()
        expect(page.get_by_role("button", name="CSV")).to_be_visible()
        found += page.get_by_role("button").all_inner_texts()
        assert page.locator(".baseline select").count() == (key == KEY)
        assert axe(page) == []
        # An empty namespace
        page.goto(f"{keyed.url}/dashboard#namespace=empty")
        expect(page.get_by_role("heading", name="No experiment here yet")).to_be_visible()
        return found + page.get_by_role("button").all_inner_texts()

    assert [name for name in controls(KEY) if name in changing] == [*changing, "New experiment"]
    assert [name for name in controls(READ_ONLY_KEY) if name in changing] == []


def test_a_key_that_is_changed_meanwhile_takes_the_figures_away(
    keyed: KeyedBackend, visit: Opener
) -> None:
    page = visit(keyed.url, {"key": KEY}, clock=True)
    expect(page.locator(".list")).to_contain_text("locked away")
    page.evaluate("sessionStorage.setItem('gimel key', 'rotated')")
    page.clock.run_for(16_000)
    expect(page.get_by_text("This key is wrong.")).to_be_visible()
    assert "locked away" not in page.content()
    page.route("**/experiments?*", lambda route: route.abort())
    page.get_by_label("Key", exact=True).press("Enter")
    expect(page.get_by_text("The backend does not answer.")).to_be_visible()
    assert "locked away" not in page.content()


def test_the_deployed_page_asks_for_the_key_and_shows_data(
    deployed: Deployment, visit: Opener, watch: Watch
) -> None:
    send(deployed.url, events("dash", "deployed one", {"a": (30, {"g": 5}), "b": (31, {"g": 9})}))
    page = visit(deployed.url, {"namespace": "dash"})
    page.get_by_label("Key", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This key is wrong.")).to_be_visible()
    page.goto("about:blank")
    page.goto(address(deployed.url, namespace="dash", key=deployed.key))
    page.get_by_role("link", name="deployed one").click()
    expect(page.locator(".results")).to_contain_text("31")
    assert deployed.key not in page.url
    assert not [request for request in watch.requests if deployed.key in request.url]
    page.get_by_label("Compared with").select_option("b")
    expect(page.locator(".results tr.base th")).to_contain_text("b")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_where_the_key_is_asked_for(
    keyed: KeyedBackend, visit: Opener, scheme: str, width: int
) -> None:
    page = visit(keyed.url, size=(width, 800), color_scheme=scheme)
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    assert axe(page) == []
    page.get_by_label("Key", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert axe(page) == []
