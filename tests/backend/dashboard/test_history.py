"""The history on an experiment's page: charts that pointer and keyboard read, and a table."""

import re
from datetime import datetime

import pytest
from playwright.sync_api import Page, Route, expect

from gimel.client import BackendClient
from tests.support.dashboard_page import KeyedBackend, Opener, axe, tab_to
from tests.support.past import Counts, write_past

PAST = "past"
CONTROL, RED, GREEN = "control", "red", "green 10"


def counts(visitors: int, rates: dict[str, float]) -> Counts:
    return {label: (visitors, {"order": int(visitors * rate)}) for label, rate in rates.items()}


@pytest.fixture(name="past", scope="module")
def past_fixture(keyed: KeyedBackend) -> KeyedBackend:
    """Experiments with snapshots: one with a winner and a missing day, one of many variants."""
    rates = {CONTROL: 0.1, RED: 0.16, GREEN: 0.08}
    definition = {
        "variants": [{"name": name} for name in rates],
        "goals": [{"name": "order", "role": "primary"}, {"name": "refund"}],
    }
    # Before the last ten days, of which every hour is kept
    ages = (504, 480, 456, 364, 340, 314, 290, 266)
    hours = {age: counts((514 - age) * 12, rates) for age in ages}
    write_past(keyed.redis_url, (PAST, "ten days"), definition, hours)
    many = {f"variant {number}": 0.1 for number in range(1, 21)} | {"variant 20": 0.4}
    variants = {"variants": [{"name": name} for name in many], "goals": [{"name": "order"}]}
    write_past(keyed.redis_url, (PAST, "twenty"), variants, {2: counts(40, many)})
    write_past(keyed.redis_url, (PAST, "young"), definition, {})
    return keyed


def show(past: KeyedBackend, visit: Opener, name: str = "ten days", **more: object) -> Page:
    fragment = {"key": past.key, "namespace": PAST, "experiment": name}
    page = visit(past.url, fragment, **more)
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    return page


def paths(page: Page, chart: str, kind: str = "line") -> int:
    return page.locator(f".{chart} .lines .{kind}").count()


def test_lines_show_lift_rate_and_visitors_with_a_gap(past: KeyedBackend, visit: Opener) -> None:
    page = show(past, visit)
    expect(page.locator(".chart h3")).to_have_text(["Lift", "Rate", "Visitors per day"])
    # Each line is in two parts: a snapshot is missing for four days.
    assert (paths(page, "lift"), paths(page, "lift", "band")) == (4, 4)
    assert paths(page, "rate") == 6
    expect(page.locator(".lift .zero")).to_have_count(1)
    # The server may have taken one of this hour.
    expect(page.locator(".history")).to_contain_text(re.compile("[89] snapshots\\."))


def test_the_recorded_verdict_is_marked_at_its_time(past: KeyedBackend, visit: Opener) -> None:
    page = show(past, visit)
    mark = page.locator(".lift text.decided")
    expect(mark).to_have_text(f"Winner: {RED}")
    client = BackendClient(past.url, past.key)
    said = client.history("ten days", PAST)
    began = client.experiment("ten days", PAST)["created_at"]
    times = [began, said["recorded"]["at"], said["snapshots"][-1]["time"]]
    first, decided, last = (datetime.fromisoformat(each).timestamp() for each in times)
    assert first < decided < last
    at = page.locator(".lift line.decided").get_attribute("x1") or ""
    expected = 100 * (decided - first) / (last - first)
    assert float(at.removesuffix("%")) == pytest.approx(expected, abs=0.1)
    page.get_by_text("History as a table").click()
    expect(page.locator(".history tbody tr", has_text=f"Winner: {RED}")).to_have_count(3)


def test_the_keyboard_reads_a_chart(past: KeyedBackend, visit: Opener) -> None:
    page = show(past, visit)
    tab_to(page, "#chart-lift")
    lift = page.get_by_role("slider", name="Lift, by time")
    readout = lift.locator(".readout")
    now = lift.get_attribute("aria-valuetext")
    assert now
    assert re.search(rf"{RED} \+6\d\.\d% \(\+[\d.]+% to \+[\d.]+%\)", now)
    expect(readout).to_contain_text("+6")
    page.keyboard.press("Home")
    expect(lift).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("ArrowRight")
    expect(lift).to_have_attribute("aria-valuenow", "1")
    assert lift.get_attribute("aria-valuetext") != now
    page.keyboard.press("End")
    expect(lift).to_have_attribute("aria-valuetext", now)
    page.keyboard.press("ArrowRight")
    expect(lift).to_have_attribute("aria-valuetext", now)
    page.keyboard.press("Tab")
    expect(readout).to_be_hidden()
    expect(page.locator(".rate .readout")).to_contain_text(re.compile(r"red\s*16\.\d+%"))


