"""The snippet as printed, AlephBet 0.27.0 as npm serves it, in a real Chromium, across origins."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Browser, Page, Route

from gimel.client import Client
from gimel.snippet import ALEPHBET_URL
from tests.support.chromium import LocalBackend
from tests.support.commands import url_fixture  # noqa: F401
from tests.support.servers import backend_fixture, point_handlers_at, proxy_of, store_fixture  # noqa: F401

ALEPHBET = Path(__file__).parent.parent.parent / "build/node_modules/alephbet/dist/alephbet.min.js"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose CDN is answered from npm's package. Errors in the page fail the test."""
    context = browser.new_context()
    context.route(ALEPHBET_URL, _serve_alephbet)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    # AlephBet leaves a failed fetch unhandled.
    assert set(errors) <= {"Failed to fetch"}


def _serve_alephbet(route: Route) -> None:
    headers = {"access-control-allow-origin": "*", "content-type": "text/javascript"}
    route.fulfill(body=ALEPHBET.read_bytes(), headers=headers)


class Shop:
    """The site under test, on an origin of its own: one page that holds the snippet."""

    def __init__(self) -> None:
        self.html = ""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = shop.html.encode()
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def show(self, snippet: str) -> None:
        goals = "".join(
            f"<button data-goal={goal!r}>{goal}</button>" for goal in ("signup", "page view")
        )
        self.html = f"<!doctype html><title>Shop</title>{snippet}{goals}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


def snippet(url: str, experiment: str) -> str:
    """What `gimel snippet` prints."""
    command = [sys.executable, "-m", "gimel", "snippet", "--url", url, "--experiment", experiment]
    names = ["--variant", "blue", "--variant", "it's <red>", "--goal", "signup"]
    return subprocess.run([*command, *names], check=True, capture_output=True, text=True).stdout


QUEUED = """() => Object.entries(JSON.parse(localStorage.alephbet || "{}"))
    .filter(([name]) => name.endsWith("_queue"))
    .flatMap(([, queue]) => JSON.parse(queue)).length"""


def wait_for_queue(page: Page, length: int) -> None:
    """Wait until AlephBet has so many events still to send."""
    page.wait_for_function(f"length => ({QUEUED})() === length", arg=length)


def counts(client: Client, experiment: str) -> tuple[int, int]:
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
    client = Client(backend.url, backend.key)

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
    assert counts(Client(local.url), "reloaded") == (1, 1)


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
    assert counts(Client(local.url), "unmodified") == (1, 1)


def test_events_wait_while_redis_is_away(deployed: Any, page: Page, shop: Shop) -> None:
    """The functions queue the event and answer 200: the browser may forget it."""
    shop.show(snippet(deployed.url, "redis away"))
    with deployed.redis_down():
        accepted = lambda response: "/e?" in response.url and response.status == 200  # noqa: E731
        with page.expect_response(accepted):
            page.goto(shop.url)
        wait_for_queue(page, 0)
    client = Client(deployed.url, deployed.key)
    deadline = time.monotonic() + 180
    while not client.experiments(scope="redis away")[0]["variants"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
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
        assert counts(Client(url), "kept") == (1, 0)
