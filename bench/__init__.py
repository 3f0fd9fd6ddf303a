"""Measurements of speed, memory, cost and calibration. They are not shipped.

`python -m bench` prints the figures of docs/performance.md, docs/cost.md and docs/scaling.md; its
options name the runs (`__main__`). The rest runs by itself: `python -m bench.reads` and
`bench.throughput` for docs/performance.md, `bench.junk` for docs/scaling.md, `bench.memory` and
`bench.growth` for docs/counting.md, `bench.calibrate`, `bench.registers` and `bench.figures` for
docs/statistics.md and docs/statistics-tables.md. `--write` puts a table into its page.

Only ratios within one run mean anything: the contenders take turns in every round, and a ratio is
the median of the rounds' ratios. `harness` holds the rounds and the tables, `peers` the programs
that are measured against, from PyPI, and `worker` what runs inside their environments.

What verifies instead of measuring is in tests/full/. Measurements that settled a decision are in
docs/decisions/.
"""
