"""What Lambda bills for: CPU time of a first and of a warm event, and memory, in the emulator.

CPU time is that of the function's process, `awslambdaric` included, in milliseconds of a whole CPU.
"""

import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench import cold, harness, peers
from bench.harness import Lines
from bench.worker import fields, proxy_event
from gimel.stack import bundle

HEAD = (
    *("function", "first event, CPU", "to gimel 1.5.0", "quartiles"),
    *("warm request, CPU", "memory used"),
)
PEER = "gimel 1.5.0"
ROUNDS = 7
EVENTS = 400
# A number of events that a sender may well collect before it sends them. `cost` assumes it too.
BATCH = 10

# CPU of the first event and of a warm one in ms, memory in MB
Billed = tuple[float, float, float]


def _peak(process: Path) -> float:
    """The most memory it ever had, in MB."""
    lines = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    return int(lines["VmHWM"].split()[0]) / 1024


def _run(function: cold.Function, event: Callable[[str], dict[str, object]]) -> Billed:
    with function.running() as running:
        running.ask(event("0"))
        first = running.cpu()
        for number in range(1, EVENTS + 1):
            running.ask(event(str(number)))
        return first, (running.cpu() - first) / EVENTS, _peak(running.process)


def batch(name: str) -> dict[str, object]:
    """Events in one request: `POST /e`."""
    events = [fields(f"{name}.{number}") for number in range(BATCH)]
    return proxy_event("POST", body=json.dumps(events))


def measure(port: int) -> Lines:
    fuller = peers.runtime_with_setuptools()
    own, first = cold.ours("own", bundle.build().content, port), cold.first_gimel(port)
    functions = {
        "Gimel": (own, cold.own_event),
        f"Gimel, {BATCH} events a request": (own, batch),
        PEER: (replace(first, interpreter=fuller), fields),
        "gimel 1.5.0, a bare interpreter": (first, fields),
    }
    runs: dict[str, list[Billed]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, (function, event) in functions.items():
            runs[name].append(_run(function, event))
    lines: Lines = []
    base = [start for start, _, _ in runs[PEER]]
    for name, found in runs.items():
        starts, warm, peak = zip(*found, strict=True)
        row = harness.ratio_row(name, starts, base, "ms", "")
        figures = f"{statistics.median(warm):.2f} ms", f"{statistics.median(peak):.0f} MB"
        lines.append((name, row.value, row.ratio.strip(), row.spread, *figures))
    return lines
