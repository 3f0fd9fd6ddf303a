"""Log lines: JSON on standard output, which Lambda sends to CloudWatch."""

import json
import os
import time


def log(level: str, **fields: str | int) -> None:
    """Write one line: what happened, how often, in how many milliseconds.

    A line never identifies a visitor.
    """
    print(json.dumps({"level": level, **fields}))


def log_metric(name: str, value: int) -> None:
    """Write a warning with a figure. On AWS, CloudWatch makes a metric of the function from it.

    Source:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    line: dict[str, object] = {"level": "warning", name: value}
    if function := os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
        metric = {"Namespace": "Gimel", "Dimensions": [["function"]], "Metrics": [{"Name": name}]}
        metadata = {"Timestamp": round(1000 * time.time()), "CloudWatchMetrics": [metric]}
        line |= {"function": function, "_aws": metadata}
    print(json.dumps(line))
