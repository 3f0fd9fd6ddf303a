"""The health of an experiment on the dashboard, its snippet, and deleting a part of it."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import Opener, axe, events, send
from tests.support.gimel_local import LocalBackend

pytestmark = pytest.mark.slow

HOSTILE = '<b>צבע</b> "1" & co'
ARMS: Any = {"blue": (400, {"signup": 90}), HOSTILE: (400, {})}


def test_what_is_wrong_is_open_and_says_what_to_do(shared: LocalBackend, visit: Opener) -> None:
    body = {"variants": [{"name": "blue"}, {"name": HOSTILE}], "goals": [{"name": "signup"}]}
    shared.client.declare("page", body, "health")
    page = visit(shared.url, {"namespace": "health", "experiment": "page"})
    card = page.locator(".health")
    expect(card.locator("summary")).to_contain_text("checks passed")
    expect(card.get_by_text("No visitor has come yet.")).not_to_be_visible()
    send(shared.url, events("health", "page", ARMS))
    page.reload()
    expect(card.locator("summary")).to_contain_text("1 of 7 checks needs attention")
    wrong = card.locator("li.is-warning")
    expect(wrong.locator("bdi").first).to_have_text(HOSTILE)
    expect(wrong).to_contain_text("has reached signup. By the rate of the other variants, about 90")
    expect(wrong.locator(".soft")).to_contain_text("Check that the page sends signup")
    assert axe(page) == []


def test_the_page_has_the_snippet(shared: LocalBackend, visit: Opener) -> None:
    goals = [{"name": "signup"}, {"name": "paid", "from": "server"}]
    body = {"variants": [{"name": "blue"}, {"name": "red"}], "goals": goals, "traffic": 0.5}
    shared.client.declare("new", body, "snippets")
    page = visit(shared.url, {"namespace": "snippets", "experiment": "new"})
    page.get_by_text("Snippet for the page").click()
    text = page.locator(".snippet pre").text_content() or ""
    assert all(part in text for part in ("<script", '"new"', "blue", "red", "signup", '"0.5"'))
    expect(page.get_by_text("The snippet does not send paid")).to_be_visible()
    assert axe(page) == []
    shared.client.declare(
        "paid", body | {"goals": [{"name": "paid", "from": "server"}]}, "snippets"
    )
    page = visit(shared.url, {"namespace": "snippets", "experiment": "paid"})
    page.get_by_text("Snippet for the page").click()
    text = page.locator(".snippet pre").text_content() or ""
    assert text.splitlines()[0].endswith('html[data-gimel-paid="red"] -->')


def test_a_goal_and_a_variant_of_strangers_are_deleted(shared: LocalBackend, visit: Opener) -> None:
    send(shared.url, events("parts", "old", ARMS | {"red": (300, {"junk": 4})}))
    page = visit(shared.url, {"namespace": "parts", "experiment": "old"})
    dialog = page.get_by_role("dialog")
    for part in ("goal junk", f"variant {HOSTILE}"):
        page.get_by_role("button", name="Delete a part…").click()
        assert axe(page) == []
        dialog.get_by_label("Delete the counts of").select_option(label=part)
        dialog.get_by_role("button", name="Delete").click()
        expect(page.locator("#toast")).to_contain_text("make it anew")
    expect(page.locator(".results tbody th")).to_have_count(2)
    found = shared.client.experiment("old", "parts")
    assert [each["label"] for each in found["variants"]] == ["blue", "red"]
    assert [each["goal"] for each in found["goals"]] == ["signup"]
