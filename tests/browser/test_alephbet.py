"""AlephBet's own adapters as npm serves them, in a real Chromium: pages that exist already.

npm has one version with a GimelAdapter left: 0.27.0.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request

from gimel.alephbet import ALEPHBET_URL
from gimel.client import BackendClient
from tests.support.gimel_local import LocalBackend
from tests.support.shop import NO_LOCAL_STORAGE, Shop, counts, serve_alephbet, wait_for_queue
from tests.support.waiting import wait


class Backend(Protocol):
    url: str


# What a page of one's own may do. `memory` is a storage that a page without localStorage can give.
SCRIPT = """
var memories = [];
function memory() {
  var kept = {};
  var storage = {get: key => kept[key], set: (key, value) => kept[key] = value};
  memories.push(storage);
  return storage;
}
function waiting() {
  return memories.flatMap(storage => JSON.parse(storage.get("_gimel_queue") || "[]")).length;
}
function start(options, storage) {
  var adapter = new AlephBet[options.adapter || "GimelAdapter"](TRACK, "alephbet", storage);
  var chosen = null;
  var variants = {};
  Object.keys(options.variants).forEach(name => {
    variants[name] = {activate: () => { chosen = name; }, weight: options.variants[name]};
  });
  var more = storage ? {storage_adapter: storage} : {};
  window.experiment = new AlephBet.Experiment(
    Object.assign({}, options, more, {tracking_adapter: adapter, variants: variants}));
  return chosen;
}
function complete(name, props) {
  var goal = new AlephBet.Goal(name, props);
  experiment.add_goal(goal);
  goal.complete();
}
"""
PLAIN = {"name": "e", "variants": {"blue": None, "red": None}}


@contextmanager
def visit(
    browser: Browser, shop: Shop, backend: Backend, init: str = ""
) -> Iterator[tuple[Page, list[Request]]]:
    """A visitor's page that has AlephBet, in a browser profile of its own; the events it sends."""
    shop.html = (
        f"<!doctype html><title>Shop</title><h1>Shop</h1><script src='{ALEPHBET_URL}'></script>"
        f"<script>var TRACK = {json.dumps(backend.url + '/e')};{SCRIPT}</script>"
    )
    context = browser.new_context()
    context.route(ALEPHBET_URL, serve_alephbet)
    if init:
        context.add_init_script(init)
    page = context.new_page()
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if "/e?" in request.url else None)
    page.goto(shop.url)
    yield page, sent
    context.close()


def start(page: Page, **options: Any) -> str | None:
    chosen: str | None = page.evaluate("options => start(options)", PLAIN | options)
    return chosen


def complete(page: Page, goal: str, times: int = 1, *, unique: bool = True) -> None:
    for _ in range(times):
        page.evaluate("([name, unique]) => complete(name, {unique})", [goal, unique])


ADAPTERS = ("GimelAdapter", "LamedAdapter")


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("where", ["local", "deployed"])
def test_events_arrive_once_and_leave_the_queue(
    where: str, adapter: str, request: pytest.FixtureRequest, browser: Browser, shop: Shop
) -> None:
    backend = request.getfixturevalue(where)
    name = f"button: colour / 100% #1 {adapter}"
    client = BackendClient(backend.url, backend.key)
    with visit(browser, shop, backend) as (page, _):
        start(page, name=name, adapter=adapter)
        wait_for_queue(page, 0)
        assert counts(client, name) == (1, {})
        for _ in range(3):
            complete(page, "signup")
            wait_for_queue(page, 0)
            page.reload()
            start(page, name=name, adapter=adapter)
    assert counts(client, name) == (1, {"signup": 1})


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_queue_is_sent_with_the_next_event(
    adapter: str, local: LocalBackend, browser: Browser, shop: Shop
) -> None:
    with visit(browser, shop, local) as (page, _):
        with local.down():
            with page.expect_event("requestfailed"):
                start(page, adapter=adapter)
            wait_for_queue(page, 1)
        complete(page, "signup")
        wait_for_queue(page, 0)
    assert counts(local.client, "e") == (1, {"signup": 1})


