"""What Lambda bills for: CPU time of a first and of a warm event, and memory, in the emulator.

CPU time is that of the function's process, `awslambdaric` included, in milliseconds of a whole CPU.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

from bench import cold
from bench.harness import Lines
from bench.worker import fields
from gimel import bundle

HEAD = ("function", "first event, CPU", "warm event, CPU", "memory used")
ROUNDS = 7
EVENTS = 400

# CPU of the first event and of a warm one in ms, memory in MB
Billed = tuple[float, float, float]


def _child(pid: int) -> Path:
    """The function's process, whose parent is the emulator."""
    children = "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return Path("/proc") / children.strip()


def _cpu(process: Path) -> float:
    """Milliseconds that all its threads have run."""
    times = [int(task.read_text().split()[0]) for task in process.glob("task/*/schedstat")]
    return sum(times) / 1e6


def _peak(process: Path) -> float:
    """The most memory it ever had, in MB."""
    lines = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    return int(lines["VmHWM"].split()[0]) / 1024


def _run(function: cold.Function, event: Callable[[str], dict[str, object]]) -> Billed:
    with function.running() as running:
        running.ask(event("0"))
        process = _child(running.pid)
        first = _cpu(process)
        for number in range(1, EVENTS + 1):
            running.ask(event(str(number)))
        return first, (_cpu(process) - first) / EVENTS, _peak(process)


def measure(port: int) -> Lines:
    own = cold.ours("own", bundle.build().content, port)
    runs: dict[str, list[Billed]] = {"Gimel": [], "gimel 1.5.0": []}
    for _ in range(ROUNDS):
        runs["Gimel"].append(_run(own, cold.own_event))
        runs["gimel 1.5.0"].append(_run(cold.first_gimel(port), fields))
    lines: Lines = []
    for name, found in runs.items():
        first, warm, peak = map(statistics.median, zip(*found, strict=True))
        lines.append((name, f"{first:.0f} ms", f"{warm:.2f} ms", f"{peak:.0f} MB"))
    return lines
