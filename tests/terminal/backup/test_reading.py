"""Everything that Gimel has in a Redis is found: a new kind of key that is not fails here."""

import re
from typing import Any

import pytest
import redis

from gimel.backend.counting import exact, keys
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import MOVING, NEWS, SNAPSHOTS, WRITER, Generation
from gimel.backend.redis.connection import Connection
from gimel.terminal.backup import kinds, reading
from gimel.terminal.backup.kinds import KINDS, SCATTERED_SETS
from gimel.terminal.backup.reading import Reader
from gimel.terminal.backup.section import BackupError
from tests.support.counting import counters_of, events, exact_counters_of
from tests.support.redis_content import content
from tests.support.servers import url_of
from tests.support.whole_life import live, send

MARKED_WHILE_FULL = "<ns>:{<ns>:experiments}:deleted"
SETS = "<ns>:{counters:<experiment>:<goal>:<variant>#<i mod 16>}<n>:<i>"


def pattern_of(kind: str) -> str:
    numbers = re.sub("<(i|n|i mod 16)>", "[0-9]+", kind)
    return re.sub("<[a-z]+>", "[^:#]+", numbers)


# Names of gimel 1.x stand in keys as they are.
OLD = r"alephbet:(counters:)?old: one:.*"


def kind_of(key: str, type: str) -> str | None:
    """The kind of a key of today's layout, by its form alone."""
    found = [kind for kind, of in KINDS.items() if re.fullmatch(pattern_of(kind), key)]
    return next((kind for kind in found if KINDS[kind] == type), None)


def read(store: redis.Redis, *arguments: Any) -> dict[str, list[str]]:
    """The keys of each section."""
    sections = Reader(Connection(url_of(store)), *arguments).sections()
    return {section.label: [record.key for record in records] for section, records in sections}


def test_the_module_of_keys_lists_its_kinds() -> None:
    text = keys.__doc__ or ""
    listed = re.findall(r"^    ((?:gimel:|<ns>).*?)(?:  |$)", text, re.M)
    assert [*listed, SCATTERED_SETS] == list(KINDS)
    assert f"Data model 2 had sets of other\nkeys, `{SCATTERED_SETS}`" in text


def test_every_kind_of_key_that_a_life_leaves_is_known_and_read(backend: redis.Redis) -> None:
    live(backend)
    held = {key: kind for key, (kind, _) in content(backend).items()}
    found = {key: kind_of(key, type) for key, type in held.items() if not re.fullmatch(OLD, key)}
    assert [key for key, kind in found.items() if kind is None] == []
    passing = {MOVING, NEWS, SNAPSHOTS, WRITER, MARKED_WHILE_FULL, SCATTERED_SETS}
    assert set(found.values()) == KINDS.keys() - passing
    sections = [
        (section, list(records))
        for section, records in Reader(Connection(url_of(backend))).sections()
    ]
    records = [record for _, of_one in sections for record in of_one]
    assert held.keys() == {record.key for record in records}
    for record in records:
        assert found.get(record.key, record.kind) == record.kind
        assert record.type == held[record.key]
    for section, of_one in sections:
        # Without settings, an experiment would pass for one of gimel 1.x.
        if section.experiment and not section.is_legacy and not section.is_deleted:
            assert of_one[0].kind.endswith(":settings")


def test_a_kind_that_nobody_reads_is_missed(backend: redis.Redis) -> None:
    send("e", 10)
    backend.rpush("alephbet:e:later", "later")
    held = content(backend)
    assert kind_of("alephbet:e:later", "list") is None
    assert held.keys() - {key for of_one in read(backend).values() for key in of_one} == {
        "alephbet:e:later"
    }


@pytest.mark.parametrize("name", ["plain", "a:b#1:2", "{a", "a}b", "{}", "#}3:{"])
def test_keys_of_any_name_are_told_apart(name: str) -> None:
    of_names = keys.Keys(name, name)
    for generation in (Generation(64), Generation(64, is_scattered=True)):
        kind = SCATTERED_SETS if generation.is_scattered else SETS
        for key in generation.keys(of_names.sets(name, name)):
            assert kinds.kind_of(key, "set", name, of_names) == kind
            assert kinds.kind_of(key, "set", name, keys.Keys(name, "other")) is None
    # An experiment may have this name, too.
    parts = keys.Keys(name, "experiments").deleted_parts
    assert parts not in keys.deletion_marks(name)


def test_marks_of_a_full_redis_are_read(backend: redis.Redis) -> None:
    lasting, *while_full = keys.deletion_marks("a:b")
    for number, marks in enumerate([lasting, *while_full]):
        backend.sadd(marks, f"e{number}")
    backend.sadd("gimel:namespaces", "a:b")
    sections = Reader(Connection(url_of(backend))).sections()
    ((record,),) = [list(records) for _, records in sections]
    assert record == (lasting, "<ns>:deleted", ["e0", "e1", "e2"])


