"""Memory of a process under load: `python -m tests.full.soak [--minutes 10] [--events 200]`.

`gimel local` on a Valkey of this program's gets so many single events a second, batches and reads
among them, and once a minute something is done to its Valkey: see tests/full/faults.py. The
process's resident memory is sampled each second. Flat is: what a straight line through the samples
rises by over all but the first fifth is under 1 MB.
"""

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import requests

from tests.full.faults import Pair
from tests.full.load import body_of, event_of
from tests.support.servers import free_port

MOST = 1.0  # MB


def resident(process: int) -> float:
    """MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def rise(samples: list[float]) -> float:
    """What the least-squares line through all samples but the first fifth rises by."""
    late = samples[len(samples) // 5 :]
    middle = (len(late) - 1) / 2
    spread = sum((place - middle) ** 2 for place in range(len(late)))
    mean = sum(late) / len(late)
    slope = sum((place - middle) * (of - mean) for place, of in enumerate(late)) / spread
    return slope * (len(late) - 1)


@contextlib.contextmanager
def backend(folder: Path, redis_url: str) -> Iterator[tuple[str, int]]:
    """The address and the process of a `gimel local`."""
    port = free_port()
    command = [sys.executable, "-m", "gimel", "local", "--port", str(port)]
    command += ["--data-dir", str(folder), "--redis-url", redis_url]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environ = os.environ | {"HOME": str(folder.parent)}
    process = subprocess.Popen(command, env=environ, **quiet)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"{url}/dashboard", timeout=5)
                break
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(20)


def send(url: str, key: str, rate: int, ends: float, tally: dict[str, int]) -> None:
    """Single events at this rate; each hundredth time a batch of 100, and a read."""
    with requests.Session() as session:
        session.headers["x-api-key"] = key
        for number in itertools.count():
            if time.monotonic() > ends:
                return
            fields = json.loads(body_of([event_of(number)]))[0]
            answers = [session.get(f"{url}/e", params=fields, timeout=10)]
            if number % 100 == 0:
                body = body_of([event_of(10**8 + number * 100 + each) for each in range(100)])
                answers.append(session.post(f"{url}/e", body, timeout=10))
                answers.append(session.get(f"{url}/experiments?namespace=ledger", timeout=10))
            for answer in answers:
                tally[str(answer.status_code)] = tally.get(str(answer.status_code), 0) + 1
            time.sleep(1 / rate)


def disturb(pair: Pair, every: float, ended: Flag, done: list[str]) -> None:
    for name, fault in itertools.cycle(pair.faults.items()):
        if ended.wait(every):
            return
        fault()
        done.append(name)


def measure(seconds: float, rate: int, folder: Path) -> dict[str, Any]:
    """Run it; MB of memory, what they rose by, what was answered and done."""
    pair = Pair(folder)
    samples: list[float] = []
    tally: dict[str, int] = {}
    done: list[str] = []
    ended = Flag()
    with backend(folder / "local", pair.url) as (url, process):
        ends = time.monotonic() + seconds
        key = (folder / "local" / "key").read_text().strip()
        threads = [
            Thread(target=send, args=(url, key, rate, ends, tally)),
            Thread(target=disturb, args=(pair, seconds / 10, ended, done)),
        ]
        for thread in threads:
            thread.start()
        while threads[0].is_alive():
            samples.append(resident(process))
            time.sleep(1)
        ended.set()
        threads[1].join()
    pair.close()
    minutes = [round(samples[place], 1) for place in range(0, len(samples), 60)]
    return {
        "answers by status": tally,
        "done to Redis": done,
        "MB each minute": minutes,
        "MB at the end": round(samples[-1], 1),
        "rise (MB)": round(rise(samples), 2),
    }


def main() -> None:
    """Run it from the command line; the status is 1 where memory is not flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--events", type=int, default=200, help="a second, at most")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(asked.minutes * 60, asked.events, Path(folder))
    print(json.dumps(figures, indent=2))
    sys.exit(figures["rise (MB)"] > MOST)


if __name__ == "__main__":
    main()
