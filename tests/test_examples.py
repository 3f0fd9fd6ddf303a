"""The examples of docs/clients.md and docs/self-hosting.md, run as they are written there."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from gimel.client import BackendClient, BackendError
from tests.support.documented_examples import examples, for_backend, successes
from tests.support.gimel_local import LocalBackend
from tests.support.handler_requests import KEY
from tests.support.servers import free_port, url_of
from tests.support.waiting import wait

pytestmark = pytest.mark.slow


def visitors(found: dict[str, Any]) -> dict[str, int]:
    return {variant["label"]: variant["trials"] for variant in found["variants"]}


@pytest.mark.parametrize("number", range(3))
def test_shell(number: int, local: LocalBackend, tmp_path: Path) -> None:
    code = for_backend(examples("clients.md", "sh")[number], local.url)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for _ in range(2):
        subprocess.run(["sh", "-ec", code], check=True, env=os.environ | {"PATH": path})
    assert successes(local.client, "signup") == (2 if number == 1 else 1)


def gimel_track(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gimel", "track", "--url", url, "--experiment", "button color"]
    more = ["--variant", "red", "--event", "participate", *options]
    return subprocess.run([*command, *more], capture_output=True, text=True, check=False)


def test_gimel_track_says_what_became_of_the_event(local: LocalBackend) -> None:
    for options in ([], [], ["--uuid", "u1"], ["--uuid", "u1"], ["--namespace", "n"]):
        done = gimel_track(local.url, *options)
        assert (done.returncode, done.stdout) == (0, "Counted.\n")
    (found,) = local.client.experiments()
    assert visitors(found) == {"red": 3}
    assert len(local.client.experiments("n")) == 1
    done = gimel_track(local.url, "--uuid", " ")
    assert (done.returncode, done.stdout) == (1, "")
    assert "uuid is empty" in done.stderr
    with local.down():
        assert gimel_track(local.url).returncode == 1


def test_the_helper_of_a_server(local: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    helper, calls = examples("clients.md", "python")
    assert len(helper.splitlines()) < 40
    names: dict[str, Any] = {}
    exec(for_backend(helper, local.url), names)
    for _ in range(2):
        exec(calls, names)
    client = local.client
    assert successes(client, "order", "checkout") == 1
    assert names["track"]("u", "", "a", "b") is False
    waits: list[float] = []
    with local.down():
        monkeypatch.setattr(time, "sleep", waits.append)
        assert names["track"]("u", "e", "a", "b") is False
    assert len(waits) == 4


def serves(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url) as answer:
        return answer.status == 200
    return False


@contextmanager
def self_hosted(store: redis.Redis, tmp_path: Path) -> Iterator[str]:
    """What docs/self-hosting.md starts, on this test's Redis and a free port."""
    code = examples("self-hosting.md", "sh")[0].replace("pip install 'gimel[local]>=2'\n", "")
    port = free_port()
    spool = tmp_path / "spool"
    for old, new in (
        ("redis://127.0.0.1:6379/0", url_of(store)),
        ("/var/lib/gimel", str(spool)),
        ("--port 8000", f"--port {port}"),
    ):
        assert old in code
        code = code.replace(old, new)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    code = code.replace("\ngranian", "\nexec granian")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            ["sh", "-ec", code], env=os.environ | {"PATH": path}, cwd=tmp_path, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait(lambda: serves(f"{url}/dashboard"))
        yield url
    finally:
        process.terminate()
        process.wait(60)


def test_self_hosting(store: redis.Redis, tmp_path: Path) -> None:
    with self_hosted(store, tmp_path) as url:
        fields = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "ü"}
        batch = [fields | {"uuid": str(number)} for number in range(20)]
        for body in (fields, batch, batch):
            with urllib.request.urlopen(f"{url}/e", json.dumps(body).encode()) as answer:
                assert answer.status == 200
        BackendClient(url).track("e", "a", "participate", "ü")
        assert visitors(BackendClient(url, KEY).experiment("e")) == {"a": 21}
        with pytest.raises(BackendError, match="403"):
            BackendClient(url).experiments()
    log = (tmp_path / "log").read_text()
    assert log.count("Traceback") == 0
    assert "rror" not in log
