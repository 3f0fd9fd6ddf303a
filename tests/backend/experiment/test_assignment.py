"""The assignment of visitors: equal in Python and JavaScript, uniform, independent, and stable."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from gimel.backend.experiment.assignment import assigned_variant, murmur3, takes_part

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "docs/assignment-vectors.json").read_text())
VISITORS = 1_000_000
BUCKETS = 100


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_the_hash_is_murmur3(data: bytes, seed: int) -> None:
    assert murmur3(data, seed) == mmh3.hash(data, seed, signed=False)


def test_the_published_vectors_hold_in_python() -> None:
    for text, seed, expected in VECTORS["murmur3"]:
        assert murmur3(text.encode(), seed) == expected
    for each in VECTORS["assignments"]:
        key = each["experiment"], each["visitor"]
        assert takes_part(*key, each["traffic"]) is each["takes_part"]
        assert assigned_variant(*key, each["weights"]) == each["variant"]


@pytest.mark.slow
def test_the_published_vectors_hold_in_javascript() -> None:
    script = f"""
      import {{ readFileSync }} from "node:fs";
      import {{ assignedVariant, murmur3, takesPart }}
        from "{ROOT}/gimel/backend/browser/assignment.mjs";
      const {{ murmur3: hashes, assignments }} = JSON.parse(readFileSync(
        "{ROOT}/docs/assignment-vectors.json", "utf8"));
      console.log(JSON.stringify([
        hashes.map(([text, seed]) => murmur3(text, seed)),
        assignments.map(({{ experiment, visitor, traffic, weights }}) =>
          [takesPart(experiment, visitor, traffic), assignedVariant(experiment, visitor, weights)]),
      ]));
    """
    node = ["node", "--input-type=module", "--eval", script]
    printed = subprocess.run(node, check=True, capture_output=True, text=True).stdout
    hashes, assignments = json.loads(printed)
    assert hashes == [expected for _, _, expected in VECTORS["murmur3"]]
    assert assignments == [[each["takes_part"], each["variant"]] for each in VECTORS["assignments"]]


def _buckets(experiment: str, seed: int) -> list[int]:
    """Each visitor's bucket. `test_the_hash_is_murmur3` allows the quick library here."""
    return [
        mmh3.hash(f"{experiment}\n{visitor}", seed, signed=False) * BUCKETS >> 32
        for visitor in range(VISITORS)
    ]


@pytest.mark.slow
def test_visitors_are_spread_evenly_and_independently() -> None:
    color, color_traffic = _buckets("button color", 0), _buckets("button color", 1)
    size = _buckets("button size", 0)
    for each in (color, color_traffic, size):
        assert chisquare(list(Counter(each).values())).pvalue > 0.001
    for other in (color_traffic, size):
        pairs = Counter(zip(color, other, strict=True))
        table = [[pairs[row, column] for column in range(BUCKETS)] for row in range(BUCKETS)]
        assert chi2_contingency(table).pvalue > 0.001


@pytest.mark.parametrize(
    "weights", [{"a": 1, "b": 1}, {"a": 80, "b": 20}, {"c": 1, "a": 2, "b": 7}]
)
def test_variants_get_their_shares(weights: dict[str, float]) -> None:
    counted = Counter(assigned_variant("e", f"v{n}", weights) for n in range(20_000))
    total = sum(weights.values())
    expected = [20_000 * share / total for share in weights.values()]
    assert chisquare([counted[name] for name in weights], expected).pvalue > 0.001


def test_more_traffic_keeps_who_took_part_already() -> None:
    visitors = [f"v{n}" for n in range(5_000)]
    taking_part = [
        {visitor for visitor in visitors if takes_part("e", visitor, traffic)}
        for traffic in (0, 0.1, 0.5, 1)
    ]
    assert not taking_part[0]
    assert taking_part[1] < taking_part[2] < taking_part[3] == set(visitors)
    assert 400 < len(taking_part[1]) < 600


@given(
    st.dictionaries(st.text(min_size=1), st.floats(0, 1e6), min_size=1),
    st.text(),
)
def test_an_assigned_variant_has_a_weight(weights: dict[str, float], visitor: str) -> None:
    weights |= {"always": 1.0}
    assert weights[assigned_variant("e", visitor, weights)] > 0


def test_the_order_of_the_variants_does_not_matter() -> None:
    weights: dict[str, Any] = {"\U0001d54f": 1, "\ufb01": 2, "10": 3, "9": 4}
    turned = dict(reversed(weights.items()))
    for number in range(500):
        visitor = f"v{number}"
        assert assigned_variant("e", visitor, weights) == assigned_variant("e", visitor, turned)
