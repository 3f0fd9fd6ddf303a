"""What a million events cost: the price list as data, the rest as arithmetic.

Redis is left out: it costs the same, whichever program fills it.
"""

import json
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from bench.harness import Lines, Section
from gimel.config.stack import Concurrency, Throttle

PRICES: dict[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text())
EVENTS_A_MONTH = (1e6, 1e8, 1e10)
MEMORIES = (128, 256, 512, 1024, 1769)
# Memory, in MB, that comes with a whole CPU; less comes with its share of one.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_A_CPU = 1769
MONTH = 365.25 / 12 * 24 * 3600
DAY = 24 * 3600
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html#concurrency-vs-requests-per-second
CALLS_A_SECOND = 10
# The largest answer that needs no key: the dashboard's page
PAGE_BYTES = 132_000
# Lambda looks into a queue with five connections, each of which waits 20 s for a message.
_POLLS_A_MONTH = 5 * MONTH / 20


@dataclass(frozen=True)
class Stack:
    """What one request takes on its way in.

    `cpu` and `cold_cpu` are ms of a whole CPU; `wait` is ms for the network; `cold` the share of
    requests that start a function; `log` and `answer` are bytes. `spilled` is the share of requests
    that wait in a queue for Redis; None is a stack without one. `batch` is how many events there
    are in a request.
    """

    name: str
    api: str
    architecture: str
    memory: int
    cpu: float
    wait: float
    cold_cpu: float
    log: int
    answer: int
    cold: float = 0.001
    spilled: float | None = None
    batch: int = 1


# cpu, cold_cpu: `python -m bench --billed`, gimel 1.x's on a bare interpreter. wait: round trips of
# 1 ms, inside a region: ours 1; gimel 1.x's connection, password and transaction 3. Lambda writes
# START, END and REPORT, which are 330 bytes, unless it is told not to.
OURS = Stack("Gimel", "http_api", "arm64", 256, 0.33, 1, 115, 0, 450, spilled=0)
SPILLING = replace(OURS, name="Gimel, a tenth spilled", spilled=0.1)
BY_URL = replace(OURS, name="Gimel, function URL", api="function_url")
# Ten events in a request took 1.25 to 1.5 times the CPU of one (`python -m bench --billed`).
_BATCH = {"cpu": 1.5 * OURS.cpu, "batch": 10}
BATCHED = replace(OURS, name="Gimel, ten events a request", **_BATCH)
BY_URL_BATCHED = replace(BY_URL, name="Gimel, function URL, ten events a request", **_BATCH)
STACKS = (OURS, SPILLING, BY_URL, BATCHED, BY_URL_BATCHED)
FIRST = Stack("gimel 1.x", "rest_api", "x86_64", 128, 0.5, 3, 95, 330, 600)
# What the queue's answer takes, and Redis's failure to: its whole time, if the process gets less
# than an event in the two seconds for which it then leaves Redis alone.
SPILL_MS = 1200 + 20
MESSAGES_A_REPLAY = 10


class Use(NamedTuple):
    """What a month of events uses: millions of requests and calls, GB-seconds, GB."""

    requests: float
    calls: float
    gigabyte_seconds: float
    queue_requests: float
    log: float
    transfer: float


def tiered(millions: float, tiers: list[tuple[float | None, float]]) -> float:
    """Dollars for so many million requests, each tier's share at its own price."""
    dollars, floor = 0.0, 0.0
    for end, price in tiers:
        upto = millions if end is None else min(millions, end)
        dollars += max(0.0, upto - floor) * price
        floor = upto
    return dollars


def warm_ms(stack: Stack) -> int:
    """What Lambda bills for a request at a warm function: it rounds up to the millisecond."""
    return ceil(stack.cpu * MB_A_CPU / min(stack.memory, MB_A_CPU) + stack.wait)


def cold_ms(stack: Stack) -> float:
    """How much longer a request takes that starts a function, if it gets its share of CPU only."""
    return stack.cold_cpu * MB_A_CPU / min(stack.memory, MB_A_CPU)


def use(stack: Stack, events: float) -> Use:
    """What so many events a month use. A spilled one is sent, received, counted and deleted."""
    requests, spilled = events / stack.batch, stack.spilled or 0
    millions = requests / 1e6
    request_ms = warm_ms(stack) + stack.cold * cold_ms(stack) + spilled * SPILL_MS
    replays = spilled / MESSAGES_A_REPLAY
    polls = 0 if stack.spilled is None else _POLLS_A_MONTH / 1e6
    return Use(
        millions,
        millions * (1 + replays),
        requests * request_ms / 1000 * stack.memory / 1024,
        millions * (spilled + 2 * replays) + polls,
        requests * stack.log / 1e9,
        requests * stack.answer / 1e9,
    )


