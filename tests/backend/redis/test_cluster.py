"""A cluster of three real servers: events and reads on it, and what can happen to it."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import Keys
from gimel.backend.redis import protocol
from gimel.backend.redis.cluster import Cluster
from gimel.backend.redis.connection import Connection
from gimel.backend.redis.protocol import Single
from gimel.backend.redis.transport import Deadline
from gimel.backend.wire import Event
from gimel.config.redis import RedisSettings
from gimel.stack.preflight.redis import check_redis
from tests.support.sender import Sender, event
from tests.support.servers import frozen, kill, port_of, url_of
from tests.support.traffic import counting_sends
from tests.support.valkey_cluster import cluster, is_whole
from tests.support.waiting import wait

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.usefixtures("unhurried")
def test_a_cluster_told_or_found_out(told: bool) -> None:
    with cluster() as nodes:
        sender = Sender(url_of(nodes[0]), cluster=told)
        assert sender.send(200)
        assert all(node.dbsize() for node in nodes), "the counters are on all servers"
        assert sender.all_counted()
        batch = [Event("n", "e", "buy", "a", str(n)) for n in range(300)]
        assert sender.intake.take(batch) == ({}, False)
        (found,) = sender.counters.read("n")
        assert found.goals == {"buy": {"a": 300}}
        assert sender.counters.delete("n", "e", forget=True)
        assert sum(node.dbsize() for node in nodes) == 0


class _Meanwhile:
    """In a cluster, does something once: when the settings' server has answered, and no other."""

    def __init__(
        self, patch: pytest.MonkeyPatch, settings: str, work: Callable[[], object]
    ) -> None:
        self._settings, self._work = settings, work
        self._held: list[tuple[Any, Sequence[Single]]] = []
        self._send = protocol.send
        self._thread = threading.get_ident()
        patch.setattr("gimel.backend.redis.cluster.send", self.send)

    def send(self, line: Any, commands: Sequence[Single]) -> None:
        if threading.get_ident() != self._thread:
            self._send(line, commands)
        elif any(self._settings in command for command in commands):
            self._thread = 0
            self._send(line, commands)
            time.sleep(0.05)  # the server reads what it was sent
            other = threading.Thread(target=self._work)
            other.start()
            other.join()
            for held in self._held:
                self._send(*held)
        else:
            self._held.append((line, commands))


@pytest.mark.parametrize("namespace", ["alephbet", "a:b"])
def test_an_experiment_that_another_process_is_making_in_a_cluster_is_no_old_one(
    namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [Event(namespace, "e", "participate", "a", str(n)) for n in range(200)]
    with cluster() as nodes:
        one, other, reader = (
            Counters(Connection(url_of(nodes[0]), cluster=True), counting="exact") for _ in "123"
        )
        for each in (one, other):
            each.add([event(0)])
        with monkeypatch.context() as patch:
            settings = Keys(namespace, "e").settings
            _Meanwhile(patch, settings, lambda: other.add(sent[:100]))
            one.add(sent)
        (found,) = reader.read(namespace, ["e"])
        assert found.trials == {"a": 200}
        reader.delete(namespace, "e", forget=True)
        other.forget()
        with monkeypatch.context() as patch:
            _Meanwhile(patch, settings, lambda: other.add(sent))
            (found,) = reader.read(namespace, ["e"])
        assert found.trials in ({}, {"a": 200})


def test_preflight_of_a_cluster() -> None:
    with cluster() as nodes:
        settings = RedisSettings.model_validate({"url": url_of(nodes[1]), "cluster": True})
        first, *_ = check_redis(settings.environment)
        assert (first.name, first.state) == ("Redis", "ok"), first
        assert sum(node.dbsize() for node in nodes) == 0


@pytest.mark.usefixtures("unhurried")
def test_slots_migrate_while_events_flow() -> None:
    with cluster() as nodes:
        sender = Sender(url_of(nodes[0]), cluster=True)
        assert sender.send(50)
        present = set(nodes[0].scan_iter())
        assert present
        done = threading.Event()

        def migrate() -> None:
            for slot in range(0, 5461, 60):
                move(slot, nodes[0], nodes[1], nodes)
            for key in nodes[0].scan_iter():
                move(key_slot(key.encode()), nodes[0], nodes[1], nodes)
            done.set()

        thread = threading.Thread(target=migrate)
        thread.start()
        while not done.is_set():
            sender.send()
        thread.join()
        sender.send(50)
        # An event may create a key that SCAN no longer meets; what was there at first must be gone.
        assert not present & set(nodes[0].scan_iter())
        assert sender.all_counted()


def move(slot: int, source: redis.Redis, target: redis.Redis, nodes: list[redis.Redis]) -> None:
    """Move a slot as valkey-cli does, key by key."""
    begin_move(slot, source, target)
    while keys := source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10):
        source.migrate("127.0.0.1", port_of(target), keys, 0, 5000)
    owner = target.execute_command("CLUSTER MYID")
    for node in (target, source, *nodes):
        node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", owner)


