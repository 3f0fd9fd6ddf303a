"""`gimel.js` in Chromium: no event is lost and none counts twice, whatever happens to a page."""

from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from tests.support.gimel_local import LocalBackend
from tests.support.gimel_page import GOAL, html, posts, unsent, wait_until_sent
from tests.support.shop import Shop, counts
from tests.support.waiting import wait

CORS = {"access-control-allow-origin": "*"}
# Each time that a visitor reaches this goal counts.
TOTAL: dict[str, Any] = {
    "variants": [{"name": "blue"}, {"name": "red"}],
    "goals": [{"name": "signup", "kind": "total"}],
}


def leave(page: Page) -> None:
    """Send the page the event that a browser sends when it leaves a page."""
    page.evaluate("dispatchEvent(new Event('pagehide'))")


def test_two_tabs_lose_nothing_while_the_backend_is_away(
    local: LocalBackend, browser: Browser, shop: Shop
) -> None:
    local.client.declare("first", TOTAL)
    local.client.declare("second", TOTAL)
    shop.html = html(local.url, "first", "second")
    context = browser.new_context()
    tabs = [context.new_page(), context.new_page()]
    failed: list[str] = []
    context.on("requestfailed", lambda request: failed.append(request.url))
    with local.down():
        for tab in tabs:
            tab.goto(shop.url)
            for _ in range(3):
                tab.get_by_text("Sign up").click()
            leave(tab)
        tabs[0].reload()
        tabs[0].get_by_text("Sign up").click()
        assert unsent(tabs[0]) == unsent(tabs[1]) == 2 + 2 * 7
        tabs[1].wait_for_function("Number(localStorage['gimel:retry'].split(',')[1]) > 0")
    assert failed
    wait_until_sent(tabs[0])
    for name in ("first", "second"):
        assert counts(local.client, name) == (1, {"signup": 7})
    context.close()