def test_sections_can_be_chosen(backend: redis.Redis) -> None:
    for namespace in ("alephbet", "staging"):
        send("one", 5, namespace=namespace)
        send("two", 5, namespace=namespace)
    assert set(read(backend)) == {f"{ns}/{name}" for ns in ("alephbet", "staging")
                                  for name in ("one", "two")}  # fmt: skip
    assert set(read(backend, "staging")) == {"staging/one", "staging/two"}
    assert set(read(backend, None, ["two"])) == {"alephbet/two", "staging/two"}
    assert set(read(backend, "staging", ["two"])) == {"staging/two"}
    with pytest.raises(BackupError, match=r"^there is no experiment th\\u\{1b\}ree in this Redis$"):
        read(backend, None, ["th\x1bree"])
    with pytest.raises(
        BackupError, match=r"^there is no experiment x in namespace staging of this"
    ):
        read(backend, "staging", ["x"])
    with pytest.raises(BackupError, match=r"^this Redis has nothing of namespace ty\\u\{1b\}po$"):
        read(backend, "ty\x1bpo")


def test_keys_of_other_programs_are_left_alone(backend: redis.Redis) -> None:
    send("e", 5)
    backend.set("session:1", "x")
    backend.hset("user:7:settings", "colour", "red")
    assert set(read(backend)) == {"alephbet/e"}


@pytest.mark.parametrize("value", ["a text", "1" + 30 * "0", "9223372036854775808", "9" * 5000])
def test_a_value_that_is_no_count_is_named(backend: redis.Redis, value: str) -> None:
    send("e", 5)
    backend.set("alephbet:counters:e:participate:blue#5", value)
    said: list[str] = []
    for _, records in Reader(Connection(url_of(backend)), say=said.append).sections():
        list(records)
    assert said == [
        "! left out key alephbet:counters:e:participate:blue#5: it holds no count of Gimel's"
    ]


@pytest.mark.parametrize("again", [False, True])
def test_an_experiment_that_is_deleted_meanwhile_ends_it(store: redis.Redis, again: bool) -> None:
    counters = counters_of(store)
    counters.add(events(range(100)))
    _, records = next(Reader(Connection(url_of(store))).sections())
    next(records)
    counters.delete("alephbet", "e", forget=again)
    if again:
        # Another process, with another salt
        counters_of(store).add(events(range(100)))
    with pytest.raises(BackupError, match="alephbet/e was deleted or begun anew meanwhile"):
        list(records)


@pytest.fixture
def settles_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "SETTLING_SECONDS", 0)


def grown(store: redis.Redis) -> Counters:
    """Exact counters with 30,000 members in their first sets, and few in the next ones."""
    exact_counters_of(store).add(events(range(30_000)))
    counters = exact_counters_of(store)
    counters.add(events(range(30_000, 30_010)))
    return counters


def sizes(store: redis.Redis) -> list[int]:
    """The sizes of the generations of sets."""
    fields = filter(keys.is_generation, store.hkeys("alephbet:e:settings"))
    return sorted(int(field.split(" ")[1]) for field in fields)


@pytest.mark.usefixtures("settles_at_once")
@pytest.mark.parametrize("at", [5, 40, 63, 64, 300])
def test_members_that_a_read_moves_meanwhile_are_not_missed(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(reading, "_AT_ONCE", 1)
    counters = grown(store)
    assert sizes(store) == [64, 256]
    found: set[str] = set()
    _, records = next(Reader(Connection(url_of(store))).sections())
    sets = 0
    for record in records:
        if record.kind == SETS:
            found.update(record.value)
            sets += 1
            if sets == at:
                counters.read("alephbet")
    assert len(found) == 30_010


@pytest.mark.usefixtures("settles_at_once")
def test_sets_that_begin_meanwhile_are_not_missed(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_AT_ONCE", 1)
    exact_counters_of(store).add(events(range(30_000)))
    found: set[str] = set()
    settings: list[dict[str, str]] = []
    _, records = next(Reader(Connection(url_of(store))).sections())
    for record in records:
        if record.kind.endswith(":settings"):
            settings.append(record.value)
        if record.kind == SETS:
            if not found:
                counters = exact_counters_of(store)
                counters.add(events(range(30_000, 30_010)))
                counters.read("alephbet")
            found.update(record.value)
    assert sizes(store) == [64, 256]
    assert len(found) >= 30_000
    # The sets are known before their members come.
    assert [sum(map(keys.is_generation, each)) for each in settings] == [1, 2]


def test_sets_of_data_model_2_that_begin_meanwhile_are_read_before_those_of_today(
    store: redis.Redis,
) -> None:
    """A process of an earlier version adds there, and a read by another moves the members."""
    exact_counters_of(store).add(events(range(1000)))
    counter = "alephbet:counters:e:participate:a"
    late = Generation(16, is_scattered=True)
    _, records = next(Reader(Connection(url_of(store))).sections())
    read: list[str] = []
    for record in records:
        if record.kind == SETS and not store.exists(late.key(counter, 5)):
            store.hset("alephbet:e:settings", late.field(counter), "")
            store.sadd(late.key(counter, 5), 5)
        read.append(record.key)
    at = read.index(late.key(counter, 5))
    assert set(read[at:]) >= {*Generation(64).keys(counter)}
