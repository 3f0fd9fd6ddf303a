"""Deciding on the dashboard: the dialog, what is said afterwards, and the list of decisions."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from gimel.client import BackendClient
from tests.support.dashboard_page import READ_ONLY_KEY, KeyedBackend, Opener, axe, events, send
from tests.support.gimel_local import LocalBackend

pytestmark = pytest.mark.slow

HOSTILE = '<b>צבע</b> "1" & co'
ARMS: Any = {"blue": (300, {"signup": 30}), HOSTILE: (310, {"signup": 33})}
BODY: dict[str, Any] = {
    "variants": [{"name": "blue"}, {"name": HOSTILE}],
    "goals": [{"name": "signup"}, {"name": "paid"}],
}
REASON = f"It is cheaper,\n{HOSTILE}"


@pytest.fixture(name="decided")
def decided_fixture(shared: LocalBackend, request: pytest.FixtureRequest) -> tuple[str, str]:
    """A namespace of its own with an experiment that is decided for its baseline."""
    namespace, name = f"decide {request.node.name}"[:60], f"a {HOSTILE}"[:80]
    shared.client.declare(name, BODY, namespace)
    send(shared.url, events(namespace, name, ARMS))
    shared.client.configure(name, {"decision": {"winner": "blue", "reason": REASON}}, namespace)
    return namespace, name


def view(shared: LocalBackend, visit: Opener, decided: tuple[str, str], **more: Any) -> Page:
    namespace, name = decided
    return visit(shared.url, {"namespace": namespace, "experiment": name}, **more)


def test_the_dialog_says_what_will_happen(shared: LocalBackend, visit: Opener) -> None:
    variants = [{"name": name, "value": name} for name in ARMS]
    shared.client.declare("flag", BODY | {"flag": True, "variants": variants}, "dialogs")
    send(shared.url, events("dialogs", "flag", ARMS))
    page = visit(shared.url, {"namespace": "dialogs", "experiment": "flag"}, size=(360, 740))
    page.get_by_role("button", name="Decide…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Keep collecting")
    expect(dialog).to_contain_text("OpenFeature gives the winner to everyone.")
    expect(dialog.get_by_label("Winner")).to_have_value("")
    dialog.get_by_label("Reason").fill("It is cheaper")
    dialog.get_by_role("button", name="Decide").click()
    expect(dialog.get_by_role("alert")).to_contain_text("winner that is a variant")
    dialog.get_by_label("Winner").select_option(HOSTILE)
    dialog.get_by_role("button", name="Decide").click()
    expect(page.locator(".decision li").last).to_contain_text(
        f"the flag. Until then, OpenFeature gives {HOSTILE} to everyone"
    )
    assert shared.client.experiment("flag", "dialogs")["decision"]["winner"] == HOSTILE
    assert axe(page) == []


def test_a_winner_that_breaks_a_guardrail_is_not_suggested(
    shared: LocalBackend, visit: Opener
) -> None:
    refund = {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.02}
    body = {
        "variants": [{"name": "blue"}, {"name": "red"}],
        "goals": [{"name": "signup", "role": "primary"}, refund],
    }
    arms = {
        "blue": (300, {"signup": 30, "refund": 10}),
        "red": (300, {"signup": 150, "refund": 150}),
    }
    shared.client.declare("broken", body, "dialogs")
    send(shared.url, events("dialogs", "broken", arms))
    page = visit(shared.url, {"namespace": "dialogs", "experiment": "broken"})
    page.get_by_role("button", name="Decide…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Do not ship red")
    expect(dialog.get_by_label("Winner")).to_have_value("")


def test_a_decision_is_changed_and_taken_back(
    shared: LocalBackend, visit: Opener, decided: tuple[str, str]
) -> None:
    page = view(shared, visit, decided)
    card = page.locator(".decision")
    expect(card.locator(".hypothesis bdi")).to_have_text(REASON)
    expect(card).to_contain_text(re.compile(r"signup: .* \+\d"))
    expect(card).not_to_contain_text("paid")
    card.get_by_role("button", name="Change…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Reason")).to_have_value(REASON)
    dialog.get_by_label("Reason").fill("It is nicer")
    dialog.get_by_role("button", name="Save").click()
    expect(card.locator(".hypothesis")).to_have_text("It is nicer")
    expect(page.get_by_role("button", name="Decide…")).to_have_count(0)
    card.get_by_role("button", name="Take back…").click()
    dialog.get_by_role("button", name="Take back").click()
    expect(card).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".facts").first).to_contain_text("Running")
    namespace, name = decided
    assert shared.client.experiment(name, namespace)["decision"] is None


@pytest.mark.parametrize("size", [(360, 740), (768, 1000), (1280, 800), (1920, 1080)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_accessible(
    shared: LocalBackend, visit: Opener, decided: tuple[str, str], size: Any, scheme: str
) -> None:
    page = view(shared, visit, decided, size=size, color_scheme=scheme)
    expect(page.locator(".decision")).to_be_visible()
    page.locator(".health summary").click()
    page.get_by_text("All figures").first.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert axe(page) == []
    page.goto(page.url.partition("#")[0] + f"#namespace={decided[0]}&show=decided")
    expect(page.locator(".decisions li")).to_contain_text(": blue")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert axe(page) == []


def test_all_decisions_are_the_teams_memory(shared: LocalBackend, visit: Opener) -> None:
    for number, name in enumerate(("first", "second", "third")):
        send(shared.url, events("memory", name, {"a": (20 + number, {"g": 3}), "b": (20, {})}))
    client = shared.client
    page = visit(shared.url, {"namespace": "memory", "show": "decided"})
    expect(page.get_by_text("Nothing is decided here.")).to_be_visible()
    for name in ("second", "first"):
        decision = {"winner": "a", "reason": f"because of {name}"}
        client.configure(name, {"decision": decision}, namespace="memory")
    client.configure("second", {"state": "archived"}, namespace="memory")
    page.reload()
    found = page.locator(".decisions li")
    expect(found).to_have_count(2)
    reasons = sorted(found.locator(".hypothesis").all_text_contents())
    assert reasons == ["because of first", "because of second"]
    expect(found.filter(has_text="second")).to_contain_text("Archived")
    page.get_by_role("searchbox").fill("first")
    expect(found).to_have_count(1)
    page.get_by_role("link", name="first").click()
    expect(page.locator(".decision")).to_contain_text("because of first")


def test_a_key_that_only_reads_sees_the_decision_and_no_button(
    keyed: KeyedBackend, visit: Opener
) -> None:
    owner = BackendClient(keyed.url, keyed.key)
    send(keyed.url, events("alephbet", "read only", {"a": (20, {"g": 3}), "b": (20, {})}))
    owner.configure("read only", {"decision": {"winner": "a", "reason": "It is older"}})
    page = visit(keyed.url, {"key": READ_ONLY_KEY, "experiment": "read only"})
    expect(page.locator(".decision")).to_contain_text("It is older")
    expect(page.locator(".decision").get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete a part")).to_have_count(0)
