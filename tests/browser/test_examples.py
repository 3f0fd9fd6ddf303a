"""The examples of docs/clients.md for a page, in a real Chromium."""

from playwright.sync_api import Browser

from tests.support.documented_examples import ADDRESS, examples, for_backend, wait_for
from tests.support.gimel_local import LocalBackend
from tests.support.shop import Shop


def test_fetch_and_send_beacon(browser: Browser, shop: Shop, local: LocalBackend) -> None:
    fetch, beacon = [code for code in examples("clients.md", "js") if ADDRESS in code]
    assert (fetch.startswith("// fetch"), beacon.startswith("// sendBeacon")) == (True, True)
    shop.html = f"<!doctype html><title>Shop</title><script>{for_backend(fetch, local.url)}"
    shop.html += f"{for_backend(beacon, local.url)}</script>"
    page = browser.new_page()
    preflights = []
    page.on("request", lambda each: preflights.append(each) if each.method == "OPTIONS" else None)
    page.goto(shop.url)
    client = local.client
    wait_for(client, "signup", 1)
    fields = {"experiment": "button color", "variant": "red", "event": "x", "uuid": "1"}
    assert page.evaluate("fields => track(fields)", fields) is True
    assert page.evaluate("fields => track(fields)", fields | {"uuid": ""}) is False
    page.close(run_before_unload=False)
    # Leaving the page sends the beacon.
    wait_for(client, "left", 1)
    assert not preflights
