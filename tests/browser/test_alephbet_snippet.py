"""The printed snippet with AlephBet 0.27.0 from npm, in Chromium, on another origin than Gimel."""

import hashlib
import json
from datetime import datetime
from typing import Any

import pytest
import redis
from playwright.sync_api import Browser, Page, Request, Route, expect

from gimel.alephbet import ALEPHBET_URL
from gimel.client import BackendClient
from gimel.snippet import attribute_name
from tests.support.commands import run, said
from tests.support.gimel_local import LocalBackend
from tests.support.handler_requests import point_handlers_at
from tests.support.names import HOSTILE
from tests.support.proxy import proxy_of
from tests.support.shop import (
    NO_LOCAL_STORAGE,
    QUEUED,
    Shop,
    counts,
    serve_alephbet,
    wait_for_queue,
)
from tests.support.waiting import wait

VARIANTS = ("blue", "it's <red>")
USER = '// user_id: "…",'


def snippet(url: str, experiment: str, *goals: str) -> str:
    """What `gimel snippet` prints."""
    names = [experiment, "--variant", VARIANTS[0], "--variant", VARIANTS[1]]
    more = [part for goal in goals or ("signup",) for part in ("--goal", goal)]
    return said(run("snippet", "--alephbet", "--url", url, *names, *more))


def shown(page: Page, experiment: str) -> str | None:
    return page.locator("html").get_attribute(attribute_name(experiment))


def wait_until_shown(page: Page, experiment: str) -> None:
    page.locator(f"html[{attribute_name(experiment)}]").wait_for()


