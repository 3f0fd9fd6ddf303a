"""What the terminal, a pipe and a spreadsheet get to see of the results."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from gimel.client import BackendClient
from gimel.terminal import results
from gimel.terminal.text import plain
from tests.support.commands import complaint, count, process, run, said

HOSTILE = (
    "[red]red[/red] [/] [bold",
    "\u202egnp.exe\u2066\u200f",
    "=1+1",
    "  @SUM(A1)",
    "＝cmd|' /C calc'!A0",
    "אדום: 50%",
    'quote" comma, semi; #',
    "非常に長い名前" * 8,
    "👩‍👧 zero\u200bwidth",
)


@pytest.fixture(name="shop")
def shop_fixture(url: str) -> str:
    """A backend with an experiment that has a winner, one that is early, and an ill-divided one."""
    count(
        "button color",
        {"blue": 4000, "red": 4000},
        {"signup": {"blue": 400, "red": 700}, "paid": {"blue": 40, "red": 45}},
    )
    count("early", {"a": 10})
    count("odd", {"a": 4000, "b": 1000}, {"g": {"a": 100, "b": 30}})
    return url


def table(*arguments: str) -> str:
    return said(run("results", *arguments))


def lines_of(text: str, experiment: str) -> list[str]:
    """An experiment's part of what was printed."""
    (part,) = [
        part
        for part in re.split(r"^(?=.* started \d)", text, flags=re.M)
        if part.startswith(f"{experiment}  ")
    ]
    return part.rstrip().splitlines()


def row_of(lines: list[str], label: str) -> str:
    """A variant's row in the first table of these lines."""
    start = next(n for n, line in enumerate(lines) if line.startswith("Variant "))
    return next(line for line in lines[start:] if line.startswith(f"{label} "))


def test_a_winner_in_words_and_numbers(shop: str) -> None:
    lines = lines_of(table("--url", shop), "button color")
    text = "\n".join(lines)
    assert re.match(
        r"button color  running, started \d{4}-\d\d-\d\d, [78],\d{3} visitors", lines[0]
    )
    assert lines[1].startswith("✓ visitors are split as intended (p = ")
    assert "counts within ±0.20%" in lines[1]
    assert "signup  ▲ winner: red" in text
    assert "paid  … keep collecting" in text
    assert "red beats blue: its lift is between +" in text
    row = row_of(lines[text[: text.index("signup")].count("\n") :], "red")
    assert re.search(r"\d\.\d\d% ±\d\.\d\d", row)
    assert re.search(r"\+\d+\.\d%", row)
    assert "●" in row
    assert row.index("│") < row.index("●")  # better than the baseline: right of zero


def test_the_numbers_are_those_of_the_wire(shop: str) -> None:
    found = BackendClient(shop).experiment("button color")
    lines = lines_of(table("button color", "--url", shop), "button color")
    goal = next(each for each in found["goals"] if each["goal"] == "signup")
    start = next(n for n, line in enumerate(lines) if line.startswith("signup"))
    for row in goal["results"]:
        line = row_of(lines[start:], row["label"])
        assert f"{row['trials']:,}" in line
        assert f"{row['successes']:,}" in line
        assert f"{row['rate']:.2%}" in line
        if row["lift"] is not None:
            assert f"{row['lift']:+.1%}" in line


def test_an_early_and_an_ill_divided_experiment(shop: str) -> None:
    text = table("--url", shop)
    early, odd = lines_of(text, "early"), "\n".join(lines_of(text, "odd"))
    assert early[1].startswith("· too few visitors to check the split")
    assert early[-1].split() == ["a", "10"]
    assert "✗ the split is wrong (p < 0.0001): do not trust these numbers" in odd
    assert re.search(r"\n  a (79|80)\.\d% of visitors, 50\.0% intended\n", odd)
    # The causes are there once, and not for each goal again.
    assert odd.count("The usual causes") == 1
    assert "→ Fix the split first" in odd
    assert "✗ do not trust these numbers" in odd


