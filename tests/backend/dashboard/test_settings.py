"""The dashboard's controls against a real backend: settings, stop, delete, keyboard, colours."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from gimel.client import BackendClient, BackendError
from tests.support.dashboard_page import Opener, events, held, send, tab_to
from tests.support.gimel_local import LocalBackend

ARMS = {
    "control": (400, {"order": 40, "signup": 60}),
    "blue": (410, {"order": 44}),
    "red": (390, {"order": 50}),
}


@pytest.fixture(name="opened")
def opened_fixture(
    shared: LocalBackend, visit: Opener, request: pytest.FixtureRequest
) -> tuple[Page, BackendClient, str]:
    """An experiment of the test's own, opened; a client; its name."""
    name = str(request.node.name)
    send(shared.url, events("settings", name, ARMS))
    page = visit(shared.url, {"namespace": "settings", "experiment": name})
    return page, shared.client, name


def said(client: BackendClient, name: str) -> dict[str, Any]:
    return client.experiment(name, "settings")


def test_settings_make_the_round_trip(opened: tuple[Page, BackendClient, str]) -> None:
    page, client, name = opened
    page.get_by_role("button", name="Settings").click()
    dialog = page.get_by_role("dialog", name=f"Settings of {name}")
    dialog.get_by_label("Baseline").select_option("red")
    dialog.get_by_label("Primary goal").select_option("signup")
    for label, share in {"blue": "50", "control": "25", "red": "25"}.items():
        dialog.get_by_role("spinbutton", name=label).fill(share)
    dialog.get_by_label("Equivalence").fill("2.5")
    dialog.get_by_label("signup", exact=True).check()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(dialog).not_to_be_visible()
    found = said(client, name)
    assert (found["baseline"], found["primary_goal"], found["equivalence"]) == (
        "red",
        "signup",
        0.025,
    )
    assert found["srm"]["weights"] == {"blue": 0.5, "control": 0.25, "red": 0.25}
    assert {goal["goal"]: goal["kind"] for goal in found["goals"]} == {
        "order": "unique",
        "signup": "total",
    }
    expect(page.get_by_role("heading", name="The split is wrong")).to_be_visible()
    page.get_by_role("button", name="Settings").click()
    expect(dialog.get_by_role("spinbutton", name="blue")).to_have_value("50")
    for label in ("blue", "control", "red"):
        dialog.get_by_role("spinbutton", name=label).fill("1")
    dialog.get_by_label("Equivalence").fill("")
    dialog.get_by_label("signup", exact=True).uncheck()
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".alarm")).to_have_count(0)
    found = said(client, name)
    assert found["equivalence"] is None
    assert set(found["srm"]["weights"].values()) == {0.333333}
    assert {goal["kind"] for goal in found["goals"]} == {"unique"}


def test_only_what_was_changed_is_sent(opened: tuple[Page, BackendClient, str]) -> None:
    page, _, _ = opened
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("dialog").get_by_label("Baseline").select_option("red")
    with page.expect_request("**/settings?*") as request:
        page.get_by_role("button", name="Save").click()
    assert request.value.post_data_json == {"baseline": "red"}


def test_a_refused_setting_says_why(opened: tuple[Page, BackendClient, str]) -> None:
    page, client, name = opened
    page.get_by_role("button", name="Settings").click()
    field = page.get_by_label("Equivalence")
    field.fill("150")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
        "Equivalence must be a lift between 0 and 1"
    )
    expect(field).to_be_focused()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).not_to_be_visible()
    assert said(client, name)["equivalence"] is None


def test_the_baseline_switch_is_the_setting(opened: tuple[Page, BackendClient, str]) -> None:
    page, client, name = opened
    switch = page.get_by_label("Compared with")
    expect(switch).to_have_accessible_description(re.compile("changes for everyone"))
    switch.select_option("blue")
    expect(page.locator(".results tr.base th")).to_contain_text("blue")
    assert said(client, name)["baseline"] == "blue"


def test_a_switch_that_is_refused_goes_back(opened: tuple[Page, BackendClient, str]) -> None:
    page, _, _ = opened
    refusal = {"status": 503, "json": {"error": "the counters are out of reach", "field": None}}
    page.route("**/settings?*", lambda route: route.fulfill(**refusal))
    page.get_by_label("Compared with").select_option("blue")
    expect(page.locator("#toast")).to_have_text("The counters are out of reach.")
    expect(page.get_by_label("Compared with")).to_have_value("control")


