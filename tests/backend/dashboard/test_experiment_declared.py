"""What the page of an experiment shows of its declaration, and what it lets change."""

from pathlib import Path

from playwright.sync_api import expect

from tests.support.dashboard_page import (
    Opener,
    events,
    send,
)
from tests.support.declared_experiments import ARMS, DEFINITION, put, read, tally
from tests.support.gimel_local import LocalBackend


def test_the_page_shows_what_was_declared_and_ignored(
    served: LocalBackend, visit: Opener, data_dir: Path
) -> None:
    put(served.url, "shown", "color")
    send(served.url, events("shown", "color", ARMS))
    tally(data_dir, "shown", "color", "Blue")
    page = visit(served.url, {"namespace": "shown", "experiment": "color"})
    title = page.locator(".title")
    expect(title).to_contain_text("Red draws the eye")
    expect(title).to_contain_text("Owner ana")
    expect(page.locator(".plan")).to_have_text("Plan61 of 40,000 visitors")
    expect(title.get_by_role("link")).to_have_attribute("href", DEFINITION["link"])
    expect(title.get_by_role("link")).to_have_attribute("rel", "noopener noreferrer")
    ignored = "At least 31 events ignored: undeclared variant (last: Blue)"
    expect(page.locator(".health")).to_contain_text(ignored)
    expect(page.get_by_text("not declared")).to_have_count(0)
    expect(page.get_by_label("Compared with")).to_be_disabled()


def test_an_undeclared_experiment_is_open_to_strangers(served: LocalBackend, visit: Opener) -> None:
    send(served.url, events("open", "old", ARMS))
    page = visit(served.url, {"namespace": "open", "experiment": "old"})
    expect(page.get_by_text("not declared, so anyone can add variants and goals")).to_be_visible()
    expect(page.get_by_label("Compared with")).to_be_enabled()
    expect(page.locator(".ignored")).to_have_count(0)


def test_settings_show_what_the_first_event_fixed(served: LocalBackend, visit: Opener) -> None:
    put(served.url, "fixed", "color")
    page = visit(served.url, {"namespace": "fixed", "experiment": "color"})
    page.get_by_role("button", name="Settings").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Baseline").select_option("red")
    send(served.url, events("fixed", "color", ARMS))
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text(
        "Baseline cannot change after the first event: `gimel create NEW --like OLD`"
    )
    page.reload()
    page.get_by_role("button", name="Settings").click()
    expect(dialog).to_contain_text("The disabled fields are fixed since the first event.")
    for label in ("Baseline", "Primary goal", "Equivalence"):
        expect(dialog.get_by_label(label)).to_be_disabled()
    # Weights that were never set may be set once.
    dialog.get_by_role("spinbutton", name="blue").fill("49")
    dialog.get_by_role("spinbutton", name="red").fill("51")
    dialog.get_by_label("Hypothesis").fill("Red is loud")
    dialog.get_by_label("Owner").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".hypothesis")).to_have_text("Red is loud")
    found = read(served.url, "fixed", "color")
    assert found["srm"]["weights"] == {"blue": 0.49, "red": 0.51}
    assert "owner" not in found["definition"]
    page.get_by_role("button", name="Settings").click()
    expect(dialog.get_by_role("spinbutton", name="blue")).to_be_disabled()
