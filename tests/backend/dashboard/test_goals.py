"""All goals of an experiment at once, and its matrix of every variant with every other."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard_page import Opener, axe, events, fragment_of, row, send
from tests.support.gimel_local import LocalBackend

NAMESPACE = "all goals"
ORDER = ["signup", "refund", "goal 2", "goal 10"]


def declare(backend: LocalBackend, name: str, variants: int, goals: int) -> None:
    """Declare and count an experiment: of each variant 400 visitors, the later the better."""
    definition = {
        "variants": [{"name": f"variant {number}"} for number in range(1, variants + 1)],
        "baseline": "variant 2",
        "goals": [
            *({"name": f"goal {number}"} for number in range(goals - 2, 0, -1)),
            {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.5},
            {"name": "signup", "role": "primary"},
        ],
    }
    backend.client.declare(name, definition, namespace=NAMESPACE)
    arms = {
        f"variant {number}": (400, {"signup": 40 + 9 * number, "refund": 20, "goal 1": number})
        for number in range(1, variants + 1)
    }
    send(backend.url, events(NAMESPACE, name, arms))


@pytest.fixture(name="goals", scope="module")
def goals_fixture(shared: LocalBackend) -> LocalBackend:
    declare(shared, "three", 3, 12)
    declare(shared, "twenty", 20, 50)
    return shared


def show(goals: LocalBackend, visit: Opener, name: str, **more: object) -> Page:
    page = visit(goals.url, {"namespace": NAMESPACE, "experiment": name}, **more)
    expect(page.get_by_role("table", name="Goals")).to_be_visible()
    return page


def test_goals_are_in_their_order_with_all_variants(goals: LocalBackend, visit: Opener) -> None:
    page = show(goals, visit, "three")
    rows = page.get_by_role("table", name="Goals").locator("tbody tr")
    names = page.locator(".goals .go").all_text_contents()
    assert names == ["signup", "refund", *(f"goal {number}" for number in range(1, 11))]
    heads = page.locator(".goals thead bdi").all_text_contents()
    assert heads == ["variant 2", "variant 1", "variant 3"]
    first = rows.nth(0)
    expect(first).to_contain_text("primary")
    for cell, rate in zip(
        first.get_by_role("cell").all(), ("14.5%", "12.3%", "16.8%"), strict=False
    ):
        expect(cell).to_have_text(rate)
    expect(first.get_by_role("cell").nth(3)).to_contain_text("+15.5%")
    expect(rows.nth(1)).to_contain_text("guardrail, lower is better")
    expect(rows.nth(1).locator(".chip")).to_have_text("Open")


def test_a_row_leads_to_the_details_of_its_goal(goals: LocalBackend, visit: Opener) -> None:
    page = show(goals, visit, "three")
    expect(page.locator("#goal")).to_have_text("signup")
    chosen = page.locator(".goals [aria-current]")
    expect(chosen).to_have_text("signup")
    page.locator(".goals tr", has_text="goal 10").click()
    expect(page.locator("#goal")).to_have_text("goal 10")
    expect(chosen).to_have_text("goal 10")
    assert fragment_of(page)["goal"] == "goal 10"
    page.go_back()
    expect(page.locator("#goal")).to_have_text("signup")


def test_of_twenty_variants_baseline_and_leader_are_shown(
    goals: LocalBackend, visit: Opener
) -> None:
    page = show(goals, visit, "twenty")
    first = page.locator(".goals tbody tr").first
    cells = first.get_by_role("cell")
    expect(cells.nth(0)).to_have_text("14.5%")
    expect(cells.nth(1)).to_have_text("55.0%variant 20")
    expect(page.locator(".reason")).to_contain_text("variant 20")
    # Fifty goals scroll in their own frame, so the details stay in reach.
    assert page.locator(".goals tbody tr").count() == 50
    box = page.locator("#goal").bounding_box()
    assert box
    assert box["y"] < 800
    names = page.locator(".results tbody .name").all_text_contents()
    assert names[:4] == ["variant 2", "variant 1", "variant 3", "variant 4"]
    # The guardrail is open for all nineteen. The page names the leader.
    expect(page.locator(".guardrail")).to_contain_text("variant 20")
    expect(page.locator(".guardrail")).to_contain_text("18 others not broken")


def test_every_variant_against_every_other(goals: LocalBackend, visit: Opener) -> None:
    page = show(goals, visit, "three")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_text("Every variant against every other").click()
    table = page.get_by_role("region", name="Every variant against every other")
    expect(table.locator("tbody tr")).to_have_count(3)
    assert [url.partition("matrix=")[2] for url in asked if "matrix=" in url] == ["signup"]
    lifts = [
        cells.all_text_contents()
        for cells in (each.get_by_role("cell") for each in table.locator("tbody tr").all())
    ]
    assert [each[number] for number, each in enumerate(lifts)] == ["·"] * 3
    said = goals.client.experiment("three", NAMESPACE)
    signup = next(each for each in said["goals"] if each["goal"] == "signup")
    third = next(each for each in signup["results"] if each["label"] == "variant 3")
    assert lifts[2][0].removesuffix("*") == f"{100 * third['lift']:+.1f}%"
    assert axe(page) == []
    page.locator(".goals tr", has_text="refund").click()
    expect(page.locator("#goal")).to_have_text("refund")
    expect(table.locator("tbody tr").nth(2).get_by_role("cell").first).to_have_text("0.0%")


def test_two_variants_need_no_matrix(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop", "experiment": "Button 10"})
    expect(row(page, "red")).to_be_visible()
    expect(page.locator("[data-key=matrix]")).to_have_count(0)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
@pytest.mark.parametrize("name", ["three", "twenty"])
def test_the_table_of_goals_fits(
    goals: LocalBackend, visit: Opener, name: str, scheme: str, width: int
) -> None:
    page = show(goals, visit, name, size=(width, 800), color_scheme=scheme)
    assert axe(page) == []
    assert page.evaluate("document.scrollingElement.scrollWidth") == width
    for cell in page.locator(".goals tbody tr").first.locator("th, td").all():
        box = cell.bounding_box()
        assert box
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
