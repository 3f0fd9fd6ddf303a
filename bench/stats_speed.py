"""Time of the inference for 100 experiments × 3 variants × 4 goals: python -m bench.stats_speed"""

from __future__ import annotations

import random
import time

from gimel.backend.results.analysis import analyse
from gimel.backend.results.between import Measure, spread_of

TARGET_MS = 100


def main() -> None:
    rng = random.Random(1)
    experiments = []
    for _ in range(100):
        trials = {label: rng.randint(1_000, 100_000) for label in "abc"}
        goals = {
            f"goal {i}": {label: int(n * rng.uniform(0.05, 0.06)) for label, n in trials.items()}
            for i in range(4)
        }
        # weights as the counts are: an alarm would spare the verdicts
        experiments.append((trials, goals, {label: float(n) for label, n in trials.items()}))
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        for trials, goals, weights in experiments:
            analyse(trials, goals, baseline="a", relative_error=0.001, weights=weights)
        best = min(best, time.perf_counter() - start)
    print(f"100 experiments x 3 variants x 4 goals: {best * 1e3:.0f} ms (target {TARGET_MS} ms)")
    print(f"a row of a total with 64 samples: {_microseconds_of_a_total(rng):.0f} µs")


def _microseconds_of_a_total(rng: random.Random) -> float:
    """Time of a row of the analysis, its variance between the samples included."""
    samples = {
        label: ([rng.gauss(300, 40) for _ in range(64)], [rng.gauss(150, 12) for _ in range(64)])
        for label in "abc"
    }
    trials = {label: round(sum(visitors)) for label, (_, visitors) in samples.items()}
    goals = {"g": {label: sum(done) for label, (done, _) in samples.items()}}
    start = time.perf_counter()
    for _ in range(300):
        spreads = {label: spread_of(*each) for label, each in samples.items()}
        measures = {"g": Measure("total", spreads=spreads)}
        analyse(trials, goals, baseline="a", relative_error=0.001, measures=measures)
    return (time.perf_counter() - start) / 300 / len(samples) * 1e6


if __name__ == "__main__":
    main()
