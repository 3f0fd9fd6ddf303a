"""Where a cold start's milliseconds go: `-X importtime` of the handler, from the zip's content."""

import re
import statistics
import subprocess
from pathlib import Path

from bench import peers
from bench.cold import unpack
from bench.harness import Lines
from gimel.stack import bundle

HEAD = ("imported by `gimel.aws_lambda`", "ms", "of all")
ROUNDS = 11
_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s+([\w.]+)")
# Each with all that it is the first to import; indented ones are parts of redis-py's.
_MODULES = {
    "gimel.aws_lambda": "all",
    "redis.connection": "redis-py's connections and what they pull in",
    "asyncio": "… asyncio, whose exceptions and `timeout` its parsers import",
    "importlib.metadata": "… importlib.metadata, for redis-py's version",
    "redis.cache": "… its cache, with dataclasses and inspect",
    "ssl": "ssl, for TLS",
    "socket": "socket",
    "gimel.gimel": "Gimel's handlers and what they pull in",
}
_OWN = {"gimel": "Gimel's own modules alone", "redis": "redis-py's own modules alone"}

Times = dict[str, tuple[int, int]]


def _times(folder: Path) -> Times:
    """Microseconds of every module: its own, and with all that it is the first to import.

    Lambda's runtime is there before, and what it has imported costs nothing more.
    """
    statement = f"import sys, awslambdaric.bootstrap; sys.path.insert(0, {str(folder)!r})"
    done = subprocess.run(
        [
            peers.runtime(),
            "-I",
            "-B",
            "-X",
            "importtime",
            "-c",
            f"{statement}; import gimel.aws_lambda",
        ],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {name: (int(own), int(total)) for own, total, name in _LINE.findall(done.stderr)}


def _summary(times: Times) -> dict[str, int]:
    summary = {label: times[module][1] for module, label in _MODULES.items()}
    for package, label in _OWN.items():
        summary[label] = sum(
            own for module, (own, _) in times.items() if module.partition(".")[0] == package
        )
    return summary


def measure() -> Lines:
    """The median of each over the runs. Tracing itself costs some of it: shares count."""
    folder = unpack("imports", bundle.build().content)
    runs = [_summary(_times(folder)) for _ in range(ROUNDS)]
    middle = {label: statistics.median(run[label] for run in runs) for label in runs[0]}
    return [
        (label, f"{took / 1000:.1f}", f"{took / middle['all']:.0%}")
        for label, took in middle.items()
    ]
