"""One experiment on the dashboard: its figures, its intervals, its downloads."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from gimel.terminal import results
from tests.support.dashboard_page import Opener, address, events, fragment_of, row, send
from tests.support.gimel_local import LocalBackend

ROOT = Path(__file__).parent.parent.parent.parent
DOCUMENTS = {
    "How to read this": "docs/reading-results.md",
    "How this is computed": "docs/statistics.md",
}
FORMULA = "=HYPERLINK(0)"


def test_the_experiment_shows_what_the_backend_says(shop: LocalBackend, visit: Opener) -> None:
    said = shop.client.experiment("Button 10", "shop")
    page = visit(shop.url, {"namespace": "shop", "experiment": "Button 10"}, locale="de-DE")
    goal = next(each for each in said["goals"] if each["goal"] == "signup")
    verdict = goal["verdict"]
    # What happened since the record is beside it.
    expect(page.locator(".reason")).to_have_text(
        verdict["reason"].replace(f" {verdict['since']}", "")
    )
    expect(page.locator(".next")).to_have_text(f"Next step: {verdict['next_step']}")
    red = goal["results"][1]
    percent = f"{red['rate'] * 100:.1f}".replace(".", ",")
    expect(row(page, "red")).to_contain_text(f"{red['trials']:,}".replace(",", "."))
    expect(row(page, "red")).to_contain_text(re.compile(rf"{percent[:-1]}\d+\s%"))
    low, high = (f"{100 * end:+.1f}".replace(".", ",") for end in red["lift_interval_always_valid"])
    expect(row(page, "red")).to_contain_text(re.compile(rf"\{low}\s% to \{high}\s%"))
    expect(row(page, "red")).to_contain_text("winner")
    expect(row(page, "control")).to_contain_text("baseline")
    page.get_by_text("All figures").click()
    expect(page.locator(".more tbody tr").nth(1)).to_contain_text("0,0001")
    expect(page.locator(".foot")).to_contain_text(
        re.compile(r"sum of 64 HyperLogLogs, with a standard error of 0,10\s%")
    )
    for name, document in DOCUMENTS.items():
        link = page.get_by_role("link", name=name)
        expect(link).to_have_attribute("href", re.compile(f"/{document}$"))
        assert (ROOT / document).is_file()


def test_all_intervals_of_a_goal_have_one_scale_around_zero(
    shop: LocalBackend, visit: Opener
) -> None:
    arms = {name: (2000, {"g": 300 + 60 * number}) for number, name in enumerate("abcd")}
    send(shop.url, events("scale", "four", arms))
    page = visit(shop.url, {"namespace": "scale", "experiment": "four"})
    (goal,) = shop.client.experiment("four", "scale")["goals"]
    ratios = []
    for result in goal["results"][1:]:
        line = row(page, result["label"]).locator(".reach")
        for place, end in zip(("x1", "x2"), result["lift_interval_always_valid"], strict=True):
            at = float((line.get_attribute(place) or "").removesuffix("%"))
            ratios.append((at - 50) / end)
    assert ratios == pytest.approx([ratios[0]] * 6, rel=0.01)
    assert ratios[0] > 0


def test_a_lift_that_is_hardly_known_has_no_digits(shop: LocalBackend, visit: Opener) -> None:
    send(shop.url, events("rare", "one", {"control": (300, {"g": 0}), "red": (300, {"g": 40})}))
    page = visit(shop.url, {"namespace": "rare", "experiment": "one"})
    expect(row(page, "red")).to_contain_text(re.compile(r"\+\d+\.?\d*% to more than \+1,000%"))
    expect(page.locator(".reason")).to_contain_text("and more than +1,000%.")


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_nobody_misses_the_sample_ratio_alarm(
    shop: LocalBackend, visit: Opener, width: int
) -> None:
    page = visit(shop.url, {"namespace": "shop", "experiment": "Lopsided"}, size=(width, 700))
    alarm = page.get_by_role("alert").filter(has_text="The split is wrong")
    expect(alarm).to_contain_text(
        re.compile(r"57\.\d% of visitors, 50.0% intended.*p < 0.0001", re.S)
    )
    box = alarm.bounding_box()
    assert box
    assert box["y"] < 400
    assert box["width"] > 0.65 * width
    said = shop.client.experiment("Lopsided", "shop")
    expect(alarm).to_contain_text(said["srm"]["reason"])
    # The goal repeats none of it.
    expect(page.locator(".reason")).to_have_count(0)
    expect(page.locator(".next")).to_contain_text(said["goals"][0]["verdict"]["next_step"])
    page.goto(address(shop.url, namespace="shop", experiment="Button 9"))
    expect(page.get_by_role("heading", name="Button 9")).to_be_visible()
    expect(page.locator(".alarm")).to_have_count(0)


def test_a_link_reopens_the_very_view(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop"})
    page.get_by_role("link", name="Button 10").click()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.get_by_role("table", name="Goals").get_by_role("link", name="paid").click()
    expect(page.locator("#goal")).to_have_text("paid")
    assert fragment_of(page) == {"namespace": "shop", "experiment": "Button 10", "goal": "paid"}
    again = visit(shop.url, fragment_of(page))
    expect(again.get_by_role("heading", level=1)).to_have_text("Button 10")
    expect(again.locator("#goal")).to_have_text("paid")
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Experiments")
    again.get_by_role("link", name="Experiments in shop").click()
    expect(again.locator(".list")).to_be_visible()
    expect(again.get_by_role("heading", level=1)).to_be_focused()
    gone = visit(shop.url, {"namespace": "shop", "experiment": "never was"})
    expect(gone.get_by_text("There is no such experiment in the namespace")).to_be_visible()


def test_downloads_hold_what_the_backend_says(
    shop: LocalBackend, visit: Opener, tmp_path: Path
) -> None:
    arms = {'a "b", cé': (40, {"+1": 9}), " @x": (41, {"+1": 12}), "ok": (0, {"+1": 1})}
    send(shop.url, events("files", FORMULA, arms))
    said = shop.client.experiment(FORMULA, "files")
    page = visit(shop.url, {"namespace": "files", "experiment": FORMULA})
    saved = {}
    for kind in ("CSV", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        assert download.value.suggested_filename == f"HYPERLINK-0.{kind.lower()}"
        download.value.save_as(tmp_path / kind)
        saved[kind] = (tmp_path / kind).read_bytes().decode()
    assert json.loads(saved["JSON"]) == said
    wanted = io.StringIO()
    results.write_csv(wanted, [said])
    # A spreadsheet reads the file as UTF-8 because of the mark.
    assert saved["CSV"].startswith("\ufeff")
    sheet = cells(saved["CSV"].removeprefix("\ufeff"))
    assert sheet == cells(wanted.getvalue())
    assert {line[0] for line in sheet[1:]} == {f"'{FORMULA}"}


def cells(text: str) -> list[list[Any]]:
    def value(cell: str) -> Any:
        try:
            return float(cell)
        except ValueError:
            return cell

    return [[value(cell) for cell in line] for line in csv.reader(io.StringIO(text, newline=""))]