def test_one_goal_only(shop: str) -> None:
    text = table("button color", "--url", shop, "--goal", "paid")
    assert "paid" in text
    # It is named as the goal that decides.
    assert text.replace("Decide by signup.", "").count("signup") == 0
    rows = list(csv.DictReader(io.StringIO(table("--csv", "--url", shop, "--goal", "paid"))))
    assert {row["goal"] for row in rows} == {"paid"}


def test_the_matrix_sets_every_variant_against_every_other(shop: str) -> None:
    text = table("button color", "--url", shop, "--matrix", "--goal", "signup")
    heading = "button color, signup: lift of each row over each column"
    assert heading in text.splitlines()
    _, columns, blue, red, *_ = text[text.index(heading) :].splitlines()
    assert columns.split() == ["1", "2"]
    assert re.fullmatch(r"1 blue +· +-\d+\.\d%\* ", blue)
    assert re.fullmatch(r"2 red +\+\d+\.\d%\* +· ", red)
    assert heading not in table("button color", "--url", shop)


def test_nothing_yet(url: str) -> None:
    assert table("--url", url, "--namespace", "none") == (
        "There is no experiment in namespace none yet.\nNamespaces in use: none\n"
    )
    assert json.loads(table("--url", url, "--json")) == []
    (heading,) = csv.reader(io.StringIO(table("--url", url, "--csv")))
    assert heading[:5] == ["experiment", "goal", "kind", "verdict", "variant"]


def test_a_namespace_of_its_own(url: str) -> None:
    count("e", {"a": 5}, namespace="staging & co")
    assert "no experiment" in table("--url", url)
    assert table("--url", url, "--namespace", "staging & co").startswith("e  running")


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",), ("--matrix",)])
def test_an_unknown_experiment(url: str, form: tuple[str, ...]) -> None:
    line = complaint(run("results", "none", "--url", url, *form))
    assert line == "there is no experiment none in namespace alephbet"


def test_json_is_what_the_backend_answers(shop: str) -> None:
    assert json.loads(table("--json", "--url", shop)) == BackendClient(shop).experiments()
    assert json.loads(table("odd", "--json", "--url", shop)) == [
        BackendClient(shop).experiment("odd")
    ]


def hostile(url: str) -> None:
    for name in HOSTILE:
        count(
            name,
            dict.fromkeys(HOSTILE[:4], 200) | {"a": 200},
            {name: dict.fromkeys(HOSTILE[:4], 20) | {"a": 20, HOSTILE[1]: 120}},
        )


def test_hostile_names_in_the_table(url: str) -> None:
    hostile(url)
    text = table("--url", url, "--matrix")
    for character in set(text) - {"\n"}:
        assert unicodedata.category(character)[0] not in "C", repr(character)
    assert "[red]red[/red] [/]" in text  # not taken for markup
    assert "winner: \\u{202e}gnp.exe" in text
    assert "\n\\u{202e}gnp.exe\\u{2066}\\u{200f} beats " in text
    assert all(cell_len(line) <= 80 for line in text.splitlines())


def test_hostile_names_in_a_spreadsheet(url: str) -> None:
    hostile(url)
    rows = list(csv.DictReader(io.StringIO(table("--csv", "--url", url))))
    assert len(rows) == 5 * len(HOSTILE)
    for row in rows:
        for field in ("experiment", "goal", "variant"):
            assert not row[field].strip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert {row["experiment"].removeprefix("'") for row in rows} == set(HOSTILE)


@given(st.text(st.sampled_from(" \t\r\n=+-@＝＋－＠'\"a,;\u00a0\u3000"), max_size=6))
def test_a_cell_is_no_formula_and_comes_back(name: str) -> None:
    file = io.StringIO(newline="")
    found = _experiment({"a": 1, "b": 1}, name)
    results.write_csv(file, [found])
    _, row, _ = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert not row[0].lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert row[0] in (name, f"'{name}")
    assert row[0] == name or name.lstrip() != row[0].lstrip()


