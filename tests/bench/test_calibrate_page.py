"""The two pages of the statistics: each table has its place and its name, and figures hold."""

import re
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench import calibrate
from gimel.backend.results.between import normal_distance
from gimel.backend.results.comparison import Arm, Comparison, boundary, compare, counter_variance
from gimel.backend.results.decision import ANY_TIME_ALPHA, FINAL_ALPHA, shrinkage
from gimel.terminal.sample_size import power

ROOT = Path(__file__).parent.parent.parent
TABLES_PAGE = (ROOT / "docs/statistics-tables.md").read_text("utf-8")
PAGE = (ROOT / "docs/statistics.md").read_text("utf-8") + TABLES_PAGE
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TABLES = calibrate.all_sections().keys()
E64 = calibrate.relative_error(64)


def test_each_table_has_its_title_and_its_place_once() -> None:
    title, place = r'^\*\*Table "([a-z-]+)"\*\*: [^<|]+?\n\n', r"<!-- calibrate: ([a-z-]+) -->\n"
    places = re.findall(rf"{title}{place}(?:\|.+\|\n)+<!-- end -->", TABLES_PAGE, re.M)
    assert sorted(title for title, _ in places) == sorted(TABLES)
    assert all(title == marker for title, marker in places)
    assert PAGE.count("<!-- calibrate: ") == PAGE.count("<!-- end -->") == len(TABLES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_of_the_statistics_are_named_and_exist(document: Path) -> None:
    text = " ".join(document.read_text("utf-8").split())
    assert set(re.findall(r'\b[Tt]able "([^"]+)"', text)) <= set(TABLES)
    assert not re.search(r"\btable \(?[a-z]\b\)?[);,.]", text)


def test_a_table_without_a_place_is_not_written(tmp_path, monkeypatch) -> None:
    page = tmp_path / "statistics-tables.md"
    page.write_text("no markers\n", "utf-8")
    monkeypatch.setattr(calibrate, "DOCS", tmp_path)
    with pytest.raises(SystemExit, match="no place for drift"):
        calibrate.write("drift", "| a |")
    assert page.read_text("utf-8") == "no markers\n"


def test_the_summary_has_figures_of_the_tables() -> None:
    rows = re.findall(r'^\| .* \| \*?([^|]*?)\*? \| "([a-z-]+)" \|$', PAGE, re.M)
    assert len(rows) >= 10
    for found, name in rows:
        table = TABLES_PAGE.partition(f"<!-- calibrate: {name} -->")[2].partition("<!-- end -->")[0]
        figures = re.findall(r"\d+\.\d+", found)
        assert figures
        assert all(re.search(rf"\| {figure}% \|", table) for figure in figures), (name, found)


def test_the_summary_has_the_extremes_of_healthy_splits() -> None:
    of_64_shards = [
        float(row)
        for row in re.findall(r"^\|.*\| as intended \| [\d.]+% \| ([\d.]+)% \|", TABLES_PAGE, re.M)
    ]
    assert len(of_64_shards) == 7
    assert f"| {min(of_64_shards):.3f} to {max(of_64_shards):.3f} % |" in PAGE


def rare(relative_error: float = 0.0) -> Comparison:
    return compare(Arm(15, 50_000, relative_error), Arm(0, 50_000, relative_error))


def lift_error(shards: int) -> float:
    """The counting error of a lift: a million visitors an arm, half of whom convert."""
    error = calibrate.relative_error(shards)
    return sqrt(2 * counter_variance(1e6, error) + 2 * counter_variance(5e5, error))


def ratio_of_power(shards: int) -> float:
    shrunk = power(0.5, 0.004, 1e6, relative_error=calibrate.relative_error(shards))
    return shrunk / power(0.5, 0.004, 1e6)


def kappa() -> float:
    """The largest κ at 1,000 conversions: four full counters."""
    return 4 * E64**2 * 1000 / 4


@pytest.mark.parametrize(
    ("sentence", "figures"),
    [
        (
            "The curve has 0.60, 0.76 and 0.81 %",
            [100 * sqrt(counter_variance(10**n, 0.0081)) for n in (4, 5, 6)],
        ),
        ("has p = 0.0012", [compare(Arm(50, 1000), Arm(0, 1000)).p_value]),
        ("it reaches 3.04 standard errors", [boundary(5000)]),
        ("3.36 at 1,000 visitors and 3.66 at a million", [boundary(1000), None, boundary(1e6)]),
        ("about 0.001 at most", [kappa()]),
        ("it is 0.0017, and that", [rare().p_value_always_valid]),
        ("that of one look is 0.017.", [rare().p_value]),
        (
            "Fisher's exact test has 0.00006",
            [stats.fisher_exact([[15, 49_985], [0, 50_000]])[1]],
        ),
        ("s is 0.64 at z = 2 and 0.78 at", [shrinkage(2), None, shrinkage(3.6)]),
        ("sampling error of the lift is 0.14 %", [100 * sqrt(2 / 1e6)]),
        ("Four counters add 0.15 %", [100 * lift_error(64)]),
        (
            "0.88 times with 256 and 0.97 with 1,024",
            [ratio_of_power(256), None, ratio_of_power(1024)],
        ),
        ("**At any time**, α = 0.01", [ANY_TIME_ALPHA]),
        ("**At the final look**, α = 0.04", [FINAL_ALPHA]),
        ("About 32 visitors in an arm hit 25 of 64", [None, 64 * (1 - (63 / 64) ** 32)]),
    ],
)
def test_the_figures_of_formulas_are_those_of_the_code(sentence, figures) -> None:
    assert sentence in " ".join(PAGE.split())
    for said, computed in zip(re.findall(r"\d[\d,]*(?:\.\d+)?", sentence), figures, strict=False):
        if computed is not None:
            digits = len(said.partition(".")[2])
            assert round(computed, digits) == float(said)


def test_wallace_is_within_what_is_said() -> None:
    assert "within 0.04 % from 63 degrees of freedom on" in " ".join(PAGE.split())
    for freedom in np.geomspace(63, 1000, 20).tolist():
        for distance in np.linspace(0.5, 12, 40).tolist():
            exact = stats.norm.isf(stats.t.sf(distance, freedom))
            assert normal_distance(distance, freedom) == pytest.approx(exact, rel=0.0004)


@pytest.mark.parametrize(
    ("rate", "delta", "ours"), [(0.02, 6.3, 4.2), (0.05, 5.3, 4.7), (0.1, 5.2, 4.9)]
)
def test_the_log_test_errs_less_often_than_the_delta_method(rate, delta, ours) -> None:
    """Enumerated: A/A, 1,000 visitors an arm."""
    flat = " ".join(PAGE.split())
    assert f"{delta} % " in flat
    assert re.search(rf"The log test has [^.]*(?:\.\d[^.]*)*\b{ours}\b", flat)
    chances = stats.binom.pmf(np.arange(1001), 1000, rate)
    likely = np.flatnonzero(chances > 1e-9)
    a, b = np.meshgrid(likely[likely > 0], likely)
    weights = np.outer(chances[likely], chances[likely[likely > 0]])
    shares = a / 1000, b / 1000
    one, base = ((1 - share) * share / 1000 for share in (shares[1], shares[0]))
    spread = np.sqrt(one / shares[0] ** 2 + shares[1] ** 2 * base / shares[0] ** 4)
    found = np.abs(shares[1] / shares[0] - 1) > 1.959964 * spread
    assert round(100 * float((weights * found).sum()), 1) == delta
    smooth = [(each + 0.5) / 1001 for each in (a, b)]
    z = np.log(smooth[1] / smooth[0]) / np.sqrt(sum((1 / each - 1) / 1001 for each in smooth))
    assert round(100 * float((weights * (np.abs(z) > 1.959964)).sum()), 1) == ours
