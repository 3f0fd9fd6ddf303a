"""The price of the managed Redis: pure arithmetic with AWS's list prices.

The prices are those of ElastiCache Serverless for Valkey in us-east-1, as of June 2026. Other
regions cost more or less, and snapshots cost extra.

- https://aws.amazon.com/elasticache/pricing/
- https://www.usage.ai/blogs/aws/database-savings-plans/elasticache/serverless-pricing/
"""

from gimel.config.redis import ManagedRedis

_GIGABYTE_HOUR = 0.084
_MILLION_ECPUS = 0.0023
# AWS bills at least 100 MB.
_MIN_GIGABYTES = 0.1
_HOURS = 730


def cost(hours: float, gigabytes: float = 0, ecpus: float = 0) -> float:
    """Return the dollars for so many gigabytes over so many hours, and for the ECPUs."""
    storage = max(gigabytes, _MIN_GIGABYTES) * hours * _GIGABYTE_HOUR
    return storage + ecpus / 1e6 * _MILLION_ECPUS


def max_cost(limits: ManagedRedis) -> float:
    """Return the dollars for a month in which the cache is at its limits all the time."""
    return cost(_HOURS, limits.gigabytes, limits.ecpu * _HOURS * 3600)


def min_text() -> str:
    """Return what an idle cache costs, for the user."""
    return f"about ${cost(_HOURS):.0f} a month at the minimum (us-east-1 prices)"


def range_text(limits: ManagedRedis) -> str:
    """Return what a cache with these limits costs, for the user."""
    return (
        f"about ${cost(_HOURS):.0f} a month at the minimum, at most about "
        f"${max_cost(limits):,.0f} with these limits (us-east-1 prices)"
    )
