"""A Redis that gimel 1.5.0 and lamed 0.4.3 filled, by their own code in their own environments."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from bench import peers
from gimel.backend.counting.counters import Counters
from gimel.backend.redis.connection import Connection
from gimel.backend.results.experiment import Experiment
from gimel.backend.wire import Event
from gimel.cli import main
from tests.servers import (
    backend_fixture,  # noqa: F401
    call,
    port_of,
    proxy_of,
    store_fixture,  # noqa: F401
    traffic,
    url_of,
)

# Each line of input is a call: [handler, event]; each line of output its answer.
_RUN = """
import importlib, json, sys
module = importlib.import_module(f"{sys.argv[1]}.{sys.argv[1]}")
for handler, event in json.load(sys.stdin):
    print(json.dumps(getattr(module, handler)(event, None)))
"""
INTERPRETERS = {"gimel": peers.gimel_1, "lamed": peers.lamed}
Peer = Callable[[list[tuple[str, dict[str, Any]]]], list[Any]]


@pytest.fixture
def run(store: redis.Redis, tmp_path: Path) -> Callable[..., list[Any]]:
    """Calls of a peer's handlers on the test's Redis, and what they answered."""
    settings = {"redis": {"host": "127.0.0.1", "port": port_of(store)}}
    (tmp_path / "config.json").write_text(json.dumps(settings))

    def call_peer(name: str, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        done = subprocess.run(
            [INTERPRETERS[name](), "-W", "ignore", "-c", _RUN, name],
            input=json.dumps(calls),
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": ""},
        )
        return [json.loads(line) for line in done.stdout.splitlines() if _is_answer(line)]

    return call_peer


def _is_answer(line: str) -> bool:
    return line[:1] in '[{n"'


def event(uuid: object, event: str = "participate", variant: str = "a", **more: str) -> Any:
    fields = {"experiment": "button color", "uuid": str(uuid), "variant": variant, "event": event}
    return "track", fields | more


def ours(call: tuple[str, dict[str, str]]) -> Event:
    fields = {"namespace": "alephbet"} | call[1]
    return Event(
        *(fields[field] for field in ("namespace", "experiment", "event", "variant", "uuid"))
    )


FIRST = [event(uuid, variant=variant) for uuid in range(30) for variant in "ab"] + [
    event(uuid, "signup") for uuid in range(10)
]
# ten of each that were sent before, ten that are new
AGAIN = [event(uuid, variant=variant) for uuid in range(20, 40) for variant in "ab"] + [
    event(uuid, "signup") for uuid in range(5, 15)
]


def counters_of(store: redis.Redis) -> Counters:
    return Counters(Connection(url_of(store)))


def only(store: redis.Redis, namespace: str = "alephbet") -> Experiment:
    (found,) = counters_of(store).read(namespace)
    return found


def migrate(store: redis.Redis, *options: str) -> str:
    done = CliRunner().invoke(main, ["migrate", "--redis-url", url_of(store), *options])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("migrated", ["before", "after", "never"])
def test_gimel_1_5_0_is_read_and_counted_on(
    store: redis.Redis, run: Callable[..., list[Any]], migrated: str
) -> None:
    *_, theirs = run("gimel", *FIRST, ("experiment", {"experiment": "button color"}))
    if migrated == "before":
        assert "gimel 1.x, 60 visitors (signup 10): moved" in migrate(store)
    found = only(store)
    assert (found.trials, found.goals) == ({"a": 30, "b": 30}, {"signup": {"a": 10, "b": 0}})
    assert {row["label"]: row["trials"] for row in theirs[0]["results"]} == found.trials
    counters = counters_of(store)
    counters.add([ours(each) for each in AGAIN])
    if migrated == "after":
        migrate(store)
        counters.add([ours(each) for each in AGAIN])
    found = only(store)
    assert (found.trials, found.goals) == ({"a": 40, "b": 40}, {"signup": {"a": 15, "b": 0}})
    assert (found.shards, found.settings.counting) == (1, "hyperloglog")
    # The same keys: what counts on both sides of a switch counts once.
    run("gimel", *AGAIN)
    assert only(store) == found


@pytest.mark.parametrize("migrated", ["before", "after", "never"])
def test_lamed_0_4_3_is_carried_over_exactly(
    store: redis.Redis, run: Callable[..., list[Any]], migrated: str
) -> None:
    run("lamed", *FIRST)
    if migrated == "before":
        assert "lamed, 60 visitors (signup 10): moved" in migrate(store)
    found = only(store)
    assert (found.trials, found.goals) == ({"a": 30, "b": 30}, {"signup": {"a": 10, "b": 0}})
    assert (found.settings.counting, found.relative_error) == ("exact", 0)
    new = [
        ours(event(f"new {uuid}", goal)) for uuid in range(300) for goal in ("participate", "buy")
    ]
    counters = counters_of(store)
    counters.add(new)
    if migrated == "after":
        migrate(store)
    counters.add(new)
    counters_of(store).add(new)
    found = only(store)
    assert found.trials == {"a": 330, "b": 30}
    assert found.goals == {"signup": {"a": 10, "b": 0}, "buy": {"a": 300, "b": 0}}
    assert found.relative_error == 0
    # Pages that still send to lamed: its numbers go on where they are.
    run("lamed", event("at lamed's"))
    assert only(store).trials == {"a": 331, "b": 30}
    counters.delete("alephbet", "button color", forget=True)
    assert {store.type(key) for key in store.scan_iter()} <= {"string"}  # lamed's flags


def test_what_lamed_counted_counts_at_most_once_more(
    store: redis.Redis, run: Callable[..., list[Any]]
) -> None:
    """lamed kept a flag for 24 hours by a hash of key and uuid; no uuid can be had from it.

    So one that comes again after the switch is new to us: once, and never again.
    """
    run("lamed", *FIRST)
    for _ in range(3):
        counters_of(store).add([ours(each) for each in AGAIN])
        found = only(store)
        assert (found.trials, found.goals["signup"]["a"]) == ({"a": 50, "b": 50}, 20)


def test_both_in_one_redis(store: redis.Redis, run: Callable[..., list[Any]]) -> None:
    run("gimel", *(event(uuid, namespace="old") for uuid in range(20)))
    run("lamed", *(event(uuid, namespace="older") for uuid in range(20)))
    run("gimel", *(event(uuid, experiment="mixed") for uuid in range(5)))
    run("lamed", *(event(uuid, "signup", experiment="mixed") for uuid in range(5)))
    counters = counters_of(store)
    counters.add([ours(event(uuid, experiment="new")) for uuid in range(7)])
    for _ in range(2):
        counters.add([ours(event("x", namespace=space)) for space in ("old", "older")])
        counters.add(
            [ours(event("x", goal, experiment="mixed")) for goal in ("participate", "signup")]
        )
    for _ in range(2):
        assert only(store, "old").trials == {"a": 21}
        assert only(store, "older").trials == {"a": 21}
        mixed, new = counters_of(store).read("alephbet")
        assert (mixed.trials, mixed.goals) == ({"a": 6}, {"signup": {"a": 6}})
        assert mixed.relative_error > 0
        assert (new.trials, new.shards) == ({"a": 7}, 64)
        said = migrate(store)
    assert "mixed" in said
    assert "some of its counters are of gimel 1.x, some of lamed" in said
    assert store.smembers("gimel:namespaces") == {"alephbet", "old", "older"}


def test_a_dry_run_changes_nothing(store: redis.Redis, run: Callable[..., list[Any]]) -> None:
    run("gimel", *FIRST)
    run("lamed", *(event(uuid, namespace="n") for uuid in range(3)))
    only(store)  # a HyperLogLog that was counted keeps its count
    before = {key: store.dump(key) for key in store.scan_iter()}
    said = migrate(store, "--dry-run")
    assert (said.count("would be moved"), len(said.splitlines())) == (2, 2)
    assert {key: store.dump(key) for key in store.scan_iter()} == before
    assert len(migrate(store, "--namespace", "n").splitlines()) == 1
    assert len(migrate(store).splitlines()) == 1
    assert migrate(store).startswith("Nothing to move")


def test_a_move_cut_anywhere_loses_nothing_and_can_be_done_again(
    store: redis.Redis, run: Callable[..., list[Any]]
) -> None:
    run("gimel", *FIRST)
    run("lamed", *(event(uuid, namespace="n") for uuid in range(9)))
    before = {key: store.dump(key) for key in store.scan_iter()}
    with proxy_of(store) as proxy:
        migrate_through(proxy.port)
        whole = proxy.taken
        for budget in range(0, whole, 61):
            store.flushall()
            for key, value in before.items():
                store.restore(key, 0, value)
            proxy.budget = budget
            assert migrate_through(proxy.port) == 1
            check_moved(store)
            proxy.budget = None
            assert migrate_through(proxy.port) == 0
            check_moved(store)


def check_moved(store: redis.Redis) -> None:
    assert only(store).trials == {"a": 30, "b": 30}
    assert only(store, "n").trials == {"a": 9}


def migrate_through(port: int) -> int:
    url = f"redis://127.0.0.1:{port}"
    return CliRunner().invoke(main, ["migrate", "--redis-url", url]).exit_code


def test_names_that_can_be_read_in_two_ways_are_reported(
    backend: redis.Redis, run: Callable[..., list[Any]]
) -> None:
    run(
        "gimel",
        event(1, variant="red: big"),
        event(1, variant=" big"),
        event(1, "signup", "red: big"),
        event(1, "goal: nobody took part", "x", experiment="other"),
        event(1, "fine", "y", experiment="third"),
    )
    _, *found = call("GET", "/experiments").body
    ambiguous = {each["experiment"]: each["ambiguous"] for each in found}
    assert ambiguous == {
        "button color": ["participate:red: big", "signup:red: big"],
        "other": ["goal: nobody took part:x"],
        "third": [],
    }
    said = migrate(backend)
    assert "its names can be read in more than one way: goal: nobody took part:x" in said
    # None is dropped, and all go on counting.
    counts = {each["experiment"]: [v["label"] for v in each["variants"]] for each in found}
    assert counts == {"button color": [" big", "red: big"], "other": ["x"], "third": ["y"]}


def test_a_warm_event_of_an_old_experiment_is_one_command(
    store: redis.Redis, run: Callable[..., list[Any]]
) -> None:
    run("lamed", event(1))
    counters = counters_of(store)
    counters.add([ours(event(2))])
    with traffic(store) as seen:
        counters.add([ours(event(3))])
    assert (seen.round_trips, seen.commands) == (1, {"sadd": 1})
