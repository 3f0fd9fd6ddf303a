"""Measurements behind docs/performance.md: `python -m bench` (not shipped).

    harness.py         rounds in turn, medians, the table, the machine
    peers.py           environments and programs that are measured against, from PyPI
    worker.py          runs inside an environment: events, on demand
    warm.py            an event, and a batch, on a warm connection
    cold.py            spawn to first answer, in AWS's Runtime Interface Emulator
    imports.py         where a cold start's milliseconds go
    starts.py          what each measure against a slow start brings
    redis_versions.py  which redis-py, and how to pack it
    billed.py          CPU and memory of an event, as Lambda bills them
    reads.py           `/experiments`, by itself: `python -m bench.reads`
    throughput.py      events over HTTP, by itself: `python -m bench.throughput`
    dashboard.py       the page in Chromium: bytes, and time until it obeys
    deploy.py          a deploy, fresh and without a change; calls.py counts its calls

behind docs/cost.md and docs/scaling.md (`python -m bench --cost`, `--scaling`, `--hot`):

    cost.py            arithmetic with AWS's price list, prices.json
    scaling.py         arithmetic with AWS's quotas
    hot.py             one counter on a cluster: its shards, or one key

and behind docs/statistics.md, each run by itself (`python -m bench.calibrate`):

    calibrate.py       experiments whose truth is known, simulated with their counters
    registers.py       the simulated counters, against a server's
    figures.py         the page's drawings
    memory.py          what a counter takes, of docs/counting.md
    stats_speed.py     what the inference of a hundred experiments takes

Only ratios within one run mean anything: the contenders take turns in every round, and a ratio is
the median of the rounds' ratios.
"""
