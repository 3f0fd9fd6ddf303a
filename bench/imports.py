"""Where a cold start's milliseconds go: `-X importtime` of the handler, from the zip's content."""

import re
import statistics
import subprocess
import sys
from collections import defaultdict

from bench.cold import unpack
from gimel import bundle

HEAD = ("imported", "own time, ms", "modules")
ROUNDS = 11
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)")


def _group(module: str) -> str:
    top = module.partition(".")[0]
    if top == "gimel":
        return "gimel"
    if module.startswith("redis.asyncio"):
        return "redis.asyncio"
    if module.startswith("redis.commands"):
        return "redis.commands (modules' commands among them)"
    return "redis, the rest" if top == "redis" else _stdlib(top)


def _stdlib(top: str) -> str:
    for name in ("asyncio", "ssl", "importlib", "email", "json", "logging", "typing"):
        if top.lstrip("_") == name:
            return f"standard library: {name}"
    return "standard library, the rest"


def _one(folder: str, statement: str) -> dict[str, int]:
    """Microseconds of every module's own import."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-X", "importtime", "-c", statement],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {name: int(time) for time, name in _LINE.findall(done.stderr)}


def measure() -> list[tuple[str, str, str]]:
    folder = str(unpack("imports", bundle.build().content))
    path = f"import sys; sys.path.insert(0, {folder!r})"
    start = _one(folder, path)
    runs = [_one(folder, f"{path}; import gimel.gimel") for _ in range(ROUNDS)]
    groups: dict[str, list[str]] = defaultdict(list)
    for module in runs[0].keys() - start.keys():
        groups[_group(module)].append(module)
    lines = []
    for group, modules in groups.items():
        took = statistics.median(sum(run.get(one, 0) for one in modules) for run in runs) / 1000
        lines.append((group, took, len(modules)))
    lines.sort(key=lambda line: -line[1])
    total = ("all", sum(line[1] for line in lines), sum(line[2] for line in lines))
    return [(name, f"{took:.1f}", str(count)) for name, took, count in [*lines, total]]