def test_events_wait_while_the_browser_is_offline(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.html = html(local.url, "offline")
    page.goto(shop.url)
    wait_until_sent(page)
    page.context.set_offline(True)
    page.get_by_text("Sign up").click()
    with page.expect_event("requestfailed"):
        leave(page)
    assert unsent(page) == 1
    page.context.set_offline(False)
    page.reload()
    wait_until_sent(page)
    assert counts(local.client, "offline") == (1, {"signup": 1})


def test_a_page_that_is_left_at_once_is_counted(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    other = Shop()
    other.html = "<!doctype html><title>Another site</title>"
    link = f'<a href="{other.url}" data-gimel-goal="left">Leave</a>'
    shop.html = html(local.url, "left") + link
    page.goto(shop.url)
    page.get_by_text("Leave").click()
    page.wait_for_url(other.url)
    other.close()
    wait(lambda: any(each["goals"] for each in local.client.experiments()))
    assert counts(local.client, "left") == (1, {"left": 1})


def test_a_visitor_who_goes_on_quickly_does_not_look_like_a_failure(
    local: LocalBackend, browser: Browser, shop: Shop
) -> None:
    """A page that is left sees no answer, so it cannot know whether its events arrived."""
    context = browser.new_context()
    context.route(f"{local.url}/e", lambda _: None)
    shop.html = html(local.url, "in a hurry")
    page = context.new_page()
    for _ in range(3):
        page.goto(shop.url)
        page.get_by_text("Sign up").click()
        leave(page)
    wait_after_next = page.evaluate("Number(localStorage['gimel:retry'].split(',')[1])")
    assert wait_after_next <= 2_000
    context.unroute(f"{local.url}/e")
    page.reload()
    wait_until_sent(page)
    assert counts(local.client, "in a hurry") == (1, {"signup": 1})
    context.close()


def test_what_others_keep_in_the_browser_is_not_sent(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.html = html(local.url, "neighbours")
    page.goto(shop.url)
    page.evaluate("localStorage['other-gimel:{x'] = 1")
    page.get_by_text("Sign up").click()
    wait_until_sent(page)
    assert counts(local.client, "neighbours") == (1, {"signup": 1})
    assert page.evaluate("localStorage['other-gimel:{x']") == "1"


def test_nothing_that_a_page_passes_breaks_the_client(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    """The fixture fails the test at an error in the page."""
    tag = html(local.url, "robust").replace("<script ", '<script data-goal="signup" ', 1)
    shop.html = tag.replace("<script ", "<script>Object.prototype.added = 1</script><script ", 1)
    page.goto(shop.url)
    for call in ("goal('signup', null)", "variant('robust', ['a', 'b'], null)", "goal(1, 2)"):
        page.evaluate(f"gimel.{call}")
    page.evaluate("gimel.goal('big', { value: 1n })")
    page.evaluate("gimel.variant('__proto__', ['a', 'b'])")
    wait_until_sent(page)
    assert counts(local.client, "robust")[1]["signup"] == 1
    assert set(counts(local.client, "__proto__")[1]) == set()


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, "{}"), (404, '{"accepted":1}'), (200, "<h1>Log in</h1>"), (204, ""), (0, "")],
)
def test_a_failing_endpoint_gets_few_requests_an_hour(
    status: int, body: str, local: LocalBackend, browser: Browser, shop: Shop
) -> None:
    context = browser.new_context()
    sent = posts(context)

    def fail(route: Route) -> None:
        if status:
            route.fulfill(status=status, body=body, headers=CORS)
        else:
            route.abort()

    context.route(f"{local.url}/e", fail)
    context.clock.install()
    shop.html = html(local.url, "failing")
    page = context.new_page()
    for minute in range(60):
        if minute < 10:
            page.goto(shop.url)
            page.evaluate("[1, 2, 3].forEach((number) => gimel.goal('goal ' + number))")
            leave(page)
        # After the last visit, only retries are due, minutes apart.
        step = 5_000 if minute < 10 else 20_000
        for _ in range(60_000 // step):
            context.clock.run_for(step)
    assert 10 <= len(sent) <= 18
    assert unsent(page) == 1 + 10 * 3
    # Other tabs wait as well.
    other = context.new_page()
    other.goto(shop.url)
    leave(other)
    assert len(sent) <= 18
    other.close()
    context.unroute(f"{local.url}/e")
    while unsent(page):
        context.clock.run_for(5_000)
    assert counts(local.client, "failing") == (1, {f"goal {number}": 1 for number in (1, 2, 3)})
    # Success ends the back-off.
    page.evaluate("gimel.goal('signup')")
    context.clock.run_for(1_000)
    wait_until_sent(page)
    context.close()


def test_what_is_in_flight_is_not_sent_again(local: LocalBackend, page: Page, shop: Shop) -> None:
    held: list[Route] = []
    page.context.route(f"{local.url}/e", lambda route: held.append(route))
    shop.html = html(local.url, "in flight")
    sent = posts(page)
    page.goto(shop.url)
    with page.expect_request(f"{local.url}/e"):
        leave(page)
    leave(page)
    page.evaluate("gimel.goal('signup')")
    with page.expect_request(f"{local.url}/e"):
        leave(page)
    bodies = [request.post_data_json for request in sent]
    assert [[each["event"] for each in events] for events in bodies] == [
        ["participate"],
        ["signup"],
    ]
    for route in held:
        route.continue_()
    wait_until_sent(page)
    assert counts(local.client, "in flight") == (1, {"signup": 1})


@pytest.mark.parametrize("key", ['gimel:{"broken', 'gimel:{"event": 1}'])
def test_an_entry_that_no_backend_takes_goes(
    key: str, local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.html = html(local.url, "crafted")
    page.goto(shop.url)
    wait_until_sent(page)
    page.evaluate("key => localStorage.setItem(key, 1)", key)
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    wait_until_sent(page)


def test_the_queue_is_bounded_and_fits_into_one_request(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    long = "א" * 256
    page.context.route(f"{local.url}/e", lambda route: route.abort())
    sent = posts(page)
    shop.html = html(local.url, long)
    page.goto(shop.url)
    page.evaluate(
        "name => { for (let number = 0; number < 500; number++) gimel.goal(name); }", long
    )
    with page.expect_event("requestfailed"):
        leave(page)
    assert 20 < unsent(page) < 200
    body = sent[-1].post_data_buffer
    assert body is not None
    assert 30_000 < len(body) < 61_000
    page.context.unroute(f"{local.url}/e")
    wait_until_sent(page)
    assert counts(local.client, long) == (1, {long: 1})


def test_an_event_that_fits_into_no_request_blocks_no_other(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.html = html(local.url, "long goal")
    page.goto(shop.url)
    page.evaluate("gimel.goal('x'.repeat(70_000))")
    page.get_by_text("Sign up").click()
    wait_until_sent(page)
    assert counts(local.client, "long goal") == (1, {"signup": 1})


def test_an_ignored_participation_is_sent_again_by_the_next_page(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    local.client.declare("resumed", TOTAL | {"goals": [{"name": "signup"}]})
    local.client.configure("resumed", {"state": "stopped"})
    shop.html = html(local.url, "resumed")
    page.goto(shop.url)
    wait_until_sent(page)
    local.client.configure("resumed", {"state": "running"})

    def is_counted() -> bool:
        page.reload()
        wait_until_sent(page)
        return counts(local.client, "resumed")[0] == 1

    # The backend knows for 5 s that it was stopped.
    wait(is_counted)


def test_more_traffic_counts_the_baseline_on_the_same_day(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    for traffic in (0.0, 1.0):
        shop.html = html(local.url, "raised", traffic=traffic, variants={"blue": 1, "red": 0})
        page.goto(shop.url)
    page.get_by_text("Sign up").click()
    wait_until_sent(page)
    assert counts(local.client, "raised") == (1, {"signup": 1})


def full(context: BrowserContext) -> None:
    """Fill localStorage to the last byte, in each page before its scripts run."""
    context.add_init_script(
        """for (let size = 1 << 22; size >= 1; size >>= 1) {
             try { localStorage["x" + size] = "x".repeat(size); } catch {}
           }"""
    )


def test_a_full_localstorage(local: LocalBackend, page: Page, shop: Shop) -> None:
    full(page.context)
    shop.html = html(local.url, "full")
    page.goto(shop.url)
    page.get_by_text("Sign up").click()
    assert unsent(page) == 0
    wait(lambda: any(each["goals"] for each in local.client.experiments()))
    assert counts(local.client, "full") == (1, {"signup": 1})


def test_no_cookies_and_no_storage(local: LocalBackend, page: Page, shop: Shop) -> None:
    """The sandbox gives the page an origin without any storage. Access to it throws."""
    shop.headers = {"content-security-policy": "sandbox allow-scripts"}
    shop.html = html(local.url, "sandboxed")
    page.goto(shop.url)
    assert (
        page.evaluate("(() => { try { localStorage } catch { return 'blocked' } })()") == "blocked"
    )
    assert page.evaluate("(() => { try { document.cookie } catch { return 'blocked' } })()")
    page.get_by_text("Sign up").click()
    wait(lambda: any(each["goals"] for each in local.client.experiments()))
    assert counts(local.client, "sandboxed") == (1, {"signup": 1})


@pytest.mark.parametrize("kept", ["cookie", "localStorage"])
def test_cookie_and_localstorage_restore_each_other(
    kept: str, local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.html = html(local.url, "restored")
    page.goto(shop.url)
    (cookie,) = page.context.cookies()
    assert (cookie["sameSite"], cookie["path"], cookie["secure"]) == ("Lax", "/", True)
    assert page.evaluate("localStorage['gimel:id']") == cookie["value"]
    if kept == "cookie":
        page.evaluate("localStorage.clear()")
    else:
        page.context.clear_cookies()
    page.reload()
    (restored,) = page.context.cookies()
    assert page.evaluate("localStorage['gimel:id']") == restored["value"] == cookie["value"]


def test_a_slow_network(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.html = html(local.url, "slow", linked=True)
    session = page.context.new_cdp_session(page)
    speed = {"latency": 400, "downloadThroughput": 200 * 1024, "uploadThroughput": 200 * 1024}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", {"offline": False, **speed})
    page.goto(shop.url)
    page.get_by_text("Sign up").click()
    wait_until_sent(page)
    assert counts(local.client, "slow") == (1, {"signup": 1})


def test_a_script_that_comes_after_the_page(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.html = f"<!doctype html>{GOAL}"
    page.goto(shop.url)
    page.get_by_text("Sign up").click()
    page.evaluate(
        """src => {
          const script = document.createElement("script");
          Object.assign(script.dataset, { experiment: "late", variants: '["blue", "red"]' });
          script.src = src;
          document.body.append(script);
        }""",
        f"{local.url}/gimel.js",
    )
    page.locator("html[data-gimel-late]").wait_for()
    page.get_by_text("Sign up").click()
    wait_until_sent(page)
    assert counts(local.client, "late") == (1, {"signup": 1})
