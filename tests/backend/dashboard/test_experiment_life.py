"""One experiment in a browser: created, visited, watched, decided, archived, exported."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.declaring import time_text
from gimel.backend.counting.keys import Keys
from gimel.backend.experiment.snapshots import SnapshotWriter
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.commands import run, said
from tests.support.dashboard_page import Opener, axe
from tests.support.gimel_local import LocalBackend
from tests.support.servers import url_of, valkey
from tests.support.shop import Shop
from tests.support.waiting import wait

pytestmark = pytest.mark.slow

NAME = "button color"
GOAL = "signup"
HOUR = 3600
# Eight days, the last four hours of them without a visitor
HOURS, SILENT = 8 * 24, 4
VISITORS_AN_HOUR = 30
# Each so many-th visitor of a variant reaches the goal.
REACHED = {"blue": 10, "red": 6}


@pytest.fixture(name="local")
def local_fixture(tmp_path: Path, store: redis.Redis) -> Iterator[LocalBackend]:
    with LocalBackend(tmp_path / "data", "--redis-url", url_of(store)) as local:
        yield local


def test_the_life_of_an_experiment(
    local: LocalBackend, store: redis.Redis, visit: Opener, browser: Browser, tmp_path: Path
) -> None:
    page = visit(local.url)
    snippet = create(page)
    with closing(Shop()) as shop:
        visit_shop(local, browser, shop, snippet)
    live_eight_days(store)
    watch(local, page)
    decide(page)
    archive(page)
    download(page)
    export(store, tmp_path / "life.jsonl.gz")


def create(page: Page) -> str:
    """Declare the experiment in the dialog. Return the snippet that it prints."""
    page.get_by_role("button", name="New experiment").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=experiment]").fill(NAME)
    for index, variant in enumerate(REACHED):
        dialog.locator(f"[name='variants[{index}].name']").fill(variant)
    dialog.locator("[name='goals[0].name']").fill(GOAL)
    dialog.get_by_label("Hypothesis").fill("Red draws the eye")
    dialog.locator("[name=planned_visitors]").fill("20000")
    dialog.get_by_role("button", name="Create").click()
    snippet = dialog.locator(".snippet pre").text_content() or ""
    dialog.get_by_role("button", name="Done").click()
    expect(page.locator("h1")).to_have_text(NAME)
    expect(page.locator(".health")).to_contain_text("No visitor has come yet.")
    return snippet


def visit_shop(local: LocalBackend, browser: Browser, shop: Shop, snippet: str) -> None:
    """Put the snippet into a page, and be its first visitor."""
    button = f"<button data-gimel-goal='{GOAL}'>Sign up</button>"
    shop.html = f"<!doctype html><title>Shop</title>{snippet}{button}"
    context = browser.new_context()
    page = context.new_page()
    page.goto(shop.url)
    page.locator("html[data-gimel-button-color]").wait_for()
    page.get_by_role("button").click()
    (goal,) = local.client.experiment(NAME)["goals"]
    wait(lambda: sum(row["successes"] for row in first_goal(local)["results"]) == 1)
    context.close()
    assert sum(row["trials"] for row in first_goal(local)["results"]) == 1
    assert goal["goal"] == GOAL


def first_goal(local: LocalBackend) -> dict[str, list[dict[str, int]]]:
    found: dict[str, list[dict[str, int]]] = local.client.experiment(NAME)["goals"][0]
    return found


def live_eight_days(store: redis.Redis) -> None:
    """Count visitors hour by hour, with a snapshot each, as if it had begun eight days ago."""
    connection = Connection(url_of(store))
    counters, now = Counters(connection), time.time()
    writer = SnapshotWriter(connection, counters)
    began = time_text(now - HOURS * HOUR)
    settings = Keys("alephbet", NAME).settings
    connection.execute([("HSET", settings, "created_at", began)])
    for hour in range(HOURS):
        if hour < HOURS - SILENT:
            counters.add([*events_of(hour)])
        assert writer.write(now - (HOURS - 1 - hour) * HOUR, 60.0)


def events_of(hour: int) -> Iterator[Event]:
    for number in range(hour * VISITORS_AN_HOUR, (hour + 1) * VISITORS_AN_HOUR):
        variant = [*REACHED][number % 2]
        goals = ["participate", GOAL][: 1 + (number // 2 % REACHED[variant] == 0)]
        for goal in goals:
            visitor = f"visitor {number}"
            yield Event("alephbet", NAME, goal, variant, f"{visitor} {goal}", visitor)


def watch(local: LocalBackend, page: Page) -> None:
    """See the plan, the past, the alarm that nobody comes any longer, and the verdict."""
    past = local.client.history(NAME)
    visitors = [sum(each["trials"] for each in point["variants"]) for point in past["snapshots"]]
    assert visitors == sorted(visitors)
    assert len({point["time"][:10] for point in past["snapshots"]}) >= 8
    page.reload()
    expect(page.locator(".title")).to_contain_text("Red draws the eye")
    expect(page.locator(".plan")).to_contain_text("of 20,000 visitors")
    expect(page.locator(".health li.is-alarm")).to_contain_text("No visitor has come since 20")
    expect(page.locator(".chip.winner").first).to_be_visible()
    expect(page.locator(".chart h3")).to_have_text(["Lift", "Rate", "Visitors per day"])
    expect(page.locator(".history")).to_contain_text("Winner: red")
    assert axe(page) == []


def decide(page: Page) -> None:
    page.get_by_role("button", name="Decide…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Winner")).to_have_value("red")
    dialog.get_by_role("button", name="Decide").click()
    expect(dialog.get_by_role("alert")).to_contain_text("must say why")
    dialog.get_by_label("Reason").fill("More visitors sign up,\nand red is our brand.")
    assert axe(page) == []
    dialog.get_by_role("button", name="Decide").click()
    decision = page.locator(".decision")
    expect(decision).to_contain_text("Decided: red")
    expect(decision).to_contain_text("what only blue needs")
    expect(decision).to_contain_text("data-gimel-button-color")
    expect(page.locator(".facts").first).to_contain_text("Stopped")
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    assert axe(page) == []


def archive(page: Page) -> None:
    page.get_by_role("button", name="Archive").click()
    expect(page.locator(".facts").first).to_contain_text("Archived")
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").click()
    page.get_by_role("link", name="Decisions 1").click()
    found = page.locator(".decisions li")
    expect(found).to_contain_text("button color: red")
    expect(found).to_contain_text("signup: red +")
    expect(found).to_contain_text("and red is our brand.")
    assert axe(page) == []
    found.get_by_role("link").click()


def download(page: Page) -> None:
    with page.expect_download() as file:
        page.get_by_role("button", name="JSON").click()
    found = json.loads(file.value.path().read_text("utf-8"))
    assert (found["state"], found["decision"]["winner"]) == ("archived", "red")
    (goal,) = found["decision"]["figures"]["goals"]
    assert {row["label"]: row["trials"] for row in goal["variants"]} == {
        each["label"]: each["trials"] for each in found["variants"]
    }


def export(store: redis.Redis, path: Path) -> None:
    """Import the backup of the archived experiment elsewhere: its whole life is there."""
    said(run("export", NAME, "--redis-url", url_of(store), "--output", str(path)))
    with valkey() as other:
        said(run("import", str(path), "--redis-url", url_of(other)))
        keys = Keys("alephbet", NAME)
        found = other.hgetall(keys.settings)
        assert (found["state"], "is our brand" in found["decision"]) == ("archived", True)
        assert other.hgetall(keys.history) == store.hgetall(keys.history)
        assert other.hlen(keys.history) > HOURS - SILENT