def test_the_csv_holds_the_numbers_of_the_wire(shop: str) -> None:
    rows = list(csv.DictReader(io.StringIO(table("--csv", "--url", shop))))
    wire = [
        (found, goal, row)
        for found in BackendClient(shop).experiments()
        for goal in found["goals"]
        for row in goal["results"]
    ]
    assert len(rows) == len(wire) == 6
    for cells, (found, goal, row) in zip(rows, wire, strict=True):
        assert (cells["experiment"], cells["goal"]) == (found["experiment"], goal["goal"])
        assert cells["verdict"] == goal["verdict"]["state"]
        assert int(cells["trials"]) == row["trials"]
        assert float(cells["rate"]) == row["rate"]
        low, high = row["lift_interval"] or ("", "")
        assert (cells["lift_interval_low"], cells["lift_interval_high"]) == (str(low), str(high))


def _experiment(trials: dict[str, int], name: str = "e", **goals: dict[str, int]) -> dict[str, Any]:
    """An experiment as the wire says it, whatever its size."""
    from gimel.backend.experiment.definition import Definition
    from gimel.backend.results.counts import ExperimentCounts

    totals = tuple(goal for goal in goals if goal.startswith("total"))
    of = goals or {"g": dict.fromkeys(trials, 0)}
    settings = Definition(totals=totals)
    return ExperimentCounts(name, 64, "2026-01-01T00:00:00Z", settings, trials, of).describe()


def shown(*experiments: dict[str, Any], width: int = 80) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    results.show(console, experiments)
    results.show_matrix(console, experiments)
    return file.getvalue().splitlines()


SIZES = {
    "nothing": _experiment({"a": 0, "b": 0}),
    "one variant": _experiment({"a": 100}, g={"a": 5}),
    "no conversions": _experiment({"a": 100, "b": 100}),
    "all convert": _experiment({"a": 100, "b": 100}, g={"a": 100, "b": 100}),
    "a baseline of nobody": _experiment({"a": 0, "b": 100}, g={"a": 0, "b": 10}),
    "per visitor": _experiment({"a": 100, "b": 100}, total={"a": 250, "b": 120}),
    "large": _experiment({"a": 10**9, "b": 10**9}, g={"a": 10**8, "b": 2 * 10**8}),
    "long names": _experiment(
        {"control": 12_345_678, "variant of a long name": 98_765_432},
        g={"control": 1_234_567, "variant of a long name": 234_567},
    ),
    "ten": _experiment(
        {f"variant number {n}": 123_456 for n in range(10)},
        g={f"variant number {n}": 12_345 + n for n in range(10)},
    ),
}


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("experiment", SIZES.values(), ids=SIZES.keys())
def test_every_size_fits(experiment: dict[str, Any], width: int) -> None:
    lines = shown(experiment, width=width)
    assert all(cell_len(line) <= width for line in lines)
    assert not re.search(r"\b(nan|inf|None)\b", "\n".join(lines))
    rows = lines[next(n for n, line in enumerate(lines) if line.startswith("Variant ")) + 1 :]
    for row in experiment["variants"]:
        # Names may be cut, and never a number.
        line = next(line for line in rows if line.startswith(row["label"][:4]))
        assert f"{row['trials']:,}" in line.split()
        assert line.count("…") <= 1


def test_a_matrix_of_twenty_can_be_read() -> None:
    labels = [f"one of twenty, {letter}" for letter in "abcdefghijklmnopqrst"]
    trials = dict.fromkeys(labels, 10**6)
    successes = {label: 30_000 * (number + 1) for number, label in enumerate(labels)}
    lines = shown(_experiment(trials, g=successes))
    assert all(cell_len(line) <= 80 for line in lines)
    start = next(n for n, line in enumerate(lines) if "lift of each row" in line)
    text = "\n".join(lines[start:])
    assert text.count("·") == 20
    assert len(re.findall(r"(?:[+-]\d+\.\d|>\+1,000)%\*", text)) == 20 * 19
    assert "20 one of twenty," in text
    assert ">+1,000%*" in text


