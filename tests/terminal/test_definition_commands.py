"""`gimel create` and `gimel show`: what they send and print, and each refusal in one line."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gimel.backend import process
from gimel.client import BackendClient
from tests.support.commands import complaint, count, run, said

BUTTON = ("button color", "--variant", "blue=50", "--variant", "red=50.5", "--goal", "signup")
HOSTILE = "\u202e[red]x\u2066 'y'"


def create(url: str, *arguments: str) -> str:
    return said(run("create", *arguments, "--url", url))


def definition(url: str, name: str = "button color", namespace: str = "alephbet") -> Any:
    return BackendClient(url).experiment(name, namespace)["definition"]


def test_options_become_a_definition(url: str) -> None:
    create(
        url, *BUTTON, "--goal", "refund:guardrail,lower", "--goal", "order:server,total",
        "--baseline", "red", "--hypothesis", "Red draws the eye", "--owner", "ana",
        "--link", "https://example.org/", "--planned-visitors", "40000", "--counting", "exact",
    )  # fmt: skip
    plain_goal = {"kind": "unique", "better": "higher", "from": "anyone"}
    assert definition(url) == {
        "variants": [{"name": "blue", "weight": 50}, {"name": "red", "weight": 50.5}],
        "goals": [
            plain_goal | {"name": "signup", "role": "primary"},
            plain_goal | {"name": "refund", "role": "guardrail", "better": "lower"},
            plain_goal | {"name": "order", "role": "secondary", "kind": "total", "from": "server"},
        ],
        "baseline": "red",
        "hypothesis": "Red draws the eye",
        "owner": "ana",
        "link": "https://example.org/",
        "planned_visitors": 40000,
        "traffic": 1.0,
        "counting": "exact",
        "flag": False,
    }


def test_it_says_what_it_did_and_what_comes_next(url: str) -> None:
    first = create(url, *BUTTON, "--goal", "order:server")
    assert first.splitlines()[0] == "button color: created"
    assert "order" in first.splitlines()[-3]
    command = first.splitlines()[-1].strip()
    assert command == f"gimel snippet 'button color' --url {url}"
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], capture_output=True, text=True, check=True
    )
    assert 'data-experiment="button color" data-variants=\'{"blue":50,"red":50.5}\'' in done.stdout
    assert 'data-gimel-goal="signup" -->' in done.stdout
    again = create(url, *BUTTON, "--goal", "order:server")
    assert again.splitlines()[0] == "button color: unchanged"
    changed = create(url, *BUTTON, "--goal", "order:server", "--owner", "ana")
    assert changed.splitlines()[0] == "button color: changed: owner"


def test_the_same_command_again_keeps_the_plan(url: str) -> None:
    options = ("e", "--variant", "blue", "--variant", "red", "--goal", "signup")
    create(url, *options)
    said(run("sample-size", "--rate", "10%", "--lift", "20%", "--save", "e", "--url", url))
    plan = definition(url, "e")["planned_visitors"]
    assert plan > 0
    assert create(url, *options).startswith("e: unchanged\n")
    count("e", {"blue": 1})
    assert create(url, *options).startswith("e: unchanged\n")
    assert definition(url, "e")["planned_visitors"] == plan


def test_the_words_of_a_goal_hold_numbers(url: str) -> None:
    goals = ("order:primary,value,cap=500,server", "refund:guardrail,margin=1.1%",
             "time:value,cap=0.5", "click:guardrail,margin=0.02")  # fmt: skip
    create(url, *BUTTON, *(word for goal in goals for word in ("--goal", goal)))
    declared = {goal["name"]: goal for goal in definition(url, "button color")["goals"]}
    assert (declared["order"]["kind"], declared["order"]["cap"]) == ("value", 500)
    assert declared["time"]["cap"] == 0.5
    assert (declared["refund"]["margin"], declared["click"]["margin"]) == (0.011, 0.02)


@pytest.mark.parametrize(
    ("goal", "complaint_about"),
    [
        ("g:value", "goals[1].cap is missing: a goal of the kind value needs it"),
        ("g:cap=5", "goals[1].cap is for goals of the kind value only"),
        ("g:value,cap=nan", "goals[1].cap must be a number from 0.01 to"),
        ("g:guardrail,margin=300%", "goals[1].margin must be a lift between 0 and 1"),
        ("g:guardrail,margin=nan%", "goals[1].margin must be a lift between 0 and 1"),
        *((f"g:{word}", f"'{word}' is not a word for a goal: after the colon stand primary, ")
          for word in ("cap", "cap=", "cap=5%", "margin=2 percent", "weight=5", "")),
    ],
)  # fmt: skip
def test_numbers_of_a_goal_that_are_none(url: str, goal: str, complaint_about: str) -> None:
    done = run("create", *BUTTON, "--goal", goal, "--url", url)
    assert done.exit_code in (1, 2)
    assert complaint_about in done.stderr.splitlines()[-1]


def test_an_experiment_is_declared_after_its_first_event(url: str) -> None:
    count("button color", {"blue": 3, "red": 2})
    assert create(url, *BUTTON).startswith("button color: declared, after its first event\n")
    line = complaint(run("create", *BUTTON, "--planned-visitors", "9", "--url", url))
    assert line.startswith("an experiment that is declared after its first event has no plan: ")


def test_a_change_after_the_first_event_is_refused_in_one_line(url: str) -> None:
    create(url, *BUTTON)
    BackendClient(url).track("button color", "red", "participate", "1")
    line = complaint(run("create", *BUTTON, "--goal", "x:primary", "--url", url))
    assert line == (
        "goals[0].role cannot change after the first event: "
        "`gimel create NEW --like OLD` starts a new experiment"
    )
    line = complaint(run("settings", "button color", "--weights", "blue=1,red=2", "--url", url))
    assert line.startswith("weights cannot change after the first event: ")


def test_like_copies_a_definition(url: str) -> None:
    old = {
        "variants": [{"name": "a", "value": 1}, {"name": "b", "value": 2}],
        "goals": [{"name": "g"}], "flag": True, "owner": "ana", "state": "stopped",
    }  # fmt: skip
    BackendClient(url).declare("old", old, "n")
    arguments = ("--like", "old", "--namespace", "n", "--owner", "ben")
    create(url, "new", *arguments, "--variant", "b=90", "--variant", "a=10")
    found = BackendClient(url).experiment("new", "n")
    assert found["state"] == "running"
    assert found["definition"] == definition(url, "old", "n") | {
        "owner": "ben",
        "variants": [
            {"name": "b", "weight": 90, "value": 2}, {"name": "a", "weight": 10, "value": 1}
        ],
    }  # fmt: skip
    line = complaint(
        run("create", "x", *arguments, "--variant", "c", "--variant", "a", "--url", url)
    )
    assert line == "variants[0].value is missing, but other variants have a value"
    count("open", {"a": 1})
    line = complaint(run("create", "x", "--like", "open", "--url", url))
    assert line == "open is not declared: it has no definition to copy"


def test_a_file_is_declared_whole(url: str, tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    variants = [{"name": "a=b:c"}, {"name": "b"}]
    first = {"experiment": HOSTILE, "variants": variants}
    second = {"experiment": "e2", "namespace": "n", "variants": variants}
    file.write_text(json.dumps([first, second]))
    assert create(url, "--file", str(file)).splitlines() == [
        "\\u{202e}[red]x\\u{2066} 'y': created", "e2: created"
    ]  # fmt: skip
    BackendClient(url).track("e2", "b", "participate", "1", "n")
    file.write_text(json.dumps([first | {"owner": "ana"}, second, second | {"experiment": "e3"}]))
    assert create(url, "--file", str(file)).splitlines()[0].endswith(": changed: owner")
    second["variants"] = variants[::-1]
    file.write_text(json.dumps([first, second, second | {"experiment": "e4"}]))
    stopped = run("create", "--file", str(file), "--url", url)
    assert stopped.exit_code == 1
    assert stopped.stderr.startswith(f"Error: {file}[1]: variants cannot change after the first")
    assert [each["experiment"] for each in BackendClient(url).experiments()] == [HOSTILE]
    assert [each["experiment"] for each in BackendClient(url).experiments("n")] == ["e2", "e3"]


def test_a_file_with_a_mistake_declares_nothing(url: str, tmp_path: Path) -> None:
    file = tmp_path / "e.json"
    good = {"experiment": "e", "variants": [{"name": "a"}, {"name": "b"}]}
    file.write_text(json.dumps([good, good | {"experiment": "f", "goals": [{"nam\n": "g"}]}]))
    result = run("create", "--file", str(file), "--url", url)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"Error: {file}[1]: goals[0].name is missing",
        f'{file}[1]: goals[0].nam\\u{{a}} is unknown; did you mean "name"?',
    ]
    assert BackendClient(url).experiments() == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "give a NAME and its variants, or --file"),
        (("e", "--variant", "a"), "an experiment has two variants or more: "),
        (("e", "--file", "e.json"), "--file holds whole definitions: "),
        (("--file", "e.json", "--owner", "ana"), "--file holds whole definitions: "),
        (
            ("e", "--variant", "a=x"),
            "Invalid value for '--variant': must look like blue or blue=50",
        ),
        (
            ("e", "--goal", "g:best"),
            "Invalid value for '--goal': 'best' is not a word for a goal: ",
        ),
    ],
)
def test_wrong_options(arguments: tuple[str, ...], reason: str) -> None:
    result = run("create", *arguments, "--url", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"Error: {reason}")


def test_what_options_say_together_is_checked_before_anything_is_sent() -> None:
    arguments = ("e", "--variant", "a=1", "--variant", "b=-1", "--url", "http://127.0.0.1:9")
    line = complaint(run("create", *arguments))
    assert line == "variants[1].weight must be a number from 0 to 1,000,000,000"


# show


def show(url: str, name: str, *options: str) -> str:
    return said(run("show", name, "--url", url, *options))


def test_everything_is_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {
        "hypothesis": "Red draws\nthe eye", "owner": "ana", "link": "https://example.org/",
        "variants": [{"name": "blue", "weight": 3, "value": "#00f"},
                     {"name": "red", "weight": 1, "value": "#f00"}],
        "goals": [{"name": "signup"}, {"name": "click", "kind": "total"},
                  {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.02},
                  {"name": "revenue", "kind": "value", "from": "server", "cap": 5000}],
        "baseline": "red", "planned_visitors": 40000, "traffic": 0.5, "flag": True,
        "equivalence": 0.01,
    }  # fmt: skip
    client = BackendClient(url)
    client.declare("e", body)
    client.declare("e", body | {"traffic": 0.75})
    now = [0.0]
    monkeypatch.setattr(process.counters(), "_clock", lambda: now[0])
    client.track("e", "Blue", "participate", "1")
    client.track("e", HOSTILE, "participate", "1")
    now[0] = 61.0
    client.track("e", "red", "click", "1")
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE", show(url, "e"))
    assert [line.rstrip() for line in text.splitlines()] == [
        "e",
        "State        running, created DATE UTC",
        "Hypothesis   Red draws",
        "             the eye",
        "Owner        ana",
        "Link         https://example.org/",
        'Variants     blue 75.0%, value "#00f"',
        '             red 25.0%, baseline, value "#f00"',
        "Goals        signup: primary",
        "             click: secondary, counts every time",
        "             refund: guardrail, lower is better, margin 2.00%",
        "             revenue: secondary, an amount up to 5,000, needs a key",
        "Plan         40,000 visitors",
        "Traffic      0.75 of all visitors",
        "Equivalence  lifts within ±1.00%",
        "Flag         yes, for OpenFeature",
        "Counting     hyperloglog, 64 shards, secret hash",
        "Ignored      at least 2 events, undeclared variant '\\u{202e}[red]x\\u{2066} 'y'',",
        "             'Blue'",
        "             at least 1 event, goal needs a visitor 'click'",
        "Changes      DATE UTC, no key: traffic 0.75",
        "             DATE UTC, no key: variants, goals, baseline red,",
        "             hypothesis Red draws the eye, owner ana, link https://example.org/,",
        "             planned_visitors 40000, traffic 0.5, flag true, equivalence 0.01",
    ]


def test_bots_are_explained(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create(url, *BUTTON)
    last = [{"reason": "bot", "experiment": "e", "goal": "participate", "variant": "red"}]
    found = BackendClient(url).experiment("button color") | {
        "ignored": {"reasons": {}, "last": last}
    }
    monkeypatch.setattr(BackendClient, "experiment", lambda *_: found)
    assert "headless browser of your own tests" in " ".join(show(url, "button color").split())


def test_an_undeclared_experiment_is_shown(url: str) -> None:
    count("open", {"a": 3, HOSTILE: 3}, {"g": {"a": 1}})
    lines = [line.rstrip() for line in show(url, "open").splitlines()]
    assert lines[1] == "Undeclared: any variant and goal counts. `gimel create` declares it."
    assert "Goals     g: primary" in lines
    assert f"          {HOSTILE}" not in lines
    line = complaint(run("show", "open", "--json", "--url", url))
    assert line == "open is not declared: it has no definition to copy"


def test_what_json_prints_is_a_file_for_create(url: str, tmp_path: Path) -> None:
    create(url, *BUTTON, "--namespace", "n", "--owner", "ana")
    file = tmp_path / "e.json"
    file.write_text(show(url, "button color", "--json", "--namespace", "n"))
    assert json.loads(file.read_text())["namespace"] == "n"
    assert create(url, "--file", str(file)) == "button color: unchanged\n"
