"""Verdicts on the dashboard: next step, record, plan, guardrails, amounts, explanations."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support import verdict_experiments as made
from tests.support.dashboard_page import Opener, address, axe, events, row, send
from tests.support.gimel_local import LocalBackend

NAMESPACE = "states"


@pytest.fixture(name="states", scope="module")
def states_fixture(served: LocalBackend) -> LocalBackend:
    made.fill(served, NAMESPACE)
    return served


@pytest.fixture(name="show")
def show_fixture(states: LocalBackend, visit: Opener) -> Opener:
    def show(experiment: str, **more: object) -> Page:
        return visit(states.url, {"namespace": NAMESPACE, "experiment": experiment}, **more)

    return show


def test_the_next_step_is_the_most_visible_line(show: Opener) -> None:
    page = show(made.WAITING)
    expect(page.locator(".results")).to_be_visible()
    size = "each => parseFloat(getComputedStyle(each).fontSize)"
    expect(page.locator(".next")).to_contain_text("Wait until about")
    largest = page.locator(".next").evaluate(size)
    for other in (".reason", "#goal", ".plan", ".results td >> nth=0"):
        assert page.locator(other).evaluate(size) < largest


def test_the_record_stands_beside_what_is_true_now(show: Opener, states: LocalBackend) -> None:
    goals = states.client.experiment(made.WON, NAMESPACE)["goals"]
    verdict = next(goal for goal in goals if goal["goal"] == "signup")["verdict"]
    page = show(made.WON)
    expect(page.locator(".record > div")).to_have_count(2)
    then, now = page.locator(".record > div").all()
    expect(then).to_contain_text(re.compile(r"Recorded on \d+ \w+ 20\d\d4,010 visitors"))
    low, high = (f"{end:+.1%}" for end in verdict["interval"])
    expect(then).to_contain_text(f"lift of red {verdict['lift']:+.1%} ({low} to {high})")
    expect(now).to_contain_text("Now5,190 visitors · lift of red +34.1%")
    assert verdict["since"] in verdict["reason"]
    expect(page.locator(".reason")).not_to_contain_text("Recorded on")
    expect(page.locator(".reason")).to_contain_text("Guardrails: error shown is open.")


def test_the_plan_shows_its_progress_and_days(show: Opener, states: LocalBackend) -> None:
    (goal,) = states.client.experiment(made.WAITING, NAMESPACE)["goals"]
    fewest, most = goal["verdict"]["days_needed"]
    plan = show(made.WAITING).locator(".plan")
    expect(plan).to_contain_text(
        f"2,010 of 6,000 visitors, {fewest} to {most} days left at the present pace"
    )
    expect(plan.locator(".part")).to_have_attribute("width", "33.5%")
    page = show(made.NOTHING)
    expect(page.locator(".plan")).to_contain_text(
        re.compile(r"fulfilled on \d+ \w+ 20\d\d, at 2,004 of 2,000 visitors")
    )
    expect(page.locator(".record")).to_contain_text("lifts from -17.7% to +27.0% are possible")
    expect(page.locator(".foot")).to_contain_text("keeps most of the error")


def test_guardrails_and_roles_are_named(show: Opener) -> None:
    page = show(made.WON)
    goals = page.get_by_role("table", name="Goals").locator("tbody tr")
    expect(goals).to_have_count(4)
    names = [each.locator("th").inner_text().split("\n") for each in goals.all()]
    assert [
        [*name, each.locator(".chip").inner_text()]
        for name, each in zip(names, goals.all(), strict=True)
    ] == [
        ["signup", "primary", "Winner"],
        ["error shown", "guardrail, lower is better", "Open"],
        ["refund", "guardrail, lower is better", "Held"],
        ["share", "secondary", "Keep collecting"],
    ]
    texts = page.locator(".guardrail").all_text_contents()
    assert texts == [
        "Guardrailerror shownat most 20% worseredopen",
        "Guardrailrefundat most 10% worseredheld",
    ]
    page.locator(".guardrail").get_by_role("link", name="refund").click()
    expect(page.locator("#goal")).to_have_text("refund")
    expect(page.locator(".line")).to_contain_text("guardrail goal · lower is better")
    # Fewer refunds are better: green, though the lift is below zero.
    red = row(page, "red")
    expect(red).to_contain_text("> 99%")
    green = page.locator(".guardrail .chip.held").evaluate("each => getComputedStyle(each).color")
    assert red.locator(".down").first.evaluate("each => getComputedStyle(each).color") == green


def test_a_broken_guardrail_keeps_a_winner_from_shipping(
    show: Opener, states: LocalBackend
) -> None:
    page = show(made.BROKEN)
    expect(page.locator(".next")).to_contain_text("Do not ship red: the guardrail refund is broken")
    expect(page.locator(".guardrail .chip.broken")).to_have_text("redbroken")
    page.goto(address(states.url, namespace=NAMESPACE))
    expect(row(page, made.BROKEN)).to_contain_text("Winnersignuplook at its guardrails")


def test_amounts_have_a_mean_a_sum_and_what_the_cap_cut(show: Opener, states: LocalBackend) -> None:
    (goal,) = states.client.experiment(made.AMOUNTS, NAMESPACE)["goals"]
    page = show(made.AMOUNTS)
    expect(page.locator(".line")).to_contain_text("amounts, each counted up to 200")
    for said in goal["results"]:
        assert said["above_cap"] > 0
        cells = row(page, said["label"]).get_by_role("cell")
        above = f"{said['above_cap']:,} above the cap"
        expect(cells.nth(1)).to_have_text(f"{round(said['sum']):,}{above}")
        mean = re.findall(r"\d+\.\d\d", cells.nth(2).text_content() or "")
        wanted = [said["rate"], *said["rate_interval"]]
        assert [float(each) for each in mean] == pytest.approx(wanted, abs=0.0051)
    expect(page.get_by_role("columnheader", name="Mean per visitor")).to_be_visible()


def test_a_goal_that_cannot_have_an_interval_says_why(show: Opener, states: LocalBackend) -> None:
    page = show(made.REPEATED)
    expect(page.locator(".chip")).to_have_text("No verdict")
    expect(page.locator(".reason")).to_contain_text("do not say whose they are")
    expect(page.locator(".reason code")).to_have_text("gimel create")
    expect(row(page, "red")).to_contain_text("no interval: see above")
    page.goto(address(states.url, namespace=NAMESPACE))
    expect(row(page, made.REPEATED)).to_contain_text("No verdict")
    expect(row(page, made.NOTHING)).to_contain_text("noneno difference found")
    expect(row(page, made.NOTHING)).to_contain_text("Inconclusive")


def test_a_rise_is_bad_where_lower_is_better(show: Opener) -> None:
    lifts = show(made.BROKEN).locator(".goal-list [data-label=Lift] > span:first-child")
    expect(lifts.nth(0)).to_have_class("higher up")
    expect(lifts.nth(1)).to_have_class("lower up")
    good, bad = (
        lifts.nth(row).evaluate("element => getComputedStyle(element).color") for row in (0, 1)
    )
    assert good != bad


def test_a_later_alarm_leaves_the_record_in_sight(states: LocalBackend, visit: Opener) -> None:
    winner = {"blue": (2000, {"signup": 200}), "red": (2010, {"signup": 290})}
    send(states.url, events("later", "alarm", winner))
    states.client.experiment("alarm", "later")
    send(states.url, events("later", "alarm", {"blue": (2500, {})}))
    page = visit(states.url, {"namespace": "later", "experiment": "alarm"})
    expect(page.locator(".line .chip")).to_have_text("Do not trust")
    expect(page.locator(".record")).to_contain_text(
        re.compile(r"Recorded on .* as winner[34],\d{3}")
    )
    expect(page.locator(".next")).to_contain_text("Fix the split first")


@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_and_long_names_stay_text_and_widen_nothing(
    states: LocalBackend, visit: Opener, width: int
) -> None:
    variants = ["$& `x`", "W" * 200, "\u202e<b>evil</b>\u2067"]
    goals = [
        {"name": "\u202eמטרה $`", "role": "primary"},
        {"name": "<img src=x>" + "V" * 200, "role": "guardrail", "better": "lower"},
    ]
    body = {"variants": [{"name": name} for name in variants], "goals": goals}
    states.client.declare("hostile", body, namespace="names")
    primary, guardrail = (goal["name"] for goal in goals)
    arms = {
        name: (900, {primary: 90 + 80 * number, guardrail: 50 + 90 * number})
        for number, name in enumerate(variants)
    }
    send(states.url, events("names", "hostile", arms))
    said = states.client.experiment("hostile", "names")["goals"]
    verdict = next(goal for goal in said if goal["role"] == "primary")["verdict"]
    page = visit(states.url, {"namespace": "names", "experiment": "hostile"}, size=(width, 800))
    shown = f"{verdict['recorded']['reason']} Guardrails: {guardrail} is broken."
    expect(page.locator(".reason")).to_have_text(shown)
    expect(page.locator(".record")).to_contain_text(f"lift of {verdict['variant']} +")
    names = page.locator(".guardrail .chip bdi").all_text_contents()
    assert sorted(names) == sorted(variants[1:])
    assert page.locator("img, b").count() == 0
    assert page.evaluate("document.scrollingElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_axe_finds_nothing_in_any_state(
    states: LocalBackend, visit: Opener, scheme: str, width: int
) -> None:
    page = visit(states.url, {"namespace": NAMESPACE}, size=(width, 800), color_scheme=scheme)
    expect(page.locator(".list")).to_be_visible()
    assert axe(page) == []
    for name in (made.WON, made.NOTHING, made.BROKEN, made.AMOUNTS, made.REPEATED, made.SKEWED):
        page.goto(address(states.url, namespace=NAMESPACE, experiment=name))
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.locator(".results")).to_be_visible()
        assert axe(page) == []
        assert page.evaluate("document.scrollingElement.scrollWidth") == width
