"""Log lines: JSON on standard output, which Lambda sends to CloudWatch."""

import json


def log(level: str, **fields: str | int) -> None:
    """Write one line: what happened, how often, in how many milliseconds.

    A line never identifies a visitor.
    """
    print(json.dumps({"level": level, **fields}))
