"""AdGuard's rules, in a real Chromium: they block none of our addresses."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from gimel.alephbet import ALEPHBET_URL
from tests.support.ad_blocker import AdBlocker, ad_blocker

API = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/prod"
FUNCTION_URL = "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-west-1.on.aws"
DOMAIN = "https://ab.shop-domain.example"
QUERY = "experiment=button+color&uuid=6b0a3a04&variant=red&event=signup&namespace=alephbet"


@pytest.fixture(scope="module")
def blocker(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdBlocker]:
    with ad_blocker(browser.browser_type, tmp_path_factory.mktemp("ad_blocker")) as blocker:
        yield blocker


@pytest.mark.parametrize("base", [API, FUNCTION_URL, DOMAIN])
def test_no_rule_blocks_an_event(blocker: AdBlocker, base: str) -> None:
    for kind in ("xmlhttprequest", "ping"):
        assert not blocker.blocks("post", kind, f"{base}/e")
        assert not blocker.blocks("get", kind, f"{base}/e?{QUERY}")


@pytest.mark.parametrize("base", [API, DOMAIN])
def test_no_rule_blocks_what_a_page_loads(blocker: AdBlocker, base: str) -> None:
    assert not blocker.blocks("get", "script", f"{base}/gimel.js")
    assert not blocker.blocks("get", "script", f"{base}/gimel.js?v=0123456789abcdef")
    for path in ("", "/button%20color"):
        url = f"{base}/ofrep/v1/evaluate/flags{path}"
        assert not blocker.blocks("post", "xmlhttprequest", url)
    assert not blocker.blocks("get", "main_frame", f"{base}/dashboard")
    assert not blocker.blocks("get", "script", ALEPHBET_URL)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("xmlhttprequest", f"{FUNCTION_URL}/track?{QUERY}"),
        ("xmlhttprequest", f"https://analytics.shop-domain.example/collect?{QUERY}"),
        ("ping", "https://www.google-analytics.com/collect"),
        ("script", "https://www.googletagmanager.com/gtag/js?id=G-1"),
        ("script", "https://pagead2.googlesyndication.com/pagead/js/adsbygoogle.js"),
    ],
)
def test_the_rules_are_loaded(blocker: AdBlocker, kind: str, url: str) -> None:
    assert blocker.blocks("get", kind, url)
