"""The table of all goals: each with its rates, lift and verdict, in a readable order."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import Opener, axe, events, fragment_of, send
from tests.support.gimel_local import LocalBackend

GOALS = [
    {"name": "step 10", "role": "secondary"},
    {"name": "step 9", "role": "secondary"},
    {"name": "signup", "role": "primary"},
    {"name": "error", "role": "guardrail", "better": "lower"},
]
VARIANTS = ["red 10", "red 9", "blue"]


@pytest.fixture(name="goals", scope="module")
def goals_fixture(shared: LocalBackend) -> LocalBackend:
    body: dict[str, Any] = {
        "variants": [{"name": name} for name in VARIANTS],
        "goals": GOALS,
        "baseline": "blue",
    }
    shared.client.declare("many goals", body, namespace="goals")
    arms = {
        "blue": (900, {"signup": 90, "error": 30, "step 9": 300, "step 10": 40}),
        "red 9": (900, {"signup": 190, "error": 33, "step 9": 310, "step 10": 41}),
        "red 10": (900, {"signup": 120, "error": 30, "step 9": 290, "step 10": 42}),
    }
    send(shared.url, events("goals", "many goals", arms))
    fifty = [f"goal {number}" for number in range(1, 51)]
    body = {"variants": [{"name": "A"}, {"name": "B"}], "goals": [{"name": each} for each in fifty]}
    shared.client.declare("fifty", body, namespace="goals")
    reached = {each: 50 - number for number, each in enumerate(fifty)}
    send(shared.url, events("goals", "fifty", {"A": (60, reached), "B": (60, reached)}))
    return shared


def test_goals_are_in_their_order_with_rates_and_lift(goals: LocalBackend, visit: Opener) -> None:
    page = visit(goals.url, {"namespace": "goals", "experiment": "many goals"})
    table = page.get_by_role("table", name="Goals")
    expect(table.locator("tbody th bdi")).to_have_text(["signup", "error", "step 9", "step 10"])
    said = goals.client.experiment("many goals", "goals")["goals"]
    rows = {
        row["label"]: row for goal in said if goal["goal"] == "signup" for row in goal["results"]
    }
    signup = table.locator("tbody tr").first
    expect(table.locator("thead bdi")).to_have_text(["blue", "red 9", "red 10"])
    for label, result in rows.items():
        cell = signup.locator(f"[data-label='{label}']")
        expect(cell).to_have_text(f"{result['rate']:.1%}")
    low, high = rows["red 9"]["lift_interval_always_valid"]
    expect(signup.locator("[data-label=Lift] .sub")).to_have_text(
        [f"{low:+.1%} to {high:+.1%}" if high < 1 else f"{low:+.1%} to {high:+.0%}", "red 9"]
    )
    expect(signup.locator("[aria-current]")).to_have_text("signup")
    table.get_by_role("link", name="step 10").click()
    expect(page.locator("#goal")).to_have_text("step 10")
    assert fragment_of(page)["goal"] == "step 10"
    expect(table.locator("[aria-current]")).to_have_text("step 10")
    page.go_back()
    expect(page.locator("#goal")).to_have_text("signup")


def test_the_baseline_is_the_first_row_and_the_others_follow_by_number(
    goals: LocalBackend, visit: Opener
) -> None:
    page = visit(goals.url, {"namespace": "goals", "experiment": "many goals"})
    names = page.locator(".results tbody th .name")
    expect(names).to_have_text(["blue", "red 9", "red 10"])
    page.get_by_text("All figures").click()
    expect(page.locator(".more tbody th bdi")).to_have_text(["blue", "red 9", "red 10"])


@pytest.mark.parametrize("width", [360, 1280])
def test_fifty_goals_leave_room_for_the_details(
    goals: LocalBackend, visit: Opener, width: int
) -> None:
    page = visit(goals.url, {"namespace": "goals", "experiment": "fifty"}, size=(width, 800))
    table = page.get_by_role("table", name="Goals")
    expect(table.locator("tbody tr")).to_have_count(50)
    details = page.locator("#goal").bounding_box()
    assert details
    assert details["y"] < 1.6 * 800
    assert page.evaluate("document.scrollingElement.scrollWidth") == width
    assert axe(page) == []


@pytest.mark.parametrize("width", [360, 1280])
def test_of_twenty_variants_baseline_and_leader_are_shown(
    goals: LocalBackend, visit: Opener, width: int
) -> None:
    names = [f"variant {number}" for number in range(1, 21)]
    body = {"variants": [{"name": each} for each in names], "goals": GOALS, "baseline": "variant 2"}
    goals.client.declare("twenty", body, namespace="goals")
    arms = {
        name: (400, {"signup": 40 + 3 * number, "error": 20}) for number, name in enumerate(names)
    }
    send(goals.url, events("goals", "twenty", arms))
    page = visit(goals.url, {"namespace": "goals", "experiment": "twenty"}, size=(width, 800))
    first = page.get_by_role("table", name="Goals").locator("tbody tr").first
    expect(first.locator("[data-label=Baseline]")).to_have_text("10.8%")
    expect(first.locator("[data-label=Leading]")).to_have_text("24.3%variant 20")
    expect(page.locator(".reason")).to_contain_text("variant 20")
    rows = page.locator(".results tbody .name")
    expect(rows).to_have_count(20)
    assert rows.all_text_contents()[:4] == ["variant 2", "variant 1", "variant 3", "variant 4"]
    # The guardrail is open for all nineteen. The page names the leader.
    expect(page.locator(".guardrail")).to_contain_text("variant 20open18 others not broken")
    assert page.evaluate("document.scrollingElement.scrollWidth") == width
    assert axe(page) == []
