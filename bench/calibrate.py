"""Simulates experiments whose truth is known, and counts how often the inference is wrong.

    python -m bench.calibrate            full form, about ten minutes; writes the tables of
                                         docs/statistics-tables.md, between its markers
    python -m bench.calibrate --quick    prints the quick form, which the tests run too

Seeds are fixed. Visitors and conversions are drawn exactly; what the counters make of them comes
from HyperLogLogs simulated register by register (registers.py). A look at a growing counter sees
the registers that the look before saw, grown: its error is never drawn afresh.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import calibrate_amounts
from bench.registers import Floats, error_paths, nested_errors
from gimel.backend.results.analysis import analyse
from gimel.backend.results.comparison import Arm, Comparison, compare

DOCS = Path(__file__).resolve().parent.parent / "docs"
SHARD_ERROR = 0.0081
SIZES = (1_000, 10_000, 100_000, 1_000_000)
RATES = (0.02, 0.1, 0.5)
LOOKS = 100


@dataclass
class Bench:
    """How much to simulate, and the error paths drawn so far."""

    runs: int = 20_000
    looked: int = 1_500
    verdicts: int = 400
    alarms: int = 100_000
    pool: int = 1_000
    sizes: tuple[int, ...] = SIZES
    rates: tuple[float, ...] = RATES
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(20261124))
    _paths: dict[tuple[int, ...], Floats] = field(default_factory=dict)

    def errors(self, count: float, shards: int, looks: int, runs: int) -> Floats:
        """Relative errors [runs, looks] of counters that grow evenly to `count`.

        A counter's error is the mean of its shards', which are drawn from a pool.
        """
        counts = [count * (look + 1) / looks for look in range(looks)]
        return self.errors_at(counts, shards, runs)

    def errors_at(self, counts: Sequence[float], shards: int, runs: int) -> Floats:
        """Relative errors [runs, looks] of counters that have each of `counts` at one look."""
        if not shards:
            return np.zeros((runs, len(counts)))
        paths = self.paths([count / shards for count in counts])
        total = np.zeros((runs, len(counts)))
        for _ in range(shards):
            total += paths[self.rng.integers(0, len(paths), runs)]
        return total / shards

    def paths(self, counts: Sequence[float]) -> Floats:
        """Relative errors [pool, looks] of single shards that have each of `counts` at one look."""
        key = tuple(max(1, round(count)) for count in counts)
        if key not in self._paths:
            pool = self.pool if len(counts) == 1 else self.pool // 2
            paths = error_paths(list(key), pool, self.rng)
            # The estimator has no bias. The pool's own would be a third of 64 shards' error.
            self._paths[key] = paths - paths.mean(axis=0)
        return self._paths[key]

    def arm(
        self,
        size: int,
        rate: float,
        shards: int,
        looks: int,
        runs: int,
        steps: NDArray[np.int64] | None = None,
    ) -> tuple[Floats, Floats]:
        """Conversions and visitors as counted, [runs, looks] each.

        `steps` are the visitors who come before each look, evenly many unless given.
        """
        if steps is None:
            even = np.array([size * (look + 1) // looks for look in range(looks)])
            steps = np.diff(even, prepend=0)
        visitors = steps.cumsum(axis=-1)
        conversions = self.rng.binomial(steps, rate, (runs, looks)).cumsum(axis=1)
        counted = conversions * (1 + self.errors(size * rate, shards, looks, runs))
        return np.rint(counted), np.rint(visitors * (1 + self.errors(size, shards, looks, runs)))


def relative_error(shards: int) -> float:
    return SHARD_ERROR / shards**0.5 if shards else 0.0


def comparisons(
    one: tuple[Floats, Floats], base: tuple[Floats, Floats], shards: int
) -> Iterator[list[Comparison]]:
    """For each run, the comparison at each look."""
    error = relative_error(shards)
    for row in zip(*one, *base, strict=True):
        looks = zip(*(column.tolist() for column in row), strict=True)
        yield [compare(Arm(xb, nb, error), Arm(xa, na, error)) for xb, nb, xa, na in looks]


def share(hits: int, runs: int) -> str:
    return f"{hits / runs:.2%}"


def naive_p_below_5(x_b: Floats, n_b: Floats, x_a: Floats, n_a: Floats) -> int:
    """How often the textbook z-test on the counts as they are says "significant"."""
    pooled = (x_a + x_b) / (n_a + n_b)
    z = (x_b / n_b - x_a / n_a) / np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    return int((np.abs(z) > 1.959964).sum())


def one_look(bench: Bench) -> list[list[object]]:
    """False positives of one look, in A/A experiments."""
    table: list[list[object]] = [
        ["visitors a variant", "rate", "exact", "64 shards", "1 shard", "textbook test, 1 shard"]
    ]
    for size in bench.sizes:
        for rate in bench.rates:
            row: list[object] = [f"{size:,}", f"{rate:.0%}"]
            for shards in (0, 64, 1):
                a, b = (bench.arm(size, rate, shards, 1, bench.runs) for _ in "ab")
                found = comparisons(b, a, shards)
                row.append(share(sum(looks[0].p_value < 0.05 for looks in found), bench.runs))
            row.append(share(naive_p_below_5(*b, *a), bench.runs))
            table.append(row)
    return table


def many_looks(bench: Bench) -> list[list[object]]:
    """A/A experiments with a look after every 1 % of the data: ever significant?"""
    table: list[list[object]] = [
        [
            *("visitors a variant", "rate", "exact", "64 shards", "1 shard"),
            "fixed-horizon p-value looked at as often, 64 shards",
        ]
    ]
    for size in bench.sizes:
        for rate in bench.rates:
            row: list[object] = [f"{size:,}", f"{rate:.0%}"]
            peeked = 0
            for shards in (0, 64, 1):
                a, b = (bench.arm(size, rate, shards, LOOKS, bench.looked) for _ in "ab")
                hits = 0
                for looks in comparisons(b, a, shards):
                    hits += any(look.p_value_always_valid < 0.05 for look in looks)
                    peeked += shards == 64 and any(look.p_value < 0.05 for look in looks)
                row.append(share(hits, bench.looked))
            table.append([*row, share(peeked, bench.looked)])
    return table


def coverage(bench: Bench) -> list[list[object]]:
    """Coverage of the 95 % intervals, at five lifts."""
    lifts = (-0.2, -0.05, 0.0, 0.05, 0.2)
    table: list[list[object]] = [
        [
            "visitors a variant",
            "rate",
            "shards",
            "rate's interval",
            *(f"lift {lift:+.0%}" for lift in lifts),
        ]
    ]
    for size in bench.sizes:
        for rate in bench.rates:
            for shards in (64, 1):
                row: list[object] = [f"{size:,}", f"{rate:.0%}", shards]
                a = bench.arm(size, rate, shards, 1, bench.runs)
                error = relative_error(shards)
                found = [
                    Arm(x, n, error).rate_interval
                    for x, n in zip(a[0][:, 0], a[1][:, 0], strict=True)
                ]
                row.append(
                    share(sum(i is not None and i[0] <= rate <= i[1] for i in found), bench.runs)
                )
                for lift in lifts:
                    b = bench.arm(size, rate * (1 + lift), shards, 1, bench.runs)
                    intervals = [looks[0].lift_interval for looks in comparisons(b, a, shards)]
                    held = sum(i is None or i[0] <= lift <= i[1] for i in intervals)
                    row.append(share(held, bench.runs))
                table.append(row)
    return table


def power(bench: Bench) -> list[list[object]]:
    """Power, compared with that of exact counts."""
    size = bench.sizes[-1]
    table: list[list[object]] = [
        [
            *("rate", "lift", "one look: exact", "64 shards", "ratio"),
            *("any look: exact", "64 shards", "ratio"),
        ]
    ]
    for rate, lifts in {
        0.02: (0.02, 0.03, 0.05),
        0.1: (0.01, 0.012, 0.02),
        0.5: (0.004, 0.01),
    }.items():
        for lift in lifts:
            row: list[object] = [f"{rate:.0%}", f"{lift:+.1%}"]
            once, ever = {}, {}
            for shards in (0, 64):
                a, b = (
                    bench.arm(size, r, shards, LOOKS, bench.looked)
                    for r in (rate, rate * (1 + lift))
                )
                found = list(comparisons(b, a, shards))
                once[shards] = sum(looks[-1].p_value < 0.05 for looks in found)
                ever[shards] = sum(
                    any(look.p_value_always_valid < 0.05 for look in looks) for looks in found
                )
            for hits in (once, ever):
                row += [share(hits[0], bench.looked), share(hits[64], bench.looked)]
                row.append(f"{hits[64] / max(1, hits[0]):.2f}")
            table.append(row)
    return table


def same_uuids(bench: Bench) -> list[list[object]]:
    """AlephBet with user_id: the conversions' uuids are among the visitors'. One look, 1 shard."""
    table: list[list[object]] = [["visitors a variant", "rate", "false positives", "correlation"]]
    for size in [size for size in bench.sizes if 1_000 < size < 1_000_000]:
        for rate in bench.rates[1:]:
            paths = np.array(nested_errors(size, rate, bench.pool, bench.rng))
            arms = []
            for _ in "ab":
                visited, converted = paths[:, bench.rng.integers(0, bench.pool, bench.runs)]
                conversions = bench.rng.binomial(size, rate, bench.runs) * (1 + converted)
                arms.append((np.rint(conversions)[:, None], np.rint(size * (1 + visited))[:, None]))
            hits = sum(looks[0].p_value < 0.05 for looks in comparisons(*arms, 1))
            together = np.corrcoef(paths)[0, 1]
            table.append([f"{size:,}", f"{rate:.0%}", share(hits, bench.runs), f"{together:.2f}"])
    return table


def several_variants(bench: Bench) -> list[list[object]]:
    """Four equal variants, a look at the verdict after every 1 %: ever a winner or a loser?"""
    table: list[list[object]] = [
        ["visitors a variant", "rate", "ever winner or loser", "ever sample-ratio alarm"]
    ]
    for size in bench.sizes[1:3]:  # where counting begins to matter
        drawn = bench.rng.multinomial(4 * size // LOOKS, [0.25] * 4, (bench.verdicts, LOOKS))
        arms = {
            label: bench.arm(size, 0.1, 64, LOOKS, bench.verdicts, drawn[..., place])
            for place, label in enumerate("abcd")
        }
        decided = alarmed = 0
        for run in range(bench.verdicts):
            states = [
                analyse(
                    {v: int(n[run, look]) for v, (_, n) in arms.items()},
                    {"goal": {v: int(x[run, look]) for v, (x, _) in arms.items()}},
                    baseline="a",
                    relative_error=relative_error(64),
                )["goals"][0]["verdict"]["state"]
                for look in range(LOOKS)
            ]
            decided += any(state in ("winner", "loser") for state in states)
            alarmed += "do_not_trust" in states
        table.append(
            [f"{size:,}", "10%", share(decided, bench.verdicts), share(alarmed, bench.verdicts)]
        )
    return table


def drift(bench: Bench) -> list[list[object]]:
    """How a counter's errors at two looks correlate, against what the clock supposes."""
    table: list[list[object]] = [
        ["elements a shard", "error", "supposed", "correlation with half as many", "supposed least"]
    ]
    counts = [1_250, 2_500, 5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000]
    paths = error_paths(counts, 4 * bench.pool, bench.rng)
    for i, count in enumerate(counts[1:], 1):
        supposed = (1 - 0.53 * np.exp(-count * SHARD_ERROR**2 / 4.3)) ** 0.5 * SHARD_ERROR
        correlation = np.corrcoef(paths[:, i - 1], paths[:, i])[0, 1]
        error = paths[:, i].std()
        row = [f"{count:,}", f"{error:.3%}", f"{supposed:.3%}", f"{correlation:.2f}", "0.35"]
        table.append(row)
    return table


