"""The demo of `gimel local --demo`: its experiments and its page."""

import re
import time
from pathlib import Path

import pytest
import redis
import requests
from playwright.sync_api import Browser, expect

from gimel.backend.counting.counters import Counters
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from gimel.local import made_up
from gimel.local.made_up import EXPERIMENTS
from tests.support.commands import process
from tests.support.gimel_local import LocalBackend, trials
from tests.support.servers import url_of, valkey

pytestmark = pytest.mark.slow


def test_the_demo_is_filled_once(tmp_path: Path, store: redis.Redis) -> None:
    arguments = ("--demo", "--redis-url", url_of(store))
    with LocalBackend(tmp_path, *arguments) as local:
        once = trials(local.client, "demo")
        page = requests.get(f"{local.url}/", timeout=60)
    with LocalBackend(tmp_path, *arguments) as again:
        assert trials(again.client, "demo") == once
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'data-experiment="button colour"' in page.text
    meant = {name: sum(arm.visitors for arm in made.arms) for name, made in EXPERIMENTS.items()}
    assert once == {name: pytest.approx(visitors, rel=0.005) for name, visitors in meant.items()}


def test_the_demo_shows_every_state(running: tuple[LocalBackend, Path]) -> None:
    client = running[0].client
    found = {each["experiment"]: each for each in client.experiments("demo")}
    primary = {
        name: next(goal for goal in found[name]["goals"] if goal["role"] == "primary")
        for name in EXPERIMENTS
    }
    assert {name: goal["verdict"]["state"] for name, goal in primary.items()} == {
        "signup form": "winner",
        "pricing headline": "no_difference",
        "cookie banner": "loser",
        "one-click order": "winner",
        "delivery promise": "do_not_trust",
        "checkout / fewer steps": "keep_collecting",
    }
    assert [name for name, each in found.items() if each["srm"]["alarm"]] == ["delivery promise"]
    guardrails = [goal["guardrail"] for goal in found["one-click order"]["goals"]]
    assert {"one click": "broken"} in guardrails


def test_its_page_counts_who_clicks(running: tuple[LocalBackend, Path], browser: Browser) -> None:
    local = running[0]
    with browser.new_page() as page:
        page.goto(local.url)
        variant = page.locator("#variant").text_content()
        assert variant == page.locator("html").get_attribute("data-gimel-button-colour")
        page.get_by_role("button", name="Try it").click()
        expect(page.get_by_text(f"clicked the button · {variant} → counted")).to_be_visible()
        expect(page.get_by_text(f"participate · {variant} → counted")).to_be_visible()
        page.get_by_role("button", name="Become another visitor").click()
        expect(page.get_by_text("participate · ")).to_have_count(1)
        (found,) = local.client.experiments("demo", scope="button colour")
        assert sum(each["trials"] for each in found["variants"]) == 2


def test_its_page_says_what_did_not_count(
    running: tuple[LocalBackend, Path], browser: Browser
) -> None:
    with browser.new_page(user_agent="Googlebot/2.1") as page:
        page.goto(running[0].url)
        expect(
            page.get_by_text(re.compile("participate · (blue|green) → not counted: bot"))
        ).to_be_visible()
    with browser.new_page() as page:
        page.route("**/e", lambda route: route.fulfill(status=503, body='{"error": "try again"}'))
        page.goto(running[0].url)
        expect(page.get_by_text("→ not counted: try again")).to_be_visible()


def test_the_demo_has_two_weeks_of_history(running: tuple[LocalBackend, Path]) -> None:
    past = running[0].client.history("signup form", "demo")
    days = {each["time"][:10] for each in past["snapshots"]}
    assert 14 <= len(days) <= 16
    assert len(past["snapshots"]) > 170
    assert past["recorded"]["state"] == "winner"
    assert past["snapshots"][0]["time"] < past["recorded"]["at"] < past["snapshots"][-24]["time"]


def test_what_an_interrupted_start_left_is_made_up_anew(store: redis.Redis) -> None:
    connection = Connection(url_of(store))
    counters = Counters(connection)
    event = Event("demo", "signup form", "participate", "control", "left over", "left over")
    counters.add([event])
    made_up.fill(connection, counters, time.time())
    counters.forget()
    (found,) = counters.read("demo", ["signup form"])
    meant = sum(arm.visitors for arm in EXPERIMENTS["signup form"].arms)
    assert found.visitors == pytest.approx(meant, rel=0.005)
    assert found.settings.planned_visitors == 22_000
    assert found.is_salted


def test_a_redis_that_takes_no_demo(tmp_path: Path) -> None:
    with valkey() as full:
        full.config_set("maxmemory", "1")
        options = ("--data-dir", str(tmp_path), "--redis-url", url_of(full))
        done = process("local", "--demo", "--port", "0", *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "Error: the demo cannot be counted: Redis answers with an error: "
    )
    assert len(done.stderr.splitlines()) == 1
