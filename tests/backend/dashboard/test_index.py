"""The dashboard's page as it is sent: one response, small, that allows nothing else."""

import re

import requests
from playwright.sync_api import expect

from tests.support.dashboard_page import (
    Opener,
    Watch,
    events,
    send,
)
from tests.support.deployments import Deployment
from tests.support.gimel_local import LocalBackend, key_header


def test_the_page_is_one_response_that_allows_nothing_else(
    shared: LocalBackend, visit: Opener, watch: Watch
) -> None:
    answer = requests.get(f"{shared.url}/dashboard", timeout=60)
    parts = answer.headers["content-security-policy"].split(";")
    policy = dict(part.strip().partition(" ")[::2] for part in parts)
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for kind in ("script-src", "style-src"):
        assert re.fullmatch("'sha256-[^']{44}'", policy[kind])
    assert len(re.findall("</script", answer.text)) == 1
    page = visit(shared.url)
    expect(page.locator("#snippet")).to_be_visible()
    loaded = {request.url.partition("?")[0] for request in watch.requests}
    assert {url for url in loaded if not url.startswith("data:")} == {
        f"{shared.url}/dashboard",
        f"{shared.url}/experiments",
    }


def transferred(url: str) -> int:
    """Return the size of an answer as a browser receives it, gzipped."""
    headers = key_header(url.partition("/experiments")[0])
    with requests.get(url, headers=headers, timeout=60, stream=True) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        return len(answer.raw.read(decode_content=False))


def test_the_page_transfers_under_40_kb_and_first_paint_little_more(
    shared: LocalBackend, watch: Watch
) -> None:
    for number in range(10):
        arms = {label: (30, {"signup": 5, "paid": 2}) for label in ("control", "red")}
        send(shared.url, events("usual", f"A usual experiment, {number}", arms))
    page = transferred(f"{shared.url}/dashboard")
    data = transferred(f"{shared.url}/experiments?namespace=usual&view=summary&limit=100")
    assert page < 40_000
    assert page + data < 42_000


def test_the_deployed_page_travels_gzipped(deployed: Deployment) -> None:
    page = requests.get(f"{deployed.url}/dashboard", timeout=60)
    assert page.headers["content-encoding"] == "gzip"
    assert int(page.headers["content-length"]) < len(page.content) / 2
    assert "</html>" in page.text


def test_a_browser_that_has_the_page_is_told_that_it_is_the_same(shared: LocalBackend) -> None:
    address = f"{shared.url}/dashboard"
    first = requests.get(address, timeout=60)
    again = requests.get(address, headers={"if-none-match": first.headers["etag"]}, timeout=60)
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    other = requests.get(address, headers={"if-none-match": 'W/"another"'}, timeout=60)
    assert (other.status_code, other.text) == (200, first.text)


def test_a_reload_transfers_no_page(shared: LocalBackend, visit: Opener) -> None:
    page = visit(shared.url)
    size = 'performance.getEntriesByType("navigation")[0].transferSize'
    assert page.evaluate(size) > 10_000
    page.reload()
    assert page.evaluate(size) < 1_000
    expect(page.locator("#snippet")).to_be_visible()