def begin_move(slot: int, source: redis.Redis, target: redis.Redis) -> None:
    ids = [node.execute_command("CLUSTER MYID") for node in (source, target)]
    target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])


@pytest.mark.usefixtures("unhurried")
def test_a_cluster_is_asked_directly_and_all_servers_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with cluster() as nodes:
        counters = Counters(Connection(url_of(nodes[0]), cluster=True))
        counters.add([event(number) for number in range(100)])
        monkeypatch.setattr(Cluster, "_ask_by_client", None)
        with counting_sends() as sends:
            counters.add([event(100)])
            assert len(sends) == 1
            counters.add([event(number) for number in range(200)])
            assert len(sends) == 1 + 3
        (found,) = counters.read("n")
        assert found.trials == {"a": 200}


def test_a_read_of_a_cluster_asks_each_server_twice_however_much_there_is() -> None:
    with cluster() as nodes:
        counters = Counters(Connection(url_of(nodes[0]), cluster=True))
        names = [f"experiment {number}" for number in range(25)]
        counters.add([event(0)._replace(experiment=name) for name in names])
        with counting_sends() as sends:
            assert [found.trials for found in counters.read("n", names)] == [{"a": 1}] * 25
        assert len(sends) == 2 * 3


def test_a_server_that_answered_before_another_broke_off_answers_no_later_question() -> None:
    with cluster() as nodes:
        connection = Connection(url_of(nodes[0]), cluster=True)
        keys = [f"key {number}" for number in range(30)]
        connection.execute([("SET", key, key) for key in keys])
        with frozen(nodes[0]), pytest.raises(redis.RedisError), Deadline(0.2):
            connection.ask([("GET", key) for key in keys])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gimel.backend.redis.cluster.receive", interrupt)
            with pytest.raises(KeyboardInterrupt):
                connection.ask([("GET", key) for key in keys])
        for key in reversed(keys):
            assert connection.ask([("GET", key)]) == [key.encode()]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_keys_that_are_moving_and_have_moved_are_found() -> None:
    with cluster() as nodes:
        connection = Connection(url_of(nodes[0]), cluster=True)
        connection.execute([("SET", key, key) for key in ("a key", "another")])
        slot = key_slot(b"a key")
        source = next(
            node for node in nodes if node.execute_command("CLUSTER COUNTKEYSINSLOT", slot)
        )
        target = next(node for node in nodes if node is not source)
        begin_move(slot, source, target)
        source.migrate("127.0.0.1", port_of(target), ["a key"], 0, 5000)
        wanted = [("GET", "a key"), ("GET", "another")]
        assert connection.ask(wanted) == [b"a key", b"another"], "by way of ASK"
        move(slot, source, target, nodes)
        assert connection.ask(wanted) == [b"a key", b"another"], "by way of MOVED"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Cluster, "_ask_by_client", None)
            assert connection.ask(wanted) == [b"a key", b"another"], "directly from now on"


def test_a_server_of_the_cluster_dies() -> None:
    with cluster() as nodes:
        sender = Sender(url_of(nodes[0]), cluster=True)
        assert sender.send(20)
        with frozen(nodes[2]):
            sender.send(6)
        wait(lambda: all(map(is_whole, nodes)))
        sender.send(20)
        assert sender.all_counted()


def test_a_search_of_a_cluster_that_is_gone() -> None:
    with cluster() as nodes:
        connection = Connection(url_of(nodes[0]), cluster=True)
        assert list(connection.scan("*", "set")) == []
        for node in nodes:
            kill(node)
        with pytest.raises(redis.RedisError):
            list(connection.scan("*", "set"))


@pytest.mark.usefixtures("unhurried")
def test_a_url_that_asks_for_texts_changes_nothing_in_a_cluster() -> None:
    with cluster() as nodes:
        sender = Sender(f"{url_of(nodes[0])}?decode_responses=True", cluster=True)
        assert sender.send(2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Cluster, "_ask_directly", lambda *_: {})
            assert sender.all_counted(), "as where a server does not answer"
        assert list(sender.connection.scan("*:experiments", "set")) == ["n:experiments"]


def test_servers_of_a_cluster_with_nothing_in_them_any_more_are_told_the_counters_anew() -> None:
    with cluster() as nodes:
        counters = Counters(Connection(url_of(nodes[0]), cluster=True))
        counters.add([event(1)])
        for node in nodes:
            node.flushall()
            node.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        counters.add([event(2)])
        (found,) = Counters(Connection(url_of(nodes[0]), cluster=True)).read("n")
        assert found.trials == {"a": 1}