def test_a_user_counts_once_on_all_devices(
    browser: Browser, shop: Shop, local: LocalBackend
) -> None:
    chosen = set()
    uuid = hashlib.sha1(b"alephbet.e.user 1").hexdigest()
    for _ in range(3):
        with visit(browser, shop, local) as (page, sent):
            chosen.add(start(page, user_id="user 1"))
            complete(page, "signup")
            wait_for_queue(page, 0)
        assert all(f"uuid={uuid}&" in each.url for each in sent)
    assert len(chosen) == 1
    assert counts(local.client, "e") == (1, {"signup": 1})
    with visit(browser, shop, local) as (page, _):
        start(page, user_id="user 2")
        complete(page, "signup")
        wait_for_queue(page, 0)
    assert counts(local.client, "e") == (2, {"signup": 2})


def test_goals_that_are_not_unique_count_each_time(
    browser: Browser, shop: Shop, local: LocalBackend
) -> None:
    with visit(browser, shop, local) as (page, _):
        start(page, user_id="user 1")
        complete(page, "page view", 4, unique=False)
        complete(page, "signup", 4)
        wait_for_queue(page, 0)
    assert counts(local.client, "e") == (1, {"page view": 4, "signup": 1})


def test_weights_and_sample_are_counted_as_they_fell(
    browser: Browser, shop: Shop, local: LocalBackend
) -> None:
    client = local.client
    client.configure("e", {"counting": "exact"})
    options = PLAIN | {"sample": 0.5, "variants": {"blue": 80, "red": 20}}
    with visit(browser, shop, local) as (page, _):
        chosen = page.evaluate(
            "options => Array.from({length: 400}, () => start(options, memory()))", options
        )
        page.wait_for_function("() => waiting() === 0")
    fell = Counter(chosen)
    out = fell.pop(None)
    assert 140 < out < 260
    assert fell["blue"] > 2 * fell["red"] > 0
    found = client.experiment("e")
    assert {each["label"]: each["trials"] for each in found["variants"]} == fell


def test_a_late_flush_sends_many_times_what_counts_once(
    browser: Browser, shop: Shop, local: LocalBackend
) -> None:
    """AlephBet sends its whole queue again with every event, what is under way included."""
    local.client.configure("e", {"counting": "exact"})
    with visit(browser, shop, local) as (page, sent):
        with local.down():
            start(page)
            for _ in range(6):
                with page.expect_event("requestfailed"):
                    complete(page, "page view", unique=False)
            wait_for_queue(page, 7)
        offline = 1 + 2 + 3 + 4 + 5 + 6 + 7
        wait(lambda: page.title() == "Shop" and len(sent) == offline)
        # In one turn of the page's loop: no answer can come in between.
        page.evaluate("() => { for (var i = 0; i < 5; i++) complete('buy', {unique: false}); }")
        wait_for_queue(page, 0)
        uuids = Counter(parse_qs(urlsplit(each.url).query)["uuid"][0] for each in sent[offline:])
    assert len(uuids) == 12
    # 8 + 9 + 10 + 11 + 12: the queue grew by one with each event, and all of it was sent.
    assert sum(uuids.values()) == 50
    assert counts(local.client, "e") == (1, {"page view": 6, "buy": 5})


def test_without_local_storage_alephbet_stops_and_the_page_goes_on(
    browser: Browser, shop: Shop, local: LocalBackend
) -> None:
    with visit(browser, shop, local, NO_LOCAL_STORAGE) as (page, sent):
        said = page.evaluate(
            "options => { try { start(options) } catch (error) { return error.message } }", PLAIN
        )
        assert said == "localStorage is not available"
        assert page.locator("h1").is_visible()
        assert sent == []
        # What docs/senders/alephbet.md advises: a storage that lasts as long as the page.
        chosen = page.evaluate("options => start(options, memory())", PLAIN)
        complete(page, "signup")
        page.wait_for_function("() => waiting() === 0")
    assert chosen in PLAIN["variants"]
    assert counts(local.client, "e") == (1, {"signup": 1})


def test_no_cookie_is_set_or_sent(browser: Browser, shop: Shop, local: LocalBackend) -> None:
    with visit(browser, shop, local) as (page, sent):
        context: BrowserContext = page.context
        context.add_cookies([{"name": "of_the_backend", "value": "1", "url": local.url}])
        start(page)
        complete(page, "signup")
        wait_for_queue(page, 0)
        assert len(sent) >= 2
        for each in sent:
            answer = each.response()
            assert answer is not None
            assert "set-cookie" not in answer.all_headers()
            assert "cookie" not in each.all_headers()
        assert [cookie["name"] for cookie in context.cookies()] == ["of_the_backend"]
    assert counts(local.client, "e") == (1, {"signup": 1})
