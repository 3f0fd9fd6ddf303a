"""Every variant against every other on the page, as the backend compares them."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import Opener, axe, events, row, send
from tests.support.gimel_local import LocalBackend

NAMESPACE = "matrix"


@pytest.fixture(name="three", scope="module")
def three_fixture(shared: LocalBackend) -> LocalBackend:
    arms = {
        f"variant {number}": (400, {"signup": 40 + 9 * number, "refund": 20})
        for number in (1, 2, 3)
    }
    send(shared.url, events(NAMESPACE, "three", arms))
    return shared


def test_every_variant_against_every_other(three: LocalBackend, visit: Opener) -> None:
    page = visit(three.url, {"namespace": NAMESPACE, "experiment": "three"})
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
    said = three.client.experiment("three", NAMESPACE)
    signup = next(each for each in said["goals"] if each["goal"] == "signup")
    third = next(each for each in signup["results"] if each["label"] == "variant 3")
    assert lifts[2][0].removesuffix("*") == f"{100 * third['lift']:+.1f}%"
    assert axe(page) == []
    page.get_by_role("table", name="Goals").get_by_role("link", name="refund").click()
    expect(page.locator("#goal")).to_have_text("refund")
    refunds = table.locator("tbody tr").nth(2).get_by_role("cell")
    expect(refunds.first).to_have_text(re.compile(r"^[+-]?0\.\d%$"))


def test_two_variants_need_no_matrix(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop", "experiment": "Button 10"})
    expect(row(page, "red")).to_be_visible()
    expect(page.locator("[data-key=matrix]")).to_have_count(0)