def events_sent(page: Page) -> list[Request]:
    """The requests with events that the page sends from now on."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    return sent


def settle(page: Page) -> None:
    """Let the page see the answer to its last request, whose event comes before that."""
    page.evaluate("() => fetch('/').then(answer => answer.text())")


@pytest.mark.parametrize("where", ["local", "deployed"])
def test_events_arrive_once_and_leave_the_queue(
    where: str, request: pytest.FixtureRequest, page: Page, shop: Shop
) -> None:
    backend = request.getfixturevalue(where)
    experiment = "button: colour / 100% #1"
    shop.show(snippet(backend.url, experiment))
    client = BackendClient(backend.url, backend.key)

    page.goto(shop.url)
    wait_until_shown(page, experiment)
    wait_for_queue(page, 0)
    assert counts(client, experiment) == (1, {})
    assert page.locator("html").get_attribute("data-gimel-button-colour-100-1") in VARIANTS
    for _ in range(3):
        page.get_by_text("signup").click()
        wait_for_queue(page, 0)
        page.reload()
        wait_until_shown(page, experiment)
    assert counts(client, experiment) == (1, {"signup": 1})


def test_unsent_events_survive_a_reload(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.show(snippet(local.url, "reloaded"))
    with local.down():
        with page.expect_event("requestfailed"):
            page.goto(shop.url)
        page.get_by_text("signup").click()
        wait_for_queue(page, 2)
    page.reload()
    wait_for_queue(page, 0)
    assert counts(local.client, "reloaded") == (1, {"signup": 1})


def test_an_event_outlives_its_page(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.show(snippet(local.url, "left"))
    page.goto(shop.url)
    wait_until_shown(page, "left")
    page.evaluate("() => { gimelGoal('signup'); location.href = 'about:blank'; }")
    wait(lambda: counts(local.client, "left") == (1, {"signup": 1}))


def test_events_wait_while_redis_is_away(deployed: Any, page: Page, shop: Shop) -> None:
    """The functions queue the event and answer 200: the browser may forget it."""
    shop.show(snippet(deployed.url, "redis away"))
    with deployed.redis_down():
        accepted = lambda answer: answer.url.endswith("/e") and answer.status == 200  # noqa: E731
        with page.expect_response(accepted):
            page.goto(shop.url)
        wait_for_queue(page, 0)
    client = BackendClient(deployed.url, deployed.key)
    wait(lambda: bool(client.experiments(scope="redis away")[0]["variants"]), 180)
    assert counts(client, "redis away") == (1, {})


def test_the_browser_keeps_an_event_that_nobody_took(
    url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, page: Page, shop: Shop
) -> None:
    """A backend without a queue answers 503."""
    shop.show(snippet(url, "kept"))
    with proxy_of(store) as proxy:
        point_handlers_at(monkeypatch, f"redis://127.0.0.1:{proxy.port}/0")
        proxy.budget = 0
        with page.expect_response(lambda response: response.status == 503):
            page.goto(shop.url)
        wait_for_queue(page, 1)
        proxy.budget = None
        page.reload()
        wait_for_queue(page, 0)
        assert counts(BackendClient(url), "kept") == (1, {})


def test_two_experiments_on_a_page_share_nothing_but_the_queue(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.show(snippet(local.url, "button", "signup", "page view"), snippet(local.url, "headline"))
    with local.down():
        page.goto(shop.url)
        wait_until_shown(page, "button")
        wait_until_shown(page, "headline")
        page.get_by_text("signup").click()
        page.get_by_text("page view").click()
        wait_for_queue(page, 5)
        chosen = {name: shown(page, name) for name in ("button", "headline")}
    # Without a reload: the page tries again by itself.
    wait_for_queue(page, 0)
    assert counts(local.client, "button") == (1, {"signup": 1, "page view": 1})
    assert counts(local.client, "headline") == (1, {"signup": 1})
    for name, variant in chosen.items():
        rows = local.client.experiment(name)["variants"]
        assert [each["label"] for each in rows if each["trials"]] == [variant]
    page.reload()
    wait_until_shown(page, "headline")
    assert {name: shown(page, name) for name in chosen} == chosen


def test_two_tabs_lose_nothing(local: LocalBackend, page: Page, shop: Shop) -> None:
    """Each tab has events that the other has not sent when it stores, sends or closes."""
    other = page.context.new_page()
    with local.down():
        shop.show(snippet(local.url, "first", "signup", "page view"))
        page.goto(shop.url)
        wait_for_queue(page, 1)
        shop.show(snippet(local.url, "second", "signup", "page view"))
        other.goto(shop.url)
        wait_for_queue(other, 2)
        page.get_by_text("signup").click()
        other.get_by_text("signup").click()
        page.get_by_text("page view").click()
        wait_for_queue(other, 5)
        page.close()
    wait_for_queue(other, 0)
    other.get_by_text("page view").click()
    wait_for_queue(other, 0)
    for experiment in ("first", "second"):
        assert counts(local.client, experiment) == (1, {"signup": 1, "page view": 1})


def test_events_leave_as_soon_as_the_network_is_back(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.show(snippet(local.url, "offline", "signup", "page view"))
    page.goto(shop.url)
    wait_for_queue(page, 0)
    # With the clock paused, no timer starts an attempt.
    page.clock.pause_at(datetime(2100, 1, 1))
    page.context.set_offline(True)
    with page.expect_event("requestfailed"):
        page.get_by_text("signup").click()
    page.get_by_text("page view").click()
    wait_for_queue(page, 2)
    page.context.set_offline(False)
    wait_for_queue(page, 0)
    assert counts(local.client, "offline") == (1, {"signup": 1, "page view": 1})


def test_a_failing_endpoint_is_not_flooded(page: Page, shop: Shop) -> None:
    """AlephBet's own adapter sends 496 requests for 31 events."""
    goals = [f"goal {number}" for number in range(30)]
    shop.show(snippet("https://backend.example", "failing", *goals))
    failing = {"status": 503, "body": "{}", "headers": {"access-control-allow-origin": "*"}}
    page.route("https://backend.example/e", lambda route: route.fulfill(**failing))
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    sent = events_sent(page)
    # An hour, in seconds
    pauses = [5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600]
    for pause in [0, *pauses]:
        with page.expect_event("requestfinished", lambda request: request.method == "POST"):
            page.clock.run_for(1000 * pause) if pause else page.goto(shop.url)
        settle(page)
        # The first call adds all goals to the queue. AlephBet counts none of them again.
        page.evaluate("goals => goals.forEach(goal => gimelGoal(goal))", goals)
    page.clock.run_for(1000 * (3600 - sum(pauses)))
    settle(page)
    assert (len(sent), page.evaluate(QUEUED)) == (12, 31)