def test_stop_resume_archive_restore(opened: tuple[Page, BackendClient, str]) -> None:
    page, client, name = opened
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert said(client, name)["state"] == "running"
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    for state, button in (("Stopped", "Resume"), ("Running", "Stop"), ("Stopped", "Archive")):
        expect(page.locator(".facts")).to_contain_text(state)
        assert said(client, name)["state"] == state.lower()
        page.get_by_role("button", name=button, exact=True).click()
        if button == "Stop":
            page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator(".facts")).to_contain_text("Archived")
    assert said(client, name)["state"] == "archived"
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".facts")).to_contain_text("Running")


@pytest.mark.parametrize("named", ["Plain name", "‮\u200bnot to be typed"])
def test_delete_asks_for_the_name(shared: LocalBackend, visit: Opener, named: str) -> None:
    send(shared.url, events("settings", named, ARMS))
    send(shared.url, events("settings", "stays", ARMS))
    page = visit(shared.url, {"namespace": "settings", "experiment": named})
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    button = dialog.get_by_role("button", name="Delete")
    field = dialog.get_by_role("textbox")
    expect(field).to_be_focused()
    expect(button).to_be_disabled()
    field.fill("plain name")
    expect(button).to_be_disabled()
    page.keyboard.press("Enter")
    assert shared.client.experiment(named, "settings")
    field.fill("Plain name" if named == "Plain name" else "delete")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Experiments")
    expect(page.locator(".list")).to_contain_text("stays")
    expect(page.locator(".list")).not_to_contain_text(named)
    with pytest.raises(BackendError, match="there is no experiment"):
        shared.client.experiment(named, "settings")


def test_the_keyboard_does_it_all(opened: tuple[Page, BackendClient, str]) -> None:
    page, client, name = opened
    page.get_by_role("link", name="Gimel").click()
    expect(page.locator(".list")).to_be_visible()
    page.reload()
    expect(page.locator(".list")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type(name)
    tab_to(page, ".list tbody a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name)).to_be_focused()
    tab_to(page, "[data-action=settings]")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Baseline")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Settings")).to_be_focused()
    tab_to(page, ".goal summary")
    page.keyboard.press("Space")
    expect(page.locator(".goal .more table").first).to_be_visible()
    tab_to(page, "select")
    page.keyboard.press("b")
    expect(page.locator(".results tr.base th")).to_contain_text("blue")
    expect(page.get_by_label("Compared with")).to_be_focused()
    assert said(client, name)["baseline"] == "blue"


def test_every_control_shows_its_focus(opened: tuple[Page, BackendClient, str]) -> None:
    page, _, _ = opened
    expect(page.locator(".goal")).to_be_visible()
    seen = 0
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        seen += 1
        outlined = page.evaluate(
            "[document.activeElement, document.activeElement.parentElement]"
            ".some((each) => [null, '::after'].some((part) =>"
            " getComputedStyle(each, part).outlineStyle !== 'none'))"
        )
        assert outlined or page.evaluate("document.activeElement.className === 'skip'")
    assert seen > 8


def paper(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


LIGHT, DARK = "rgb(246, 247, 249)", "rgb(14, 17, 23)"


def test_light_and_dark_by_system_and_by_switch(shared: LocalBackend, visit: Opener) -> None:
    page = visit(shared.url, color_scheme="dark")
    assert paper(page) == DARK
    page.emulate_media(color_scheme="light")
    assert paper(page) == LIGHT
    page.get_by_label("Dark").check()
    assert paper(page) == DARK
    page.reload()
    assert paper(page) == DARK
    expect(page.get_by_label("Dark")).to_be_checked()
    page.get_by_label("System").check()
    assert paper(page) == LIGHT


def test_reduced_motion_stands_still(shared: LocalBackend, visit: Opener) -> None:
    page = visit(shared.url)
    moving = "document.getAnimations().length"
    with held(page, "**/experiments*"):
        page.reload()
        expect(page.locator(".bones")).to_be_visible()
        assert page.evaluate(moving) > 0
        page.emulate_media(reduced_motion="reduce")
        assert page.evaluate(moving) == 0