def test_a_matrix_of_nothing_is_not_drawn() -> None:
    assert not any("lift of each row" in line for line in shown(SIZES["nothing"]))


def test_a_pipe_gets_no_escape_sequence_and_80_columns(shop: str) -> None:
    done = process("results", "--matrix", "--url", shop)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert all(cell_len(line) <= 80 for line in done.stdout.splitlines())
    assert done.stdout == table("--matrix", "--url", shop)


def in_a_terminal(*arguments: str, **env: str) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gimel", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"} | env,
    ) as child:
        os.close(theirs)
        written = b""
        while chunk := _read(ours):
            written += chunk
        assert child.wait(30) == 0
    os.close(ours)
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed
        return b""


COLOUR = re.compile(r"\x1b\[[\d;]*?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[\d;]*m")


@pytest.mark.slow
def test_colours_in_a_terminal_unless_unwanted(shop: str) -> None:
    coloured = in_a_terminal("results", "--url", shop)
    assert COLOUR.search(coloured)
    assert "\x1b[1;32m▲ winner: red" in coloured
    bare = in_a_terminal("results", "--url", shop, NO_COLOR="1")
    assert not COLOUR.search(bare)
    # Neither black nor white is ever asked for: both are somebody's background.
    assert not re.search(r"\x1b\[[\d;]*(?:30|37|40|47|90|97)m", coloured)
    words = re.sub(r"\x1b\[[\d;]*m", "", bare).replace("\r\n", "\n")
    assert words == table("--url", shop)


@given(st.text())
def test_a_plain_name_moves_no_cursor(name: str) -> None:
    assert plain(name).isprintable()
    if name.isprintable():
        assert plain(name) == name


def test_a_reader_who_leaves_early_gets_no_traceback(shop: str, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        command = [sys.executable, "-u", "-m", "gimel", "results", "--json", "--url", shop]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file) as child:
            assert child.stdout
            child.stdout.close()
            child.wait(30)
    assert "Traceback" not in errors.read_text()


def test_a_total_of_a_handful_of_visitors_has_a_row(url: str) -> None:
    count("tiny", {"a": 1}, {"go": {"a": 2}})
    lines = lines_of(table("--url", url), "tiny")
    assert re.search(r"^a +1 +2 +2\.000 +baseline", lines[-1])


def test_a_goal_that_nobody_has_is_said_to_be_none(url: str) -> None:
    count("e", {"a": 5}, {"g": {"a": 1}})
    refused = run("results", "--goal", "nosuch", "--url", url)
    assert refused.exit_code == 1
    assert "there is no goal nosuch" in refused.output


def test_a_plan_that_found_nothing(url: str) -> None:
    variants = [{"name": "blue"}, {"name": "red"}]
    body = {"variants": variants, "goals": [{"name": "signup"}], "planned_visitors": 400}
    BackendClient(url).declare("e", body | {"counting": "exact"})
    events = [
        {"experiment": "e", "variant": variant, "event": event, "uuid": f"{variant}{number}"}
        for variant in ("blue", "red")
        for event, reached in (("participate", 200), ("signup", 30))
        for number in range(reached)
    ]
    requests.post(f"{url}/e", json=events, timeout=60).raise_for_status()
    text = " ".join(table("e", "--url", url).split())
    assert "signup ○ inconclusive" in text
    assert re.search(r"✓ plan fulfilled on 20\d\d-\d\d-\d\d, at 400 of 400 visitors", text)
    assert "are ruled out. Recorded on" in text
    assert "→ Stop, and keep blue." in text
