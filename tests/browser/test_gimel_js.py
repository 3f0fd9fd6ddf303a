"""`gimel.js` in Chromium, as `gimel snippet` prints it, against a real backend: what it counts."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from gimel.backend.experiment.assignment import assigned_variant, takes_part
from gimel.client import BackendClient
from gimel.snippet import attribute_name
from tests.support.commands import run, said
from tests.support.gimel_local import LocalBackend
from tests.support.gimel_page import GOAL, html, posts, shown, wait_until_sent
from tests.support.names import HOSTILE
from tests.support.shop import Shop, counts


@pytest.mark.parametrize("linked", [False, True], ids=["inline", "src"])
@pytest.mark.parametrize("where", ["local", "deployed"])
def test_a_visitor_counts_once_for_each_experiment(
    where: str, linked: bool, request: pytest.FixtureRequest, page: Page, shop: Shop
) -> None:
    backend = request.getfixturevalue(where)
    names = [f"button: colour / 100% {linked}", f"button size {linked}"]
    shop.html = html(backend.url, *names, linked=linked)
    for _ in range(2):
        page.goto(shop.url)
        page.get_by_text("Sign up").click()
        wait_until_sent(page)
    client = BackendClient(backend.url, backend.key)
    for name in names:
        assert shown(page, name) in ("blue", "red")
        assert counts(client, name) == (1, {"signup": 1})


def test_a_declared_experiment_counts_what_the_page_sends(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    environ: dict[str, str | None] = {"GIMEL_KEY": local.key}
    variants = [{"name": "blue", "weight": 80}, {"name": "red", "weight": 20}]
    goals = [{"name": "signup"}, {"name": "orders", "kind": "total"}]
    local.client.declare("button color", {"variants": variants, "goals": goals})
    command = ["snippet", "button color", "--url", local.url]
    printed = said(run(*command, env=environ))
    assert 'data-variants=\'{"blue":80,"red":20}\'' in printed
    shop.html = f"<!doctype html>{printed}{GOAL}"
    page.goto(shop.url)
    page.get_by_text("Sign up").click()
    page.evaluate("gimel.goal('orders'), gimel.goal('orders'), gimel.goal('unknown')")
    wait_until_sent(page)
    assert counts(local.client, "button color") == (1, {"signup": 1, "orders": 2})


def test_participation_is_sent_once_a_day_and_visitor(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.html = html(local.url, "once")
    page.clock.install()
    page.clock.resume()
    sent = posts(page)
    for _ in range(3):
        page.goto(shop.url)
        page.evaluate("gimel.variant('once', ['blue', 'red'])")
        wait_until_sent(page)
    assert len(sent) == 1
    page.clock.fast_forward("24:00:00")
    page.goto(shop.url)
    wait_until_sent(page)
    assert len(sent) == 2
    assert counts(local.client, "once") == (1, {})


def test_clicks_and_submissions_are_goals(local: LocalBackend, page: Page, shop: Shop) -> None:
    local.client.declare(
        "shop",
        {
            "variants": [{"name": "blue"}, {"name": "red"}],
            "goals": [
                {"name": "clicked"},
                {"name": "joined"},
                {"name": "revenue", "kind": "value", "cap": 100},
            ],
        },
    )
    shop.html = html(local.url, "shop") + (
        '<a data-gimel-goal="clicked"><b>inside a link</b></a>'
        '<form data-gimel-goal="joined" onsubmit="return false"><input><button>Join</button></form>'
        '<button data-gimel-goal="revenue" data-gimel-value="9.90" id="buy">Buy</button>'
        "<script>buy.onclick = (event) => event.stopImmediatePropagation()</script>"
    )
    page.goto(shop.url)
    page.locator("input").click()
    page.get_by_text("inside").click()
    page.get_by_text("Buy").click()
    wait_until_sent(page)
    # An amount of 9.90 is 10 of the 100 parts of its cap, and may be rounded down.
    revenue = {"revenue": pytest.approx(10, abs=1)}
    assert counts(local.client, "shop") == (1, {"clicked": 1, "joined": 0} | revenue)
    page.get_by_text("Join").click()
    wait_until_sent(page)
    assert counts(local.client, "shop") == (1, {"clicked": 1, "joined": 1} | revenue)


def test_a_goal_may_name_its_experiment(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.html = html(local.url, "first", "second")
    page.goto(shop.url)
    page.evaluate("gimel.goal('signup', {experiment: 'first'}), gimel.goal('x', {experiment: 'y'})")
    wait_until_sent(page)
    assert counts(local.client, "first") == (1, {"signup": 1})
    assert counts(local.client, "second") == (1, {})


def test_a_user_has_one_variant_on_all_devices(
    local: LocalBackend, browser: Browser, shop: Shop
) -> None:
    shop.html = html(local.url, "devices").replace("<script ", '<script data-user="user 42" ')
    for _ in range(2):
        device = browser.new_page()
        device.goto(shop.url)
        assert shown(device, "devices") == assigned_variant(
            "devices", "user 42", {"blue": 1, "red": 1}
        )
        device.get_by_text("Sign up").click()
        wait_until_sent(device)
        assert device.context.cookies() == []
        device.close()
    assert counts(local.client, "devices") == (1, {"signup": 1})


def test_the_assignment_is_pythons(local: LocalBackend, page: Page, shop: Shop) -> None:
    shop.html = "<!doctype html>" + html(local.url).replace("<h1>", _script(local.url) + "<h1>")
    page.goto(shop.url)
    weights = {"blue": 70, "red": 20, "צבע": 10}
    found: list[str] = page.evaluate(
        """weights => Array.from({length: 500}, (_, number) => {
          gimel.user = "user " + number;
          return gimel.variant("אb c", weights, {traffic: 0.5});
        })""",
        weights,
    )
    assert found == [
        assigned_variant("אb c", f"user {number}", weights)
        if takes_part("אb c", f"user {number}", 0.5)
        else "blue"
        for number in range(500)
    ]
    assert set(found) == set(weights)


def _script(url: str) -> str:
    return f'<script src="{url}/gimel.js"></script>'


def test_who_is_out_sees_the_baseline_and_is_not_counted(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.html = html(local.url, "none", traffic=0.0, variants={"10": 1, "9": 1})
    sent = posts(page)
    page.goto(shop.url)
    page.get_by_text("Sign up").click()
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert shown(page, "none") in ("10", "9")
    id = page.context.cookies()[0]["value"]
    page.reload()
    assert page.context.cookies()[0]["value"] == id
    assert not sent


def test_a_single_page_app_that_changes_its_route(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    shop.html = html(local.url, "home") + "<main></main>"
    sent = posts(page)
    # Paused, so that no second passes on a busy machine.
    page.clock.install(time=0)
    page.clock.pause_at(1)
    page.goto(shop.url)
    for route in ("checkout", "thanks", "checkout"):
        page.evaluate(
            """route => {
              history.pushState({}, "", "/" + route);
              const variant = gimel.variant(route, {blue: 1, red: 1});
              document.querySelector("main").innerHTML =
                `<button data-gimel-goal="seen ${route}">${route} in ${variant}</button>`;
            }""",
            route,
        )
        page.locator("main button").click()
    page.clock.run_for(1000)
    wait_until_sent(page)
    assert len(sent) == 1
    for name in ("home", "checkout", "thanks"):
        visitors, goals = counts(local.client, name)
        assert (visitors, goals["seen checkout"]) == (1, 1)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_arrive_as_they_are(name: str, local: LocalBackend, page: Page, shop: Shop) -> None:
    variants: dict[str, Any] = {name: 1, f"{name} 2": 1}
    shop.html = html(local.url, name, variants=variants, namespace=name, goals=[name])
    page.goto(shop.url)
    assert page.locator("html").get_attribute(attribute_name(name)) in variants
    page.evaluate("name => gimel.goal(name)", name)
    wait_until_sent(page)
    (found,) = (
        local.client.experiments(name)[1:]
        if hasattr(local.client, "x")
        else local.client.experiments(name)
    )
    assert found["experiment"] == name
    assert {each["label"] for each in found["variants"]} <= set(variants)
    assert [each["goal"] for each in found["goals"]] == [name]


def test_wrong_input_is_reported_and_shows_the_baseline(
    local: LocalBackend, page: Page, shop: Shop
) -> None:
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    broken = _script(local.url).replace("<script", "<script data-experiment=x data-variants='{'")
    shop.html = f"<!doctype html>{broken}{_script(local.url)}"
    sent = posts(page)
    page.goto(shop.url)
    assert len(errors) == 1
    answers = page.evaluate(
        """[gimel.variant("x", []), gimel.variant("x"), gimel.variant(1, ["a", "b"]),
            gimel.variant("x", {a: 0, b: 0}), gimel.goal("y")]"""
    )
    assert json.dumps(answers) == '[null, null, "a", "a", null]'
    assert len(errors) == 5
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert not sent
