"""The dashboard as a reader meets it: overview, experiment, what stays and what moves."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from gimel.client import Client
from gimel.snippet import snippet
from gimel.terminal import results
from tests.support.dashboard_page import Opener, address, axe, events, held, send
from tests.support.deployments import Deployment
from tests.support.gimel_local import LocalBackend

SHOP = {
    "Button 10": {"control": (2000, {"paid": 90, "signup": 200}), "red": (2010, {"signup": 290})},
    "Button 9": {"control": (300, {"signup": 30}), "red": (310, {"signup": 31})},
    "Lopsided": {"control": (1500, {"signup": 150}), "red": (1100, {"signup": 150})},
    "Worse": {"control": (2000, {"signup": 330}), "red": (2010, {"signup": 200})},
    "No goal yet": {"control": (3, {}), "red": (4, {})},
}


@pytest.fixture(name="shop", scope="module")
def shop_fixture(shared: LocalBackend) -> LocalBackend:
    """A backend with a few experiments, which tests only read."""
    for experiment, arms in SHOP.items():
        send(shared.url, events("shop", experiment, arms))
    client = Client(shared.url)
    client.configure("Button 10", {"primary_goal": "signup"}, namespace="shop")
    client.configure("Worse", {"state": "stopped"}, namespace="shop")
    client.configure("No goal yet", {"state": "archived"}, namespace="shop")
    return shared


def names(page: Page) -> list[str]:
    return page.locator(".list tbody th bdi").all_text_contents()


def row(page: Page, name: str) -> Locator:
    return page.locator(".list tbody tr, .results tbody tr").filter(
        has=page.locator("th").get_by_text(name, exact=True)
    )


def test_the_overview_says_how_each_experiment_stands(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop"})
    expect(page).to_have_title("Experiments · Gimel")
    expect(row(page, "Button 10")).to_contain_text(
        re.compile(r"Running · just now.*4,0\d\d.*red\+\d+\.\d%.*Winner.*signup", re.DOTALL)
    )
    expect(row(page, "Worse")).to_contain_text(
        re.compile(r"Stopped.*control.*the baseline.*Loser", re.DOTALL)
    )
    expect(row(page, "Lopsided")).to_contain_text("Do not trust")
    expect(row(page, "Button 9")).to_contain_text("Keep collecting")
    interval = Client(shop.url).experiment("Button 10", "shop")["goals"][1]["results"][1]
    low, high = interval["lift_interval_always_valid"]
    drawn = row(page, "Button 10").locator(".plot")
    expect(drawn).to_have_role("img")
    expect(drawn).to_have_accessible_name(
        f"Lift between {low:+.1%} and {high:+.1%}: all above zero"
    )


def test_search_sort_and_filter_live_in_the_address(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop", "sort": "name"})
    expect(page.locator(".list tbody tr")).to_have_count(4)
    assert names(page) == ["Button 9", "Button 10", "Lopsided", "Worse"]
    page.get_by_role("link", name="Sort by visitors").click()
    assert names(page) == ["Button 10", "Worse", "Lopsided", "Button 9"]
    page.get_by_role("link", name="Sort by visitors").click()
    assert names(page) == ["Button 9", "Lopsided", "Worse", "Button 10"]
    expect(page.get_by_role("columnheader", name="visitors")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("link", name="Sort by verdict").click()
    assert names(page) == ["Lopsided", "Button 10", "Worse", "Button 9"]
    page.get_by_role("searchbox").press_sequentially("BUT")
    assert names(page) == ["Button 10", "Button 9"]
    expect(page.get_by_role("searchbox")).to_be_focused()
    again = visit(page.url.partition("/dashboard")[0], fragment_of(page))
    expect(again.get_by_role("searchbox")).to_have_value("BUT")
    assert names(again) == ["Button 10", "Button 9"]
    page.get_by_role("searchbox").fill("nothing like this")
    expect(page.get_by_text("No experiment matches.")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    page.get_by_role("link", name="Archived 1").click()
    assert names(page) == ["No goal yet"]
    page.get_by_role("link", name="Stopped 1").click()
    assert names(page) == ["Worse"]
    page.get_by_role("link", name="Running 3").click()
    assert sorted(names(page)) == ["Button 10", "Button 9", "Lopsided"]


def fragment_of(page: Page) -> dict[str, str]:
    return dict(parse_qsl(page.url.partition("#")[2]))


def test_an_empty_namespace_shows_the_snippet_and_then_what_it_sent(
    shop: LocalBackend, visit: Opener
) -> None:
    page = visit(shop.url, {"namespace": "b & <ü>"}, clock=True)
    printed = snippet(shop.url, namespace="b & <ü>")
    assert page.locator("#snippet").text_content() == printed
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == printed
    send(shop.url, events("b & <ü>", "first", {"A": (1, {})}))
    page.clock.run_for(16_000)
    expect(row(page, "first")).to_contain_text("No goal reached yet")


def test_the_namespace_switch(shop: LocalBackend, visit: Opener) -> None:
    send(shop.url, events("other", "elsewhere", {"A": (1, {})}))
    page = visit(shop.url, {"namespace": "shop", "find": "Button"})
    page.get_by_label("Namespace").select_option("other")
    expect(page.locator(".list tbody th bdi")).to_have_text(["elsewhere"])
    assert fragment_of(page) == {"namespace": "other"}
    page.go_back()
    expect(page.get_by_label("Namespace")).to_have_value("shop")
    expect(page.locator(".list tbody tr")).to_have_count(2)


def test_a_refresh_moves_nothing(shop: LocalBackend, visit: Opener) -> None:
    for number in range(30):
        send(shop.url, events("long", f"test {number}", {"A": (2, {"g": 1}), "B": (1, {})}))
    page = visit(shop.url, {"namespace": "long", "sort": "name"}, clock=True)
    target = row(page, "test 20")
    target.get_by_role("link").focus()
    page.evaluate("scrollTo(0, 900)")
    target.evaluate("row => { row.same = true; }")
    before = page.evaluate("scrollY")
    assert before == 900
    more = events("long", "test 20", {"B": (5, {})})
    send(shop.url, more)
    # one that sorts before all that is in sight
    send(shop.url, events("long", "test 3", {"C": (1, {})}))
    page.clock.run_for(16_000)
    expect(target).to_contain_text("7")
    assert page.evaluate("scrollY") == before
    assert target.evaluate("row => row.same")
    expect(target.get_by_role("link")).to_be_focused()


def test_a_hidden_page_asks_for_nothing(shop: LocalBackend, visit: Opener, watch: Any) -> None:
    page = visit(shop.url, {"namespace": "shop"}, clock=True)
    expect(page.locator(".list tbody tr")).to_have_count(4)
    hide = """value => {
        Object.defineProperty(document, "hidden", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    asked = len(watch.requests)
    page.clock.run_for(120_000)
    assert len(watch.requests) == asked
    # The answer to what was asked just before must not start it again.
    page.evaluate("refresh()")
    page.clock.run_for(120_000)
    assert len(watch.requests) == asked + 1
    with page.expect_request("**/experiments?*"):
        page.evaluate(hide, False)


def test_the_experiment_shows_what_the_backend_says(shop: LocalBackend, visit: Opener) -> None:
    said = Client(shop.url).experiment("Button 10", "shop")
    page = visit(shop.url, {"namespace": "shop", "experiment": "Button 10"}, locale="de-DE")
    goal = next(each for each in said["goals"] if each["goal"] == "signup")
    expect(page.locator(".reason")).to_have_text(goal["verdict"]["reason"])
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
    expect(page.get_by_role("link", name="How this is computed")).to_have_attribute(
        "href", re.compile("docs/statistics.md")
    )


def test_all_intervals_of_a_goal_have_one_scale_around_zero(
    shop: LocalBackend, visit: Opener
) -> None:
    arms = {name: (2000, {"g": 300 + 60 * number}) for number, name in enumerate("abcd")}
    send(shop.url, events("scale", "four", arms))
    page = visit(shop.url, {"namespace": "scale", "experiment": "four"})
    (goal,) = Client(shop.url).experiment("four", "scale")["goals"]
    ratios = []
    for result in goal["results"][1:]:
        line = row(page, result["label"]).locator(".reach")
        for place, end in zip(("x1", "x2"), result["lift_interval_always_valid"], strict=True):
            at = float((line.get_attribute(place) or "").removesuffix("%"))
            ratios.append((at - 50) / end)
    assert ratios == pytest.approx([ratios[0]] * 6, rel=0.01)
    assert ratios[0] > 0


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_nobody_misses_the_sample_ratio_alarm(
    shop: LocalBackend, visit: Opener, width: int
) -> None:
    page = visit(shop.url, {"namespace": "shop", "experiment": "Lopsided"}, size=(width, 700))
    alarm = page.get_by_role("alert").filter(has_text="The split is wrong")
    expect(alarm).to_contain_text(
        re.compile(r"p < 0.0001.*57\.\d% of visitors, 50.0% intended", re.S)
    )
    box = alarm.bounding_box()
    assert box
    assert box["y"] < 400
    assert box["width"] > 0.65 * width
    page.goto(address(shop.url, namespace="shop", experiment="Button 9"))
    expect(page.get_by_role("heading", name="Button 9")).to_be_visible()
    expect(page.locator(".alarm")).to_have_count(0)


def test_a_link_reopens_the_very_view(shop: LocalBackend, visit: Opener) -> None:
    page = visit(shop.url, {"namespace": "shop"})
    page.get_by_role("link", name="Button 10").click()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.get_by_role("navigation", name="Goal").get_by_role("link", name="paid").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("paid")
    assert fragment_of(page) == {"namespace": "shop", "experiment": "Button 10", "goal": "paid"}
    again = visit(shop.url, fragment_of(page))
    expect(again.get_by_role("heading", level=1)).to_have_text("Button 10")
    expect(again.get_by_role("heading", level=2)).to_have_text("paid")
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Experiments")
    again.get_by_role("link", name="Experiments in shop").click()
    expect(again.locator(".list")).to_be_visible()
    expect(again.get_by_role("heading", level=1)).to_be_focused()
    gone = visit(shop.url, {"namespace": "shop", "experiment": "never was"})
    expect(gone.get_by_text("There is no such experiment here")).to_be_visible()


FORMULA = "=HYPERLINK(0)"


def test_downloads_hold_what_the_backend_says(
    shop: LocalBackend, visit: Opener, tmp_path: Path
) -> None:
    arms = {'a "b", c': (40, {"+1": 9}), " @x": (41, {"+1": 12}), "ok": (0, {"+1": 1})}
    send(shop.url, events("files", FORMULA, arms))
    said = Client(shop.url).experiment(FORMULA, "files")
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
    assert cells(saved["CSV"]) == cells(wanted.getvalue())
    assert {line[0] for line in cells(saved["CSV"])[1:]} == {f"'{FORMULA}"}


def cells(text: str) -> list[list[Any]]:
    def value(cell: str) -> Any:
        try:
            return float(cell)
        except ValueError:
            return cell

    return [[value(cell) for cell in line] for line in csv.reader(io.StringIO(text, newline=""))]


def test_away_and_back(local: LocalBackend, visit: Opener) -> None:
    send(local.url, events("alephbet", "kept", {"A": (5, {"g": 2}), "B": (4, {})}))
    page = visit(local.url, clock=True)
    expect(row(page, "kept")).to_contain_text("9")
    with local.down():
        page.clock.run_for(16_000)
        trouble = page.get_by_text("The backend does not answer.")
        expect(trouble).to_contain_text(re.compile(r"These figures are from \d\d:\d\d, just now"))
        expect(page.locator("#live")).to_have_text("Not updated")
        expect(row(page, "kept")).to_contain_text("9")
        page.clock.run_for(130_000)
        expect(trouble).to_contain_text(re.compile("2 minutes ago"))
    page.clock.run_for(6_000)
    expect(page.locator("#trouble")).to_be_empty()
    expect(page.locator("#live")).to_contain_text("Updated")


LAYOUT_SHIFTS = """
    window.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.shift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""


PAINTED = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_shifts_as_data_come(shop: LocalBackend, visit: Opener, width: int) -> None:
    views = ({"namespace": "shop"}, {"namespace": "shop", "experiment": "Lopsided"})
    for fragment in (*views, {"namespace": "empty"}):
        page = visit(shop.url, {"namespace": "shop"}, size=(width, 800), script=LAYOUT_SHIFTS)
        expect(page.locator(".list")).to_be_visible()
        with held(page, "**/experiment*"):
            page.goto("about:blank")
            page.goto(address(shop.url, **fragment))
            expect(page.locator(".bones")).to_be_visible()
            page.evaluate(PAINTED)
            title = page.get_by_role("heading", level=1).bounding_box()
        expect(page.locator(".bones")).to_have_count(0)
        page.evaluate(PAINTED)
        assert page.evaluate("window.shift") < 0.001
        seen = page.get_by_role("heading", level=1).bounding_box()
        assert title
        assert seen
        assert (seen["x"], seen["y"]) == (title["x"], title["y"])


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing(shop: LocalBackend, visit: Opener, scheme: str, width: int) -> None:
    page = visit(shop.url, {"namespace": "shop"}, size=(width, 800), color_scheme=scheme)
    expect(page.locator(".list")).to_be_visible()
    assert axe(page) == []
    for experiment in ("Lopsided", "Button 10", "Worse", "No goal yet", "no such"):
        page.goto(address(shop.url, namespace="shop", experiment=experiment))
        expect(page.get_by_role("heading", level=1)).to_have_text(experiment)
        expect(page.locator(".bones")).to_have_count(0)
        assert axe(page) == []
    page.goto(address(shop.url, namespace="shop", experiment="Button 10"))
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert axe(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_text("All figures").click()
    page.get_by_role("button", name="Settings").click()
    assert axe(page) == []
    page.get_by_role("button", name="Delete…").click()
    assert axe(page) == []
    page.keyboard.press("Escape")
    page.goto(address(shop.url, namespace="none here"))
    expect(page.locator("#snippet")).to_be_visible()
    assert axe(page) == []


def test_the_deployed_page_travels_gzipped(deployed: Deployment) -> None:
    page = requests.get(f"{deployed.url}/dashboard", timeout=20)
    assert page.headers["content-encoding"] == "gzip"
    assert int(page.headers["content-length"]) < len(page.content) / 2
    assert "</html>" in page.text
