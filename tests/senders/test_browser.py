"""docs/senders/browser.md: its page and scripts, in Chromium."""

from playwright.sync_api import Page, expect

from gimel.backend.experiment.assignment import assigned_variant, takes_part
from tests.support.documented_examples import examples, for_backend, successes, visitors, wait_for
from tests.support.gimel_local import LocalBackend
from tests.support.shop import Shop

(HTML,) = examples("senders/browser.md", "html")
OWN, FETCH = examples("senders/browser.md", "js")


def test_the_page(page: Page, shop: Shop, local: LocalBackend) -> None:
    shop.html = for_backend(HTML, local.url)
    page.goto(shop.url)
    color = page.locator("html").get_attribute("data-gimel-button-color")
    rgb = {"blue": "rgb(0, 0, 255)", "red": "rgb(255, 0, 0)"}[str(color)]
    expect(page.get_by_role("button", name="Sign up")).to_have_css("color", rgb)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_role("button", name="Order").click()
    page.wait_for_url("**/thanks?")
    wait_for(local.client, "order", 1)
    assert successes(local.client, "signup") == 1
    assert visitors(local.client) == {color: 1}


def test_the_page_while_the_backend_is_away(page: Page, shop: Shop, local: LocalBackend) -> None:
    shop.html = for_backend(HTML, local.url)
    page.goto(shop.url)
    with local.down():
        page.get_by_role("button", name="Sign up").click()
        page.close()
    # On a later visit
    page.context.new_page().goto(shop.url)
    wait_for(local.client, "signup", 1)


def test_an_own_script(page: Page, shop: Shop, local: LocalBackend) -> None:
    user = next(f"user-{n}" for n in range(100) if takes_part("headline", f"user-{n}", 0.5))
    end = "</script>\n"
    own = f"{end}<script>{OWN}</script>"
    html = HTML.replace("data-experiment", f"data-user={user} data-experiment").replace(end, own)
    shop.html = for_backend(html, local.url)
    page.goto(shop.url)
    wait_for(local.client, "read", 1, "headline")
    assert sum(visitors(local.client, "headline").values()) == 1
    shown = assigned_variant("headline", user, {"short": 1, "long": 1})
    expect(page.locator("html")).to_have_attribute("data-gimel-headline", shown)


def test_fetch(page: Page, shop: Shop, local: LocalBackend) -> None:
    assert FETCH.startswith("// fetch\n")
    script = for_backend(FETCH, local.url)
    shop.html = f"<!doctype html><title>Shop</title><script>{script}</script>"
    preflights = []
    page.on("request", lambda each: preflights.append(each) if each.method == "OPTIONS" else None)
    page.goto(shop.url)
    wait_for(local.client, "signup", 1)
    fields = {"experiment": "button color", "variant": "red", "event": "x", "uuid": "1"}
    assert page.evaluate("fields => track(fields)", fields) is True
    assert page.evaluate("fields => track(fields)", fields | {"uuid": ""}) is False
    assert not preflights
