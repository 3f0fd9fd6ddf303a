"""Processes that send: one that ends, one that forks, and a WSGI server under load."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from gimel import Client
from gimel.client import BackendClient
from tests.support.deployments import Deployment
from tests.support.http_server import serving
from tests.support.proxy import Proxy, black_hole
from tests.support.servers import free_port
from tests.support.waiting import wait

pytestmark = pytest.mark.slow

# Seconds that a server gives the backend: no request may take so long.
TIMEOUT = 10.0


def visitors(url: str, experiment: str = "e") -> int:
    found = {each["experiment"]: each for each in BackendClient(url).experiments()}
    return sum(each["trials"] for each in found[experiment]["variants"]) if found else 0


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"import os, sys\nfrom gimel import Client\n{program}"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=True, timeout=60
    )


# The end of a process


def test_a_process_sends_what_waits_when_it_ends(url: str) -> None:
    done = run('Client(sys.argv[1]).variant("e", ["a", "b"], "visitor 1")', url)
    assert (done.stdout, done.stderr) == ("", "")
    assert visitors(url) == 1


def test_a_process_that_fails_sends_what_waits(url: str) -> None:
    program = 'Client(sys.argv[1]).variant("e", ["a", "b"], "visitor 1"); sys.exit("failed")'
    with pytest.raises(subprocess.CalledProcessError):
        run(program, url)
    assert visitors(url) == 1


def test_a_backend_that_never_answers_does_not_keep_a_process(tmp_path: Path) -> None:
    with black_hole() as port:
        program = 'Client(sys.argv[1], timeout=600).variant("e", ["a", "b"], "visitor 1")'
        done = run(program, f"http://127.0.0.1:{port}")
    assert done.stderr == "1 events were not sent before the end\n"


# Forks


def test_a_fork_sends_its_own_events_and_not_its_parents(url: str) -> None:
    program = """
gimel = Client(sys.argv[1])
gimel.variant("e", ["a", "b"], "before the fork")
child = os.fork()
waits = len(gimel._sender._waiting)
gimel.variant("e", ["a", "b"], "child" if child == 0 else "parent")
assert gimel.flush(60)
if child:
    assert os.waitpid(child, 0)[1] == 0
else:
    assert waits == 0
"""
    run(program, url)
    assert visitors(url) == 3


# A WSGI server under load

APPLICATION = """
import os
from gimel import Client

gimel = Client(os.environ["BACKEND"], timeout={timeout})
checkout = gimel.experiment("e", ["a", "b"])


def app(environ, start_response):
    visitor = environ["QUERY_STRING"]
    shown = "without"
    if visitor:
        shown = checkout.variant(visitor)
        checkout.goal("order", visitor)
    start_response("200 OK", [("content-type", "text/plain")])
    return [shown.encode()]
"""
SERVERS = {
    "gunicorn": ["gunicorn", "--preload", "--workers", "2", "--threads", "4", "--bind"],
    "waitress": ["waitress", "--threads", "8", "--listen"],
}


@contextmanager
def application(server: str, backend: str, folder: Path) -> Iterator[str]:
    """The application on a server of its own. Yields its address."""
    (folder / "application.py").write_text(APPLICATION.format(timeout=TIMEOUT))
    address = f"127.0.0.1:{free_port()}"
    name, *options = SERVERS[server]
    command = [sys.executable, "-m", name, *options, address, "application:app"]
    paths = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    with serving(command, f"http://{address}", {"BACKEND": backend, "PYTHONPATH": paths}):
        yield f"http://{address}"


def longest(address: str, queries: list[str]) -> float:
    """Send requests from 8 threads. Return the seconds that the slowest one took."""

    def ask(query: str) -> float:
        started = time.monotonic()
        answer = requests.get(f"{address}/?{query}", timeout=60)
        assert answer.text in (("a", "b") if query else ("without",))
        return time.monotonic() - started

    with ThreadPoolExecutor(8) as pool:
        return max(pool.map(ask, queries))


@pytest.mark.parametrize("server", SERVERS)
def test_no_request_waits_for_a_backend_that_hangs(server: str, url: str, tmp_path: Path) -> None:
    with black_hole() as hole:
        proxy = Proxy(hole)
        with application(server, f"http://127.0.0.1:{proxy.port}", tmp_path) as address:
            requests.get(f"{address}/?0", timeout=60)
            wait(lambda: proxy.taken > 0)
            without = longest(address, [""] * 400)
            with_gimel = longest(address, [str(visitor) for visitor in range(400)])
            print(f"slowest of 400 requests: {without:.3f} s without, {with_gimel:.3f} s with")
            assert with_gimel < TIMEOUT
            # The backend is back: what hangs is given up after the time-out, and sent again.
            proxy.target = int(url.rpartition(":")[2])
            wait(lambda: visitors(url) > 390)
    proxy.close()
    assert visitors(url) == pytest.approx(400, abs=2)


def test_no_request_waits_for_a_backend_that_is_down(url: str, tmp_path: Path) -> None:
    port = free_port()
    with application("gunicorn", f"http://127.0.0.1:{port}", tmp_path) as address:
        assert longest(address, [str(visitor) for visitor in range(400)]) < TIMEOUT
    # Its processes ended although nobody took their events.
    assert visitors(url) == 0


# A deployed backend


def test_a_deployed_backend_counts(deployed: Deployment) -> None:
    gimel = Client(f"{deployed.url}/e", key=deployed.key, namespace="library")
    shop = gimel.experiment("checkout", ["one step", "two steps"])
    for visitor in range(20):
        shop.variant(visitor)
        shop.goal("order", visitor)
    assert gimel.close(60)
    assert gimel.dropped == 0
    found = BackendClient(deployed.url, deployed.key).experiment("checkout", "library")
    assert sum(each["trials"] for each in found["variants"]) == 20
    assert sum(row["successes"] for row in found["goals"][0]["results"]) == 20
