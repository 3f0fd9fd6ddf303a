"""The example of docs/self-hosting.md, run as it is written there."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from gimel.client import BackendClient, BackendError
from tests.support.documented_examples import examples, visitors
from tests.support.handler_requests import KEY
from tests.support.servers import free_port, url_of
from tests.support.waiting import wait

pytestmark = pytest.mark.slow


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
        assert visitors(BackendClient(url, KEY), "e") == {"a": 21}
        with pytest.raises(BackendError, match="403"):
            BackendClient(url).experiments()
    log = (tmp_path / "log").read_text()
    assert log.count("Traceback") == 0
    assert "rror" not in log
