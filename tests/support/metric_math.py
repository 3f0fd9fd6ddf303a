"""The value of an alarm's expression, as CloudWatch computes it from one period of each metric."""

from collections.abc import Mapping
from typing import Any

# The name of a metric, and the value of its dimension.
Figures = Mapping[tuple[str, str], float]


def value(alarm: Mapping[str, Any], figures: Figures) -> float:
    """Metrics without data count as 0. Only arithmetic and comparisons are understood."""
    *metrics, result = alarm["Metrics"]
    known = {}
    for query in metrics:
        metric = query["MetricStat"]["Metric"]
        (dimension,) = metric["Dimensions"]
        known[query["Id"]] = figures.get((metric["MetricName"], dimension["Value"]), 0)
    assert set(result["Expression"]) <= set("m0123456789.+*/()>")
    return float(eval(result["Expression"], {"__builtins__": {}}, known))


def is_raised_by(alarm: Mapping[str, Any], figures: Figures) -> bool:
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    return value(alarm, figures) > alarm["Threshold"]