def dollars(stack: Stack, events: float, *, free: bool = False) -> dict[str, float]:
    """Dollars a month by what they are paid for; with `free`, beyond what AWS gives every month."""
    used, given = use(stack, events), PRICES["always_free_per_month"]

    def above(amount: float, allowance: str) -> float:
        return max(0.0, amount - given[allowance]) if free else amount

    second = PRICES["lambda_gb_second"][stack.architecture]
    return {
        "API Gateway": tiered(used.requests, PRICES[f"{stack.api}_per_million"]),
        "Lambda calls": above(used.calls, "lambda_million_requests")
        * PRICES["lambda_requests_per_million"],
        "Lambda time": above(used.gigabyte_seconds, "lambda_gb_seconds") * second,
        "queue": above(used.queue_requests, "sqs_million_requests")
        * PRICES["sqs_requests_per_million"],
        "logs": above(used.log, "logs_gb") * PRICES["logs_per_gb"],
        "transfer": above(used.transfer, "transfer_out_gb") * PRICES["transfer_out_per_gb"],
    }


def a_month() -> Section:
    """A row for each stack and volume: dollars a million events, part by part."""
    lines: Lines = []
    for events in EVENTS_A_MONTH:
        for stack in STACKS:
            parts = dollars(stack, events)
            whole, free = sum(parts.values()), sum(dollars(stack, events, free=True).values())
            cells = (f"{part / events * 1e6:.3f}" for part in parts.values())
            lines.append(
                (
                    *(f"{events / 1e6:,.0f} M", stack.name, *cells),
                    *(f"{whole / events * 1e6:.2f}", f"{free:,.2f}"),
                )
            )
    head = ("events a month", "stack", *dollars(OURS, 1), "$ a million")
    return "cost", (*head, "$ a month, less what is free"), lines


def against_first() -> Section:
    """A row for each stack and volume: dollars a million events, and the ratio to gimel 1.x."""
    lines: Lines = []
    for events in EVENTS_A_MONTH:
        first, first_free = (sum(dollars(FIRST, events, free=free).values()) for free in (0, 1))
        for stack in (*STACKS, FIRST):
            whole, free = (sum(dollars(stack, events, free=each).values()) for each in (0, 1))
            lines.append(
                (
                    *(f"{events / 1e6:,.0f} M", stack.name, f"{whole / events * 1e6:.2f}"),
                    *(f"{whole / first:.2f}×", f"{free:,.2f}", f"{free / first_free:.2f}×"),
                )
            )
    head = ("events a month", "stack", "$ a million", "to gimel 1.x")
    return "earlier", (*head, "$ a month, less what is free", "to gimel 1.x"), lines


def by_memory() -> Section:
    """What an event takes and costs with each size of memory, on either architecture."""
    lines: Lines = []
    for memory in MEMORIES:
        stack = replace(OURS, memory=memory)
        arm, x86 = (
            dollars(replace(stack, architecture=each), 1e6)["Lambda time"]
            for each in ("arm64", "x86_64")
        )
        lines.append(
            (
                *(f"{memory} MB", f"{min(1, memory / MB_A_CPU):.2f}"),
                *(f"{warm_ms(stack)} ms", f"{cold_ms(stack) / 1000:.2f} s"),
                *(f"{arm:.3f}", f"{x86:.3f}"),
            )
        )
    head = ("memory", "CPUs", "billed for a warm event", "a start takes at most")
    return "memory", (*head, "arm64, $ a million", "x86_64, $ a million"), lines


def flood() -> Section:
    """Calculate the largest bill that a stranger can cause in a day with the default limits."""
    requests = Throttle().rate * DAY / 1e6
    executions = sum(Concurrency().model_dump().values())
    calls, pages = (each * CALLS_A_SECOND * DAY / 1e6 for each in (executions, Concurrency().reads))
    seconds = executions * DAY * OURS.memory / 1024
    sent = (pages * PAGE_BYTES / 1e3, (requests - pages) * OURS.answer / 1e3)
    costs = (
        requests * PRICES["http_api_per_million"][0][1],
        calls * PRICES["lambda_requests_per_million"],
        seconds * PRICES["lambda_gb_second"][OURS.architecture],
        *(gigabytes * PRICES["transfer_out_per_gb"] for gigabytes in sent),
    )
    whats = (
        ("API Gateway", f"{requests:.1f} million small requests"),
        ("Lambda calls", f"{calls:.1f} million, ten a second for each reserved execution"),
        ("Lambda time", f"{executions} executions of {OURS.memory} MB, busy all day"),
        ("transfer", f"{pages:.1f} million times the dashboard's page, uncompressed"),
        ("transfer", f"{requests - pages:.1f} million other answers"),
    )
    lines: Lines = [(*what, f"{cost:.2f}") for what, cost in zip(whats, costs, strict=True)]
    return "flood", ("", "a day", "$"), [*lines, ("together", "", f"{sum(costs):.2f}")]


def measure() -> list[Section]:
    return [flood(), a_month(), by_memory(), against_first()]
