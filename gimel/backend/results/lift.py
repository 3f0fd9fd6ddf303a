"""Lifts in words. A lift beyond `MAX_SHOWN` is only said to be larger: its digits mean nothing."""

from gimel.backend.results.comparison import Interval

MAX_SHOWN = 10.0


def describe_lift(lift: float) -> str:
    """Return a lift in percent with its sign: "+19.5%", or "more than +1,000%"."""
    return f"more than {MAX_SHOWN:+,.0%}" if lift > MAX_SHOWN else f"{lift:+,.1%}"


def describe_range(interval: Interval) -> str:
    """Return what completes "the lift is …": "between -2.0% and +3.1%", for example."""
    low, high = map(describe_lift, interval)
    return low if low == high and interval[0] > MAX_SHOWN else f"between {low} and {high}"
