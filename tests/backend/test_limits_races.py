"""Limits when many processes create at once, and when Redis's memory is short."""

import json
import subprocess
import sys

import pytest
import redis

from gimel.backend.counting.counters import Counters
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from tests.support.counting import counters_of, event
from tests.support.servers import url_of, valkey

RACE = """
import sys
from gimel.backend.counting.counters import Counters
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
url, number, what = sys.argv[1:]
counters = Counters(Connection(url), limits=Limits(20, 20, 20))
print("ready", flush=True)
sys.stdin.readline()
for n in range(20):
    name = f"{number}-{n}"
    event = Event("alephbet", "e", "participate", "a", "1")
    counters.add([event._replace(**{what: name})])
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["namespace", "experiment", "variant"])
def test_fifty_processes_at_once_keep_the_limit(store: redis.Redis, what: str) -> None:
    command = [sys.executable, "-c", RACE, url_of(store)]
    processes = [
        subprocess.Popen(
            [*command, str(n), what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for n in range(50)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(120) for process in processes] == [0] * 50
    for process in processes:
        process.communicate()
    key = {
        "namespace": "gimel:namespaces",
        "experiment": "alephbet:experiments",
        "variant": "alephbet:e:counter_keys",
    }[what]
    assert store.scard(key) <= 20, "what was over the limit was taken back"


def test_a_short_memory_creates_nothing_for_strangers() -> None:
    with valkey() as server:
        counters = counters_of(server)
        counters.add([event()])
        server.config_set("maxmemory", int(server.info("memory")["used_memory"] / 0.8))
        fresh = counters_of(server)
        assert "70 % full" in fresh.add([event(experiment="new")])[0]
        assert "70 % full" in fresh.add([event(variant="new")])[0]
        assert fresh.add([event(uuid="2")]) == {}, "what exists goes on counting"
        assert server.smembers("alephbet:experiments") == {"e"}
        server.config_set("maxmemory", 0)
        assert counters_of(server).add([event(experiment="new")]) == {}


def test_a_nearly_full_redis_is_reported_when_counters_are_registered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with valkey() as server:
        for share, reported in ((0.75, []), (0.9, [90])):
            server.config_set("maxmemory", int(server.info("memory")["used_memory"] / share))
            counters = counters_of(server)
            counters.add([event()])
            counters.add([event(uuid="2")])
            lines = map(json.loads, capsys.readouterr().out.splitlines())
            assert [line["redis_percent_full"] for line in lines] == pytest.approx(reported, abs=2)


def test_a_redis_that_reports_no_limit_has_the_one_of_the_settings() -> None:
    with valkey() as server:
        limits = Limits(memory=1)
        counters = Counters(Connection(url_of(server)), limits=limits)
        server.set("ballast", b"x" * 1_000_000)
        assert "70 % full" in counters.add([event()])[0]


def test_a_user_who_may_not_ask_for_the_memory_counts(store: redis.Redis) -> None:
    store.execute_command("ACL", "SETUSER", "noinfo", "on", ">p", "~*", "+@all", "-info")
    try:
        url = url_of(store).replace("redis://", "redis://noinfo:p@")
        assert Counters(Connection(url)).add([event()]) == {}
    finally:
        store.execute_command("ACL", "DELUSER", "noinfo")
