"""Rates and lifts as they are typed: 5% and 0.05 are the same, and 5 is asked about."""

import pytest

from gimel.terminal.percentages import PERCENTAGE, percent
from tests.support.commands import run, said
from tests.support.terminal import run_in_terminal

RATE = ("sample-size", "--rate", "10%")
FIVE_TIMES = "From 10 % to 60 %, a lift of +500 %"
QUESTION = "A lift of 5 is +500 %, and not +5 %. Go on? [y/N]: "


@pytest.mark.parametrize(
    ("typed", "number"),
    [("0.05", 0.05), ("5%", 0.05), (" 5 % ", 0.05), ("4.1%", 0.041), ("-2%", -0.02), ("500%", 5)],
)
def test_what_is_typed(typed: str, number: float) -> None:
    assert PERCENTAGE.convert(typed, None, None) == number


@pytest.mark.parametrize("typed", ["", "%", "5%%", "5%1", "five", "nan%", "\x1b[2J"])
def test_what_is_no_number(typed: str) -> None:
    result = run(*RATE, f"--lift={typed}")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith(" must look like 0.05 or 5%")
    assert "\x1b" not in result.stderr


def test_a_percentage_in_a_sentence() -> None:
    assert [percent(each) for each in (0.1, 0.105, 1 / 3)] == ["10 %", "10.5 %", "33.333 %"]
    assert percent(0.05, "+") == "+5 %"


def test_both_forms_of_a_lift_give_the_same() -> None:
    printed = said(run(*RATE, "--lift", "5%"))
    assert printed == said(run("sample-size", "--rate", "0.1", "--lift", "0.05"))
    assert printed.startswith("From 10 % to 10.5 %, a lift of +5 %: ")


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("5", "a lift of 5 is +500 %, and not +5 %: type 5% or 500%"),
        ("-5", "a lift of -5 is -500 %, and not -5 %: type -5% or -500%"),
    ],
)
def test_a_lift_above_100_percent_without_a_terminal(typed: str, advice: str) -> None:
    result = run(*RATE, "--lift", typed)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].endswith(advice)
    assert said(run(*RATE, "--lift", "500%")).startswith(FIVE_TIMES)


@pytest.mark.slow
def test_a_terminal_is_asked_about_a_lift_above_100_percent() -> None:
    agreed = run_in_terminal(*RATE, "--lift", "5", answers=[(QUESTION, "y")])
    assert agreed.code == 0
    assert FIVE_TIMES in agreed.written
    refused = run_in_terminal(*RATE, "--lift", "5", answers=[(QUESTION, "n")])
    assert refused.code == 2
    assert "type 5% or 500%" in refused.written
    assert "Go on?" not in run_in_terminal(*RATE, "--lift", "100%").written


def test_other_commands_take_percentages(url: str) -> None:
    played = said(run("simulate", "s", "--visitors", "9", "--rate", "50%", "--lift", "10%",
                      "--url", url))  # fmt: skip
    assert "Simulated: 9 visitors, rate 0.5, lift 0.1" in said(
        run("show", "s", "--namespace", "simulation", "--url", url)
    )
    assert "9 visitors" in played
    equivalence = ("settings", "s", "--namespace", "simulation", "--equivalence")
    assert "type 2% or 200%" in run(*equivalence, "2", "--url", url).stderr
