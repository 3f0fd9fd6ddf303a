"""Measurements of speed, memory, cost and calibration. They are not shipped.

README.md names the programs, says how they measure, and holds their tables. What a user needs of
them is in docs/performance.md, docs/cost.md, docs/scaling.md, docs/counting.md and
docs/statistics-tables.md. `--write` puts a table into its page.

Only ratios within one run mean anything: the contenders take turns in every round, and a ratio is
the median of the rounds' ratios. `harness` holds the rounds and the tables, `peers` the programs
that are measured against, from PyPI, and `worker` what runs inside their environments.

What verifies instead of measuring is in tests/full/. Measurements that settled a decision are in
docs/decisions/.
"""
