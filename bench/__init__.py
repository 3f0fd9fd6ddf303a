"""Measurements of speed, memory, cost and calibration. They are not shipped.

`python -m bench` prints the figures of docs/performance.md, docs/cost.md and docs/scaling.md; its
options name the runs (`__main__`). The other programs run by themselves, e.g. `python -m
bench.reads`:

docs/performance.md    reads, throughput, flags, clients
docs/scaling.md        junk
docs/counting.md       memory, growth, history
docs/statistics.md     calibrate, registers, figures, stats_speed

`--write` puts a table into its page. `python -m bench.calibrate` does so without it.

Only ratios within one run mean anything: the contenders take turns in every round, and a ratio is
the median of the rounds' ratios. `harness` holds the rounds and the tables, `peers` the programs
from PyPI to compare with, and `worker` what runs inside their environments.

The programs in tests/full/ verify instead of measuring. docs/decisions/ cites the measurements that
settled a decision.
"""
