"""OpenFeature's own web SDK and provider, unmodified, in Chromium: the code of docs/openfeature.md.

The page is of another origin than the backend. esbuild bundles it from npm's packages.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response

from tests.support.gimel_local import LocalBackend
from tests.support.openfeature import NAME, ROOT, VALUES, Backend, assigned, write_examples
from tests.support.shop import Shop
from tests.support.waiting import wait

ENTRY = """
export { OpenFeature } from "@openfeature/web-sdk";
export { start } from "./page.mjs";
"""
DETAILS = "window.client.getStringDetails('button color', '#fff')"


@pytest.fixture
def on_this_machine(local: LocalBackend) -> Backend:
    backend = Backend(local.url, local.key)
    backend.declare()
    return backend


@contextmanager
def visit(browser: Browser, shop: Shop, backend: Backend, folder: Path) -> Iterator[Page]:
    """A page of the shop that has the code of docs/openfeature.md, as `page`."""
    write_examples(folder, backend)
    (folder / "entry.mjs").write_text(ENTRY)
    command = [ROOT / "build/node_modules/.bin/esbuild", "entry.mjs", "--bundle"]
    command += ["--format=iife", "--global-name=page", "--log-level=error"]
    code = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    shop.html = f"<!doctype html><title>Shop</title><script>{code}</script>"
    context = browser.new_context()
    page = context.new_page()
    page.goto(shop.url)
    yield page
    context.close()


def start(page: Page, visitor: str = "user 7", **options: Any) -> None:
    page.evaluate(
        "async ([visitor, options]) => { window.client = await page.start(visitor, options) }",
        [visitor, options],
    )


def details(page: Page) -> Any:
    return page.evaluate(DETAILS)


@contextmanager
def events_sent(page: Page) -> Iterator[None]:
    """Wait until the backend has answered the events that the page sends in the block."""
    with page.expect_response(lambda answer: answer.url.endswith("/e")) as answer:
        yield
    assert answer.value.status == 200


def test_from_the_flag_to_the_verdict(
    browser: Browser, shop: Shop, flagged: Backend, tmp_path: Path
) -> None:
    visitors = [f"user {number}" for number in range(200)]
    with visit(browser, shop, flagged, tmp_path) as page:
        start(page)
        values = page.evaluate(
            """async ([visitors, red]) => {
              const values = [];
              for (const targetingKey of visitors) {
                await page.OpenFeature.setContext({ targetingKey });
                const value = client.getStringValue("button color", "#fff");
                // A second use is no second participation.
                values.push(client.getStringValue("button color", "#fff"));
                if (values.length % (value === red ? 2 : 20) === 0) client.track("signup");
              }
              return values;
            }""",
            [visitors, VALUES["red"]],
        )
        assert values == assigned(tmp_path, visitors)
        expected = {name: values.count(value) for name, value in VALUES.items()}
        wait(lambda: flagged.counted("participate") == expected)
        # The last events go at once when the visitor leaves.
        with events_sent(page):
            page.evaluate(
                """() => {
                  client.track("signup", { experiment: "button color" });
                  document.dispatchEvent(new Event("visibilitychange"));
                }"""
            )
    assert flagged.counted("participate") == expected
    assert "winner" in flagged.printed_results()


def test_a_poll_without_news_is_answered_304_and_the_kill_switch_arrives(
    browser: Browser, shop: Shop, on_this_machine: Backend, tmp_path: Path
) -> None:
    backend = on_this_machine
    with visit(browser, shop, backend, tmp_path) as page:
        answers: list[Response] = []
        page.on("response", lambda each: answers.append(each) if "/ofrep/" in each.url else None)

        def is_news(status: int) -> Any:
            return lambda answer: "/ofrep/" in answer.url and answer.status == status

        with page.expect_response(is_news(304)) as unchanged:
            start(page, pollInterval=100)
        sent = unchanged.value.request.all_headers()
        # The page can read the tag only because CORS exposes it.
        assert sent["if-none-match"] == answers[0].all_headers()["etag"]
        assert (sent["origin"], unchanged.value.headers["access-control-allow-origin"]) == (
            shop.url.removesuffix("/"),
            "*",
        )
        with events_sent(page):
            assert details(page)["reason"] == "SPLIT"
        backend.client.configure(NAME, {"state": "stopped"})
        page.wait_for_function(f"() => {DETAILS}.reason === 'DISABLED'")
        assert details(page)["value"] == VALUES["blue"]


def test_flags_that_nobody_uses_count_nothing(
    browser: Browser, shop: Shop, on_this_machine: Backend, tmp_path: Path
) -> None:
    on_this_machine.declare("another flag")
    with visit(browser, shop, on_this_machine, tmp_path) as page:
        start(page)
        with events_sent(page):
            page.evaluate("client.getStringValue('another flag', '#fff')")
    assert sum(on_this_machine.counted("participate").values()) == 0


def test_flags_of_the_last_visit_count_too(
    browser: Browser, shop: Shop, on_this_machine: Backend, tmp_path: Path
) -> None:
    with visit(browser, shop, on_this_machine, tmp_path) as page:
        start(page)
        page.reload()
        # The backend's flags do not come, but its events go.
        page.route("**/ofrep/**", lambda route: route.abort())
        start(page)
        with events_sent(page):
            found = details(page)
        assert (found["reason"], found["value"] in VALUES.values()) == ("CACHED", True)
        assert sum(on_this_machine.counted("participate").values()) == 1


def test_the_default_on_every_error(
    browser: Browser, shop: Shop, local: LocalBackend, on_this_machine: Backend, tmp_path: Path
) -> None:
    with visit(browser, shop, on_this_machine, tmp_path) as page:
        start(page)
        with local.down():
            # The visitor is another one, so nothing is known of the flags.
            start(page, "user 8")
            assert details(page)["value"] == "#fff"
        start(page)
        assert page.evaluate("client.getStringValue('no such flag', '#fff')") == "#fff"
        assert page.evaluate("client.getBooleanValue('button color', true)") is True
        with events_sent(page):
            assert details(page)["value"] in VALUES.values()
