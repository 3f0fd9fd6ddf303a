"""The snippet as printed, AlephBet 0.27.0 as npm serves it, in a real Chromium, across origins."""

import subprocess
import sys
from typing import Any

import pytest
import redis
from playwright.sync_api import Page

from gimel.client import BackendClient
from tests.support.gimel_local import LocalBackend
from tests.support.handler_requests import point_handlers_at
from tests.support.proxy import proxy_of
from tests.support.shop import Shop, wait_for_queue
from tests.support.waiting import wait


def snippet(url: str, experiment: str) -> str:
    """What `gimel snippet` prints."""
    command = [sys.executable, "-m", "gimel", "snippet", "--url", url, "--experiment", experiment]
    names = ["--variant", "blue", "--variant", "it's <red>", "--goal", "signup"]
    return subprocess.run([*command, *names], check=True, capture_output=True, text=True).stdout


def counts(client: BackendClient, experiment: str) -> tuple[int, int]:
    """Visitors and signups over all variants."""
    found = client.experiment(experiment)
    trials = sum(variant["trials"] for variant in found["variants"])
    goals = {goal["goal"]: goal["results"] for goal in found["goals"]}
    return trials, sum(result["successes"] for result in goals.get("signup", []))


ADAPTERS = ("GimelAdapter", "LamedAdapter")


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("where", ["local", "deployed"])
def test_events_arrive_once_and_leave_the_queue(
    where: str, adapter: str, request: pytest.FixtureRequest, page: Page, shop: Shop
) -> None:
    backend = request.getfixturevalue(where)
    experiment = f"button: colour / 100% #1 {adapter}"
    shop.show(snippet(backend.url, experiment).replace("GimelAdapter", adapter))
    client = BackendClient(backend.url, backend.key)

    page.goto(shop.url)
    wait_for_queue(page, 0)
    assert counts(client, experiment) == (1, 0)
    assert page.locator("html").get_attribute("data-variant") in ("blue", "it's <red>")

    for _ in range(3):
        page.get_by_text("signup").click()
        wait_for_queue(page, 0)
        page.reload()
    assert counts(client, experiment) == (1, 1)


def test_unsent_events_survive_a_reload(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.show(snippet(local.url, "reloaded"))
    with local.down():
        with page.expect_event("requestfailed"):
            page.goto(shop.url)
        with page.expect_event("requestfailed"):
            page.get_by_text("signup").click()
        wait_for_queue(page, 2)
    page.reload()
    wait_for_queue(page, 0)
    assert counts(local.client, "reloaded") == (1, 1)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_alephbets_own_queue_is_sent_with_the_next_event(
    adapter: str, local: LocalBackend, page: Page, shop: Shop
) -> None:
    """Without the snippet's storage: a page that is there already, unmodified."""
    plain = snippet(local.url, "unmodified").replace(", queue)", ")")
    shop.show(plain.replace("GimelAdapter", adapter))
    with local.down():
        with page.expect_event("requestfailed"):
            page.goto(shop.url)
        wait_for_queue(page, 1)
    page.get_by_text("signup").click()
    wait_for_queue(page, 0)
    assert counts(local.client, "unmodified") == (1, 1)


def test_events_wait_while_redis_is_away(deployed: Any, page: Page, shop: Shop) -> None:
    """The functions queue the event and answer 200: the browser may forget it."""
    shop.show(snippet(deployed.url, "redis away"))
    with deployed.redis_down():
        accepted = lambda response: "/e?" in response.url and response.status == 200  # noqa: E731
        with page.expect_response(accepted):
            page.goto(shop.url)
        wait_for_queue(page, 0)
    client = BackendClient(deployed.url, deployed.key)
    wait(lambda: bool(client.experiments(scope="redis away")[0]["variants"]), 180)
    assert counts(client, "redis away") == (1, 0)


def test_the_browser_keeps_an_event_that_nobody_took(
    url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, page: Page, shop: Shop
) -> None:
    """A backend without a queue answers 503: AlephBet keeps the event, as on all but 200."""
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
        assert counts(BackendClient(url), "kept") == (1, 0)
