"""`gimel decide` and `gimel decisions`: what they do and print, and each refusal in one line."""

import io
import json
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from gimel.client import BackendClient
from gimel.terminal import decisions
from tests.support.commands import complaint, count, run, said

REASON = "Red brings more signups,\nand it is the page that is easier to keep for all of us."
DEFINITION: dict[str, Any] = {
    "variants": [{"name": "blue", "value": "#00f"}, {"name": "red", "value": "#f00"}],
    "goals": [{"name": "signup"}, {"name": "paid"}],
    "counting": "exact",
}


@pytest.fixture(name="shop")
def shop_fixture(url: str) -> str:
    """A backend with two declared experiments, one of which is a flag, and an undeclared one."""
    client = BackendClient(url)
    client.declare("button color", DEFINITION)
    count("button color", {"blue": 1000, "red": 1000}, {"signup": {"blue": 100, "red": 200}})
    client.declare("flag #1", DEFINITION | {"flag": True})
    count("early", {"a": 10, "b": 12, "c": 9})
    return url


def decide(url: str, experiment: str = "button color", winner: str = "red", *more: str) -> str:
    options = "--winner", winner, "--reason", REASON, *more
    return said(run("decide", experiment, *options, "--url", url))


def test_it_says_what_is_kept_and_which_code_to_delete(shop: str) -> None:
    assert decide(shop).splitlines()[:1] == [f"✓ decided on {_today(shop)}: red"]
    assert decide(shop).splitlines()[4:] == [
        "Counting stops. Late events are ignored, after a minute at the latest.",
        "Now delete from your code:",
        "  - what only blue needs",
        "  - the snippet, and the attribute data-gimel-button-color in styles and scripts",
    ]
    assert decide(shop, "flag #1", "blue").splitlines()[-2:] == [
        "  - what only red needs",
        "  - the flag flag #1. Until then, OpenFeature gives blue to everybody",
    ]
    assert "  - what only a or c needs" in decide(shop, "early", "b").splitlines()


def _today(url: str) -> str:
    day: str = BackendClient(url).experiment("button color")["decision"]["at"][:10]
    return day


def test_results_and_show_have_the_decision(shop: str) -> None:
    decide(shop)
    title, *lines = said(run("results", "button color", "--url", shop)).splitlines()
    assert "stopped" in title
    figures = BackendClient(shop).experiment("button color")["decision"]["figures"]
    assert lines[:4] == [
        f"✓ decided on {_today(shop)}: red",
        *REASON.splitlines(),
        f"figures frozen on {figures['at'][:10]} {figures['at'][11:16]} UTC",
    ]
    shown = said(run("show", "button color", "--url", shop))
    assert f"Decision  red, {_today(shop)}" in shown
    assert "no key: state stopped, decision\n" in "\n".join(map(str.rstrip, shown.splitlines()))
    assert "decided" not in said(run("results", "early", "--url", shop))


def test_refusals_are_one_line(shop: str) -> None:
    arguments = "decide", "button color", "--url", shop
    line = complaint(run(*arguments, "--winner", "green", "--reason", "x"))
    assert line.endswith("decision must have a winner that is a variant: blue, red")
    for blank in (" ", "\u200b \u2060"):
        line = complaint(run(*arguments, "--winner", "red", "--reason", blank))
        assert line.endswith("must say why")
    assert complaint(run(*arguments, "--winner", "red", "--reason", "x" * 1001)).endswith(
        "is over 1,000 characters"
    )
    missing = run("decide", "none", "--winner", "a", "--reason", "x", "--url", shop)
    assert "there is no experiment" in complaint(missing)
    decide(shop)
    line = complaint(run("resume", "button color", "--url", shop))
    assert line.startswith("state cannot be running: the experiment is decided for red. `gimel set")
    said(run("settings", "button color", "--reset", "decision", "--url", shop))
    assert said(run("resume", "button color", "--url", shop)).startswith("Running.")


def test_decisions_are_listed_and_archived_ones_with_them(shop: str) -> None:
    assert "Nothing is decided in namespace alephbet yet" in listed(shop)
    decide(shop)
    decide(shop, "early", "b")
    BackendClient(shop).configure("button color", {"state": "archived"})
    found = json.loads(listed(shop, "--json"))
    by_name = {each["experiment"]: each for each in found}
    assert by_name.keys() == {"button color", "early"}
    signup = by_name["button color"]
    assert (signup["state"], signup["winner"], signup["reason"]) == ("archived", "red", REASON)
    (lift,) = signup["lifts"]
    assert (lift["goal"], lift["variant"], lift["lift"]) == ("signup", "red", 1.0)
    assert "signup: red +100.0% (+" in listed(shop)
    assert listed(shop, "--namespace", "other").startswith("Nothing is decided in namespace other")


def listed(url: str, *options: str) -> str:
    return said(run("decisions", "--url", url, *options))


def test_of_a_baseline_that_stays_the_others_lifts_are_shown(shop: str) -> None:
    decide(shop, "button color", "blue")
    assert "signup: red +100.0% (+" in listed(shop)


def decided(name: str, at: str, **more: Any) -> dict[str, Any]:
    row = {"label": "red", "lift": 0.221, "lift_interval_always_valid": [0.02, 0.46]}
    goals = [{"goal": "signup", "role": "primary", "variants": [row]}]
    figures = {"at": at, "goals": goals, "goals_left_out": 0}
    decision = {"winner": "red", "reason": REASON, "at": at, "figures": figures} | more
    return {"experiment": name, "state": "stopped", "decision": decision}


def printed(experiments: list[dict[str, Any]], width: int) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    decisions.show_decisions(console, decisions.decisions_in(experiments))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_width_holds_every_line(width: int) -> None:
    found = [
        decided("button color", "2026-01-02T03:04:05Z"),
        decided("非常に長い名前" * 8, "2026-02-02T03:04:05Z", reason="x" * 1000),
        {"experiment": "running", "state": "running", "decision": None},
        decided("[red]\u202ex", "2026-03-02T03:04:05Z", figures=None),
    ]
    lines = printed(found, width)
    assert all(cell_len(line) <= width for line in lines)
    lines = [line.rstrip() for line in lines]
    dates = [line[:10] for line in lines if line.startswith("2026")]
    assert dates == ["2026-03-02", "2026-02-02", "2026-01-02"], "the newest first"
    assert lines[0] == "2026-03-02  [red]\\u{202e}x: red"
    assert "            signup: red +22.1% (+2.0% to +46.0%)" in lines
    words = " ".join(line.strip() for line in lines)
    assert " ".join(REASON.split()) in words


def test_a_backend_of_an_earlier_version_has_no_decisions() -> None:
    assert decisions.decisions_in([{"experiment": "e", "state": "running"}]) == []