def test_the_pointer_reads_a_chart_and_an_update_leaves_it(
    past: KeyedBackend, visit: Opener
) -> None:
    page = show(past, visit, clock=True)
    box = page.locator(".days .lines").bounding_box()
    assert box
    page.locator(".days .lines").hover(position={"x": box["width"] - 2, "y": 40})
    readout = page.locator(".days .readout")
    expect(readout).to_contain_text(re.compile(r"red\s*\d+"))
    with page.expect_response("**/experiment?*"):
        page.clock.run_for(16_000)
    expect(readout).to_be_visible()
    page.mouse.move(0, 0)
    expect(readout).to_be_hidden()


def test_a_table_says_the_same(past: KeyedBackend, visit: Opener) -> None:
    page = show(past, visit)
    page.get_by_text("History as a table").click()
    table = page.get_by_role("region", name="History as a table")
    heads = table.get_by_role("columnheader").all_inner_texts()
    assert heads == ["Time", "Variant", "That day", "Visitors", "Rate", "Lift", "Lift interval"]
    # A row for each day and variant: eight days with snapshots, and today.
    days = table.locator("tbody tr").count() / 3
    assert days in (8, 9)
    last = table.locator("tbody tr", has_text=RED).last
    expect(last).to_contain_text("2,976")
    expect(last).to_contain_text("+6")


def test_six_of_twenty_variants_are_shown_and_the_rest_on_demand(
    past: KeyedBackend, visit: Opener
) -> None:
    page = show(past, visit, "twenty")
    shown = page.locator(".legend label:has(:checked)")
    expect(shown).to_have_text([f"variant {number}" for number in (1, 2, 3, 4, 5, 20)])
    assert paths(page, "rate") == 6
    # All lines can be told apart.
    styles = page.locator(".legend path").evaluate_all(
        "all => all.map((each) => each.className.baseVal)"
    )
    assert len(set(styles)) == 20
    # Of so many intervals, the leader's alone is drawn.
    assert paths(page, "lift", "band") == 1
    page.get_by_role("checkbox", name="variant 9").check()
    expect(page.locator(".rate .line")).to_have_count(7)
    page.get_by_role("checkbox", name="variant 1", exact=True).uncheck()
    expect(page.locator(".rate .line")).to_have_count(6)
    for box in page.locator(".legend :checked").all()[::-1]:
        box.uncheck()
    expect(page.locator(".chart")).to_have_count(0)
    assert axe(page) == []


def test_the_first_hour_has_no_chart(past: KeyedBackend, visit: Opener) -> None:
    page = show(past, visit, "young")
    expect(page.locator(".history")).to_contain_text("No snapshots yet")
    expect(page.locator(".chart")).to_have_count(0)


def test_it_is_asked_for_when_shown_and_seldom_again(past: KeyedBackend, visit: Opener) -> None:
    asked: list[str] = []
    page = show(past, visit, clock=True)
    expect(page.locator(".chart")).to_have_count(3)
    page.on("request", lambda request: asked.append(request.url.partition("?")[0][-8:]))
    page.clock.run_for(240_000)
    assert asked.count("/history") == 0
    assert asked.count("periment") > 3
    page.clock.run_for(90_000)
    page.wait_for_function("true")
    assert asked.count("/history") == 1


@pytest.mark.parametrize("body", ['{"error": "there is no such path", "field": "path"}', "{}"])
def test_an_earlier_backend_has_no_history(past: KeyedBackend, visit: Opener, body: str) -> None:
    fragment = {"key": past.key, "namespace": PAST}
    page = visit(past.url, fragment)

    def absent(route: Route) -> None:
        route.fulfill(status=404, body=body, content_type="application/json")

    page.route("**/history?*", absent)
    with page.expect_response("**/history?*"):
        page.get_by_role("link", name="ten days").click()
    expect(page.locator(".history")).to_have_count(0)
    expect(page.locator(".results")).to_be_visible()
    expect(page.locator("#trouble")).to_be_empty()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_axe_finds_nothing_and_nothing_is_too_wide(
    past: KeyedBackend, visit: Opener, scheme: str, width: int
) -> None:
    for name in ("ten days", "twenty"):
        page = show(past, visit, name, size=(width, 800), color_scheme=scheme)
        page.get_by_text("History as a table").click()
        page.locator("#chart-rate").hover()
        expect(page.locator(".rate .readout")).to_be_visible()
        assert axe(page) == []
        assert page.evaluate("document.scrollingElement.scrollWidth") == width


def test_paper_shows_the_charts(past: KeyedBackend, visit: Opener) -> None:
    page = show(past, visit, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator(".lift .lines")).to_be_visible()
    expect(page.locator(".legend input").first).to_be_hidden()
    expect(page.locator(".legend bdi").first).to_be_visible()
