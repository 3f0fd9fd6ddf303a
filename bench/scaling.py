"""From one event a second to a hundred thousand: which quota binds first, and what to set.

Arithmetic: how many functions run at once is rate × time (Little's law), and Lambda lets each of
them take ten requests a second at most, however short they are.
"""

from math import ceil

from scipy.special import gammaincinv
from scipy.stats import poisson

from bench import cost
from bench.harness import Lines, Section
from gimel.config.stack import Concurrency, Throttle

RATES = (1, 10, 100, 1_000, 5_000, 10_000, 50_000, 100_000)
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
REQUESTS_A_FUNCTION = 10
# https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
REQUESTS_MORE_IN_10_S = 10_000
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
API_RATE, API_BURST = 10_000, 5_000
ACCOUNT_CONCURRENCY, NEW_ACCOUNT_CONCURRENCY = 1_000, 10
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/BestPractices.Clients.Redis.Connections.html
CONNECTIONS_A_NODE = 65_000
FREE_REDIS_COMMANDS, FREE_REDIS_CONNECTIONS = 100, 30
# A server's CPU for a PFADD that comes by itself, in µs: `python -m bench --hot`, one key on one
# node, and all nodes of a cluster. One that is busy for half of its time answers at once.
PFADD_US, PFADD_IN_A_CLUSTER_US = 17, 23
BUSY = 0.5
EVENT_SECONDS = cost.warm_ms(cost.OURS) / 1000
RARE = 1e-6
# Every process looks each counter up once a minute: these commands, in one round trip.
LOOK_UP_COMMANDS = 8
COUNTERS = 100
# Connections that the functions for reading and deleting may hold.
OTHERS = (Concurrency().reads or 0) + (Concurrency().delete or 0)


def running(rate: float) -> float:
    """Functions that run at once, on average."""
    return rate * EVENT_SECONDS


def peak(rate: float) -> int:
    """How many run at once at the worst: one event in a million finds more running.

    Events that come by chance find a number from Poisson's distribution, whatever each takes
    (Erlang, 1917; an infinite server).
    """
    return int(poisson.isf(RARE, running(rate)))


def _rate_at_peak(functions: int) -> float:
    """The rate at which so many run at once at the worst: `peak`, turned around."""
    return float(gammaincinv(functions + 1, RARE)) / EVENT_SECONDS


def concurrency(rate: float) -> int:
    """The concurrency that Lambda wants to have before it lets so many requests a second in."""
    return max(peak(rate), ceil(rate / REQUESTS_A_FUNCTION))


def commands(rate: float) -> float:
    """What Redis gets a second: an event's own command, and looking up counters in use."""
    look_ups = min(rate, peak(rate) * COUNTERS / 60)
    return rate + look_ups * LOOK_UP_COMMANDS


def nodes(rate: float) -> int:
    """Nodes of Redis, each with a core, that are busy for no more than half of their time."""
    if commands(rate) * PFADD_US / 1e6 <= BUSY:
        return 1
    return ceil(commands(rate) * PFADD_IN_A_CLUSTER_US / 1e6 / BUSY)


def _quotas() -> list[tuple[float, str, str]]:
    """Events a second at which each quota binds, what it is, and what raises it."""
    reserved, throttle = Concurrency().track or 0, Throttle()
    tens, service = REQUESTS_A_FUNCTION, "Service Quotas"
    return [
        (FREE_REDIS_COMMANDS, "100 commands a second, Redis Cloud's free plan", "another plan"),
        (
            NEW_ACCOUNT_CONCURRENCY * tens,
            f"{NEW_ACCOUNT_CONCURRENCY} executions at once, a new AWS account",
            f"{service}: Lambda, concurrent executions",
        ),
        (
            reserved * tens,
            f"{reserved} executions reserved, Gimel's default",
            "`reserved_concurrency.track`",
        ),
        (
            _rate_at_peak(FREE_REDIS_CONNECTIONS - OTHERS),
            f"{FREE_REDIS_CONNECTIONS} connections, Redis Cloud's free plan",
            "another plan",
        ),
        (throttle.rate, f"{throttle.rate:,.0f} requests a second, Gimel's default", "`throttle`"),
        (
            ACCOUNT_CONCURRENCY * tens,
            f"{ACCOUNT_CONCURRENCY:,} executions at once, an AWS account",
            f"{service}: Lambda, concurrent executions",
        ),
        (
            API_RATE,
            f"{API_RATE:,} requests a second, an account's API Gateway",
            f"{service}: API Gateway, throttle rate",
        ),
        (
            BUSY * 1e6 / PFADD_US,
            f"one Redis node, busy for {BUSY:.0%} of its time",
            "a cluster: `redis.cluster`",
        ),
        (1e6 / PFADD_US, "one Redis node, all of its time; one key of a cluster", "`shards`: 64"),
        (
            _rate_at_peak(CONNECTIONS_A_NODE),
            f"{CONNECTIONS_A_NODE:,} connections, an ElastiCache node",
            "quicker answers; a cluster does not, each function has one to each node",
        ),
    ]


def binding() -> Section:
    lines: Lines = [
        (f"{rate:,.0f}", what, raised)
        for rate, what, raised in sorted(_quotas(), key=lambda q: q[0])
    ]
    return "binding", ("events a second", "is the end of", "what raises it"), lines


def _setting(number: float, default: float) -> str:
    return "default" if number <= default else f"{number:,.0f}"


def _reservation(rate: float) -> str:
    """Return what to reserve: null where it is more than a whole account's concurrency."""
    wanted = concurrency(rate)
    return "null" if wanted > ACCOUNT_CONCURRENCY else _setting(wanted, Concurrency().track or 0)


def settings() -> Section:
    """What to set for each rate, with as much again in reserve."""
    lines: Lines = []
    throttle = Throttle()
    for rate in RATES:
        lines.append(
            (
                *(f"{rate:,}", f"{running(rate):,.1f}", f"{peak(rate):,}"),
                _reservation(2 * rate),
                _setting(2 * rate, throttle.rate),
                _setting(min(2 * rate, API_BURST), throttle.burst),
                _setting(concurrency(2 * rate), ACCOUNT_CONCURRENCY),
                _setting(2 * rate, API_RATE),
                f"{nodes(rate):,}",
                f"{max(0, rate - REQUESTS_MORE_IN_10_S) / REQUESTS_MORE_IN_10_S * 10:.0f} s",
            )
        )
    head = ("events a second", "run at once", "at the worst: connections")
    head += ("`reserved_concurrency.track`", "`throttle.rate`", "`throttle.burst`")
    head += (
        "the account's concurrency",
        "API Gateway's rate",
        "Redis nodes",
        "from nothing to there",
    )
    return "settings", head, lines


def measure() -> list[Section]:
    return [binding(), settings()]
