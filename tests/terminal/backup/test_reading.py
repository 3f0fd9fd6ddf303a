"""Everything that Gimel has in a Redis is found: a new kind of key that is not fails here."""

import re
from typing import Any

import pytest
import redis

from gimel.backend.counting import keys
from gimel.backend.counting.keys import MOVING
from gimel.backend.redis.connection import Connection
from gimel.terminal.backup.kinds import KINDS
from gimel.terminal.backup.reading import Reader
from gimel.terminal.backup.section import BackupError
from tests.support.counting import counters_of, events
from tests.support.redis_content import content
from tests.support.servers import url_of
from tests.support.whole_life import live, send


def pattern_of(kind: str) -> str:
    return re.sub(r"<[a-z]+>", "[^:#]+", kind.replace("<i>", r"\d+").replace("<n>", r"\d+"))


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
    listed = re.findall(r"^    ((?:gimel:|<ns>)\S*(?: \S+:\S+)*)", keys.__doc__ or "", re.M)
    assert listed == list(KINDS)


def test_every_kind_of_key_that_a_life_leaves_is_known_and_read(backend: redis.Redis) -> None:
    live(backend)
    held = {key: kind for key, (kind, _) in content(backend).items()}
    kinds = {key: kind_of(key, type) for key, type in held.items() if not re.fullmatch(OLD, key)}
    assert [key for key, kind in kinds.items() if kind is None] == []
    assert set(kinds.values()) == KINDS.keys() - {MOVING}
    sections = Reader(Connection(url_of(backend))).sections()
    records = [record for _, records in sections for record in records]
    assert held.keys() == {record.key for record in records}
    for record in records:
        assert kinds.get(record.key, record.kind) == record.kind
        assert record.type == held[record.key]


def test_a_kind_that_nobody_reads_is_missed(backend: redis.Redis) -> None:
    send("e", 10)
    backend.rpush("alephbet:e:history", "later")
    held = content(backend)
    assert kind_of("alephbet:e:history", "list") is None
    assert held.keys() - {key for of_one in read(backend).values() for key in of_one} == {
        "alephbet:e:history"
    }


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


def test_keys_of_other_programs_are_left_alone(backend: redis.Redis) -> None:
    send("e", 5)
    backend.set("session:1", "x")
    backend.hset("user:7:settings", "colour", "red")
    assert set(read(backend)) == {"alephbet/e"}


def test_a_value_that_is_no_count_is_named(backend: redis.Redis) -> None:
    send("e", 5)
    backend.set("alephbet:counters:e:participate:blue#5", "a text")
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