SECTIONS = {
    "one-look": one_look,
    "many-looks": many_looks,
    "coverage": coverage,
    "power": power,
    "same-uuids": same_uuids,
    "several-variants": several_variants,
    "drift": drift,
    **calibrate_amounts.SECTIONS,
}


def markdown(table: list[list[object]]) -> str:
    head, *rows = [" | ".join(str(cell) for cell in row) for row in table]
    rule = " | ".join(["---:"] * len(table[0]))
    return "\n".join(f"| {line} |" for line in (head, rule, *rows))


def write(section: str, text: str) -> None:
    """Put the text between the section's markers in docs/statistics-tables.md."""
    page = DOCS / "statistics-tables.md"
    before, opening, rest = page.read_text("utf-8").partition(f"<!-- calibrate: {section} -->\n")
    if not opening:
        raise SystemExit(f"{page.name} has no place for {section}: add its two markers")
    _, closing, after = rest.partition("<!-- end -->")
    page.write_text(f"{before}{opening}{text}\n{closing}{after}", "utf-8")


def quick() -> Bench:
    """What the tests run."""
    return Bench(
        runs=2_000,
        looked=150,
        verdicts=20,
        alarms=5_000,
        pool=120,
        sizes=(1_000, 100_000),
        rates=(0.02, 0.5),
    )


def all_sections() -> dict[str, Callable[[Bench], list[list[object]]]]:
    """The function for each table, by the table's name in the page's markers."""
    from bench import calibrate_rule, sequential  # they import this module

    return SECTIONS | sequential.SECTIONS | calibrate_rule.SECTIONS


def main() -> None:
    sections = all_sections()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(sections))
    wanted = parser.parse_args()
    for name in wanted.sections or sections:
        start = time.perf_counter()
        # a new one for each, so that a section alone says what it says among all
        text = markdown(sections[name](quick() if wanted.quick else Bench()))
        print(f"\n## {name} ({time.perf_counter() - start:.0f} s)\n{text}", flush=True)
        if not wanted.quick:
            write(name, text)


if __name__ == "__main__":
    main()