def test_what_the_backend_has_no_room_for_is_sent_again(page: Page, shop: Shop) -> None:
    """The events of a batch share a status, but each has its own answer."""
    shop.show(snippet("https://backend.example", "full"))
    answers = [
        {"index": 0, "error": "Redis is nearly full", "field": None},
        {"index": 0, "error": "event is over 256 characters", "field": "event"},
    ]

    def answer(route: Route) -> None:
        body = json.dumps({"accepted": 0, "rejected": [answers.pop(0)]})
        route.fulfill(status=200, body=body, headers={"access-control-allow-origin": "*"})

    page.route("https://backend.example/e", answer)
    with page.expect_event("requestfinished", lambda request: request.method == "POST"):
        page.goto(shop.url)
    wait_for_queue(page, 1)
    page.reload()
    wait_for_queue(page, 0)
    assert answers == []


def test_code_reaches_a_goal_of_every_experiment_that_has_it(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    early = "<script>gimelGoal('signup'); gimelGoal('nobody has this')</script>"
    shop.show(snippet(local.url, "one"), snippet(local.url, "two", "signup", "paid"), early)
    page.goto(shop.url)
    wait_until_shown(page, "one")
    wait_until_shown(page, "two")
    page.evaluate("() => { gimelGoal('paid'); gimelGoal('signup'); }")
    wait_for_queue(page, 0)
    assert counts(local.client, "one") == (1, {"signup": 1})
    assert counts(local.client, "two") == (1, {"signup": 1, "paid": 1})


def test_a_late_cdn_delays_the_variant_and_not_the_page(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    held: list[Route] = []
    page.context.route(ALEPHBET_URL, lambda route: held.append(route))
    shop.show(snippet(local.url, "late"))
    page.goto(shop.url, wait_until="domcontentloaded")
    expect(page.get_by_role("heading")).to_be_visible()
    page.get_by_text("signup").click()
    wait(lambda: page.title() == "Shop" and len(held) == 1)
    assert shown(page, "late") is None
    serve_alephbet(held[0])
    wait_until_shown(page, "late")
    wait_for_queue(page, 0)
    assert counts(local.client, "late") == (1, {"signup": 1})
    chosen = shown(page, "late")
    page.reload(wait_until="domcontentloaded")
    wait(lambda: page.title() == "Shop" and len(held) == 2)
    # A visitor who comes back does not see the baseline first.
    assert shown(page, "late") == chosen


@pytest.mark.parametrize("failure", ["abort", "another script"])
def test_without_alephbet_the_baseline_is_shown(
    failure: str, local: LocalBackend, page: Page, shop: Shop
) -> None:
    def fail(route: Route) -> None:
        headers = {"access-control-allow-origin": "*", "content-type": "text/javascript"}
        if failure == "abort":
            route.abort()
        else:
            route.fulfill(body="var AlephBet = {};", headers=headers)

    page.context.route(ALEPHBET_URL, fail)
    shop.show(snippet(local.url, "away"))
    sent = events_sent(page)
    page.goto(shop.url)
    page.get_by_text("signup").click()
    page.evaluate("() => gimelGoal('signup')")
    assert shown(page, "away") is None
    assert page.evaluate("typeof AlephBet") == "undefined"
    assert sent == []


FULL = """localStorage.clear();
for (var size = 1 << 23; size; size >>= 1) {
  try { localStorage["fill " + size] = "x".repeat(size); } catch (full) {}
}"""


@pytest.mark.parametrize("init", [NO_LOCAL_STORAGE, FULL], ids=["refused", "full"])
def test_without_local_storage_a_visit_counts(
    init: str, local: LocalBackend, page: Page, shop: Shop
) -> None:
    page.add_init_script(init)
    shop.show(snippet(local.url, "one"), snippet(local.url, "two"))
    with local.down():
        page.goto(shop.url)
        wait_until_shown(page, "one")
        wait_until_shown(page, "two")
        page.get_by_text("signup").click()
    for experiment in ("one", "two"):
        wait(lambda name=experiment: is_counted(local.client, name))  # type: ignore[misc]


def is_counted(client: BackendClient, experiment: str) -> bool:
    names = [each["experiment"] for each in client.experiments()]
    return experiment in names and counts(client, experiment) == (1, {"signup": 1})


def test_a_user_counts_once_on_all_devices(
    browser: Browser, local: LocalBackend, shop: Shop
) -> None:
    html = snippet(local.url, "user")
    assert html.count(USER) == 1
    shop.show(html.replace(USER, 'user_id: "user 1",'))
    bodies = []
    for _ in range(2):
        context = browser.new_context()
        context.route(ALEPHBET_URL, serve_alephbet)
        page = context.new_page()
        sent = events_sent(page)
        page.goto(shop.url)
        wait_until_shown(page, "user")
        page.get_by_text("signup").click()
        wait_for_queue(page, 0)
        bodies += [each.post_data_json for each in sent]
        context.close()
    # AlephBet's own adapter sends the same uuid, so a page may change from it to the snippet.
    uuid = hashlib.sha1(b"alephbet.user.user 1").hexdigest()
    assert {event["uuid"] for body in bodies for event in body} == {uuid}
    assert counts(local.client, "user") == (1, {"signup": 1})


def test_a_page_may_change_from_the_adapter_to_the_snippet(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    track = f"new AlephBet.GimelAdapter({json.dumps(local.url + '/e')}, 'alephbet')"
    variants = ", ".join(f"{json.dumps(name)}: {{activate() {{}}}}" for name in VARIANTS)
    shop.show(
        f"<script src='{ALEPHBET_URL}'></script><script>new AlephBet.Experiment({{name: 'changed',"
        f"tracking_adapter: {track}, variants: {{{variants}}}}})</script>"
    )
    page.goto(shop.url)
    wait_for_queue(page, 0)
    chosen = page.evaluate("JSON.parse(localStorage.alephbet)['changed:variant']")
    shop.show(snippet(local.url, "changed"))
    page.reload()
    wait_until_shown(page, "changed")
    assert shown(page, "changed") == chosen
    page.get_by_text("signup").click()
    wait_for_queue(page, 0)
    assert counts(local.client, "changed") == (1, {"signup": 1})


def test_errors_of_the_page_are_still_reported(
    browser: Browser, local: LocalBackend, shop: Shop
) -> None:
    context = browser.new_context()
    context.route(ALEPHBET_URL, serve_alephbet)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    own = "<script>Promise.reject(new Error('own')); fetch('https://nowhere.invalid/');</script>"
    with local.down():
        shop.show(snippet(local.url, "errors"), own)
        page.goto(shop.url)
        wait_until_shown(page, "errors")
        wait(lambda: page.title() == "Shop" and len(errors) == 2)
    context.close()
    assert sorted(errors) == ["Failed to fetch", "own"]


def test_the_attribute_is_the_one_that_javascript_makes(page: Page) -> None:
    names = [*HOSTILE, "İstanbul ΑΣ ß ẞ K Ǆ", "日本語/한국어", "a\u037eb\u200dc", "٣-𝔄 𐐀", "A b_c"]
    made = page.evaluate(
        """names => names.map(name => {
          const slug = name.toLowerCase().replace(
            /[^a-z0-9\\xdf-\\xf6\\xf8-\\u037d\\u037f-\\u1fff\\u3001-\\ud7ff]+/g, "-");
          document.documentElement.setAttribute("data-gimel-" + slug, "x");
          const found = document.querySelector("[data-gimel-" + slug + "]");
          return found === document.documentElement ? "data-gimel-" + slug : "not found";
        })""",
        names,
    )
    assert made == [attribute_name(name) for name in names]
