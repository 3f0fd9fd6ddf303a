"""`gimel.js` in Chromium: who is not counted, what testers see, and pages with a strict policy."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.gimel_local import LocalBackend
from tests.support.gimel_page import GOAL, html, posts, shown, unsent, wait_until_sent
from tests.support.shop import Shop, counts

STORED = "[document.cookie, {...localStorage}]"


def logged(page: Page) -> list[str]:
    """The lines that the page writes to the console from now on."""
    lines: list[str] = []
    page.on("console", lambda line: lines.append(line.text))
    return lines


def at(shop: Shop, *modes: str) -> str:
    """The address of the shop with modes of `gimel.js`."""
    return f"{shop.url}?{urlencode([('gimel', mode) for mode in modes])}"


def test_who_opts_out_is_forgotten(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.html = html(local.url, "opt out", variants={"blue": 0, "red": 1})
    page.goto(shop.url)
    wait_until_sent(page)
    assert shown(page, "opt out") == "red"
    sent = posts(page)
    page.evaluate("gimel.goal('signup'), gimel.optOut()")
    for _ in range(2):
        page.get_by_text("Sign up").click()
        page.evaluate("dispatchEvent(new Event('pagehide'))")
        nothing = ["gimel_id=opted out", {"gimel:id": "opted out"}]
        assert page.evaluate(STORED) == nothing
        page.reload()
        assert shown(page, "opt out") == "blue"
    # Either place is enough.
    page.evaluate("localStorage.clear()")
    page.reload()
    assert shown(page, "opt out") == "blue"
    assert not sent
    assert counts(local.client, "opt out") == (1, {})


@pytest.mark.parametrize("is_set", [True, False])
def test_global_privacy_control(
    is_set: bool, local: LocalBackend, browser: Browser, shop: Shop
) -> None:
    """Chromium has no such setting: the script stands in for it."""
    context = browser.new_context()
    context.add_init_script("navigator.globalPrivacyControl = !localStorage.off")
    page = context.new_page()
    sent = posts(page)
    plain = html(local.url, "gpc", variants={"blue": 0, "red": 1})
    shop.html = plain.replace("<script ", "<script data-gpc ") if is_set else plain
    page.goto(shop.url)
    page.get_by_text("Sign up").click()
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert shown(page, "gpc") == ("blue" if is_set else "red")
    if is_set:
        assert page.evaluate(STORED) == ["", {}]
        assert not sent
        page.evaluate("localStorage.off = 1")
        page.reload()
        assert shown(page, "gpc") == "red"
    context.close()


def test_a_forced_visit_is_not_counted_and_says_so(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    name = "a: b/צ"
    variants = {"blue": 1, "red: x": 0, "green": 0}
    shop.html = html(local.url, name, "other", variants=variants)
    sent = posts(page)
    page.goto(at(shop, f"{name}:red: x", "other:no such variant"))
    # It stays forced on the next page of this tab.
    for _ in range(2):
        assert shown(page, name) == "red: x"
        assert shown(page, "other") == "blue"
        badge = page.get_by_text("Gimel: not counted", exact=True)
        expect(badge).to_be_in_viewport()
        page.get_by_text("Sign up").click()
        page.evaluate("dispatchEvent(new Event('pagehide'))")
        page.goto(shop.url)
    assert page.evaluate(STORED) == ["", {}]
    page.goto(at(shop, ""))
    assert shown(page, name) == "blue"
    assert page.get_by_text("not counted").count() == 0
    assert not sent
    page.get_by_text("Sign up").click()
    wait_until_sent(page)
    assert counts(local.client, name) == (1, {"signup": 1})


def test_a_forced_visit_sends_nothing_of_earlier_pages(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.html = html(local.url, "earlier")
    page.goto(shop.url)
    wait_until_sent(page)
    # Before the goal, since a busy machine may send it before the next line.
    page.context.set_offline(True)
    with page.expect_event("requestfailed"):
        page.evaluate("gimel.goal('signup'), dispatchEvent(new Event('pagehide'))")
    page.context.set_offline(False)
    sent = posts(page)
    page.goto(at(shop, "earlier:red"))
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert unsent(page) == 1
    assert not sent


def test_debug_says_what_was_counted_and_what_was_not(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    names = [{"name": "blue"}, {"name": "red"}]
    local.client.declare("debug", {"variants": names, "goals": [{"name": "signup"}]})
    shop.html = html(local.url, "debug")
    lines = logged(page)
    page.goto(at(shop, "debug"))
    page.evaluate("gimel.goal('signup'), gimel.goal('sign up')")
    wait_until_sent(page)
    (line,) = lines
    prefix, events, status, answer = line.split(" ", 1)[0], *_parts(line)
    assert prefix == "gimel:"
    assert sorted(each["event"] for each in events) == ["participate", "sign up", "signup"]
    assert status == 200
    assert (answer["accepted"], answer["ignored"]) == (2, 1)
    assert list(answer["reasons"].values()) == [1]

    del lines[:]
    page.goto(at(shop, "debug", "debug:red"))
    page.evaluate("gimel.goal('signup')")
    assert lines == ["gimel: not sent: forced"] * 2
    del lines[:]
    page.goto(at(shop, "debug"))
    page.evaluate("gimel.optOut(), gimel.goal('signup')")
    assert lines == ["gimel: not sent: opted out"]
    page.context.clear_cookies()
    page.evaluate("localStorage.clear()")
    del lines[:]
    with local.down():
        page.goto(at(shop, "debug"))
        for _ in range(3):
            page.evaluate("dispatchEvent(new Event('pagehide'))")
            page.wait_for_timeout(100)
    assert any("Failed to fetch" in line for line in lines)


def _parts(line: str) -> tuple[list[dict[str, Any]], int, dict[str, Any]]:
    """The events, the status and the answer in a line."""
    decoder = json.JSONDecoder()
    start = line.index("[")
    events, end = decoder.raw_decode(line, start)
    status, _, answer = line[end:].strip().partition(" ")
    return events, int(status), json.loads(answer)


def test_without_debug_the_console_stays_empty(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.html = html(local.url, "quiet")
    lines = logged(page)
    page.goto(shop.url)
    page.get_by_text("Sign up").click()
    wait_until_sent(page)
    assert lines == []


def test_a_strict_policy(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.headers = {
        "content-security-policy": f"default-src 'none'; script-src {local.url}/gimel.js; "
        f"connect-src {local.url}/e; require-trusted-types-for 'script'; trusted-types 'none'"
    }
    shop.html = html(local.url, "strict", linked=True)
    lines = logged(page)
    page.goto(shop.url)
    page.get_by_text("Sign up").click()
    wait_until_sent(page)
    assert counts(local.client, "strict") == (1, {"signup": 1})
    page.goto(at(shop, "strict:red"))
    assert shown(page, "strict") == "red"
    box = page.get_by_text("not counted").bounding_box()
    assert box is not None
    height = page.evaluate("innerHeight")
    assert box["y"] + box["height"] == pytest.approx(height, abs=40)
    assert lines == []


def test_two_tags_share_one_client(local: LocalBackend, page: Page, shop: Shop) -> None:
    first, second = (html(local.url, name, linked=True) for name in ("one", "two"))
    settings = f'<script src="{local.url}/gimel.js" data-user="ana"></script>'
    shop.html = settings + first.replace(GOAL, "") + second
    sent = posts(page)
    page.goto(shop.url)
    page.evaluate("window.before = gimel")
    page.get_by_text("Sign up").click()
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    wait_until_sent(page)
    events = [each for request in sent for each in request.post_data_json]
    assert {each["visitor"] for each in events} == {"ana"}
    assert sorted(each["event"] for each in events) == ["participate"] * 2 + ["signup"] * 2
