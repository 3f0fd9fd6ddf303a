"""`gimel results --fail-on`: which conditions fail a pipeline, and with which exit code."""

from typing import Any

import pytest
from click.testing import Result

from gimel.client import BackendClient
from gimel.terminal.conditions import CONDITIONS, EXIT_CONDITION
from tests.support.commands import complaint, count, run

DEFINITION: dict[str, Any] = {
    "variants": [{"name": "blue"}, {"name": "red"}],
    "goals": [
        {"name": "signup", "role": "primary"},
        {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.1},
        {"name": "share", "role": "secondary"},
    ],
    "counting": "exact",
}
FAIR = {"blue": 2000, "red": 2000}
SAME = {"blue": 200, "red": 200}
# What is counted of an experiment, which condition that meets, and its words
MET = [
    ({"blue": 2000, "red": 1000}, {"signup": SAME}, "srm", "the split is wrong"),
    (FAIR, {"signup": {"blue": 400, "red": 200}}, "loser", "signup has a loser"),
    (
        FAIR,
        {"refund": {"blue": 100, "red": 400}},
        "guardrail",
        "red breaks the guardrail refund",
    ),
]


@pytest.fixture(autouse=True)
def _declared(url: str) -> None:
    BackendClient(url).declare("e", DEFINITION)


def results(url: str, conditions: str, *more: str) -> Result:
    return run("results", "--fail-on", conditions, *more, "--url", url)


@pytest.mark.parametrize(("visitors", "goals", "condition", "words"), MET)
def test_a_condition_fails_after_the_results(
    url: str,
    visitors: dict[str, int],
    goals: dict[str, dict[str, int]],
    condition: str,
    words: str,
) -> None:
    count("e", visitors, goals)
    plainly = run("results", "--url", url)
    for conditions in (condition, ", ".join(CONDITIONS)):
        found = results(url, conditions)
        assert found.exit_code == EXIT_CONDITION == 3
        assert (found.stdout, found.stderr) == (plainly.stdout, f"Error: e: {words}\n")
    for output_format in ("--json", "--csv"):
        assert results(url, condition, output_format).exit_code == EXIT_CONDITION
    others = ",".join(each for each in CONDITIONS if each != condition)
    assert (results(url, others).exit_code, results(url, others).stderr) == (0, "")


def test_nothing_fails_while_all_is_well(url: str) -> None:
    count("e", FAIR, {"signup": {"blue": 200, "red": 400}, "share": {"blue": 400, "red": 200}})
    found = results(url, "srm,loser,guardrail")
    assert (found.exit_code, found.stderr) == (0, "")


def test_what_is_decided_or_archived_fails_nothing(url: str) -> None:
    count("e", FAIR, {"signup": {"blue": 400, "red": 200}})
    client = BackendClient(url)
    client.configure("e", {"state": "stopped"})
    assert results(url, "loser").exit_code == EXIT_CONDITION
    client.configure("e", {"decision": {"winner": "blue", "reason": "Red is worse"}})
    assert results(url, "loser").exit_code == 0
    client.configure("e", {"decision": None, "state": "archived"})
    assert results(url, "loser").exit_code == 0


def test_only_the_goal_that_is_shown_matters(url: str) -> None:
    count("e", FAIR, {"signup": {"blue": 400, "red": 200}})
    assert results(url, "loser", "--goal", "share").exit_code == 0
    assert results(url, "loser", "--goal", "signup").exit_code == EXIT_CONDITION


@pytest.mark.parametrize("conditions", ["winner", "srm,", "", "srm loser", "SRM"])
def test_another_word_is_an_error(url: str, conditions: str) -> None:
    found = results(url, conditions)
    assert found.exit_code == 2
    assert "is not a condition: use srm, loser, guardrail" in found.stderr
    assert found.stdout == ""


def test_no_experiment_fails_nothing_and_the_past_has_no_conditions(url: str) -> None:
    assert results(url, "srm", "--namespace", "none").exit_code == 0
    found = run("results", "e", "--history", "--fail-on", "srm", "--url", url)
    assert found.exit_code == 2
    assert "leave out --history" in found.stderr
    assert complaint(run("results", "none", "--fail-on", "srm", "--url", url))
