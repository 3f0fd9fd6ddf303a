"""A Redis that gimel 1.5.0 and lamed 0.4.3 filled, by their own code in their own environments."""

from typing import Any

import pytest
import redis
from click.testing import CliRunner

from gimel.backend.results.counts import ExperimentCounts
from gimel.backend.wire import Event
from gimel.cli import main
from tests.support.counting import counters_of, event, events, track_1x
from tests.support.handler_requests import call
from tests.support.old_handlers import OldHandlers
from tests.support.proxy import proxy_of
from tests.support.servers import url_of
from tests.support.traffic import traffic


def sent(uuid: object, event: str = "participate", variant: str = "a", **more: str) -> Any:
    fields = {"experiment": "button color", "uuid": str(uuid), "variant": variant, "event": event}
    return "track", fields | more


def ours(call: tuple[str, dict[str, str]]) -> Event:
    fields = {"namespace": "alephbet"} | call[1]
    return Event(
        *(fields[field] for field in ("namespace", "experiment", "event", "variant", "uuid"))
    )


FIRST = [sent(uuid, variant=variant) for uuid in range(30) for variant in "ab"] + [
    sent(uuid, "signup") for uuid in range(10)
]
# ten of each that were sent before, ten that are new
AGAIN = [sent(uuid, variant=variant) for uuid in range(20, 40) for variant in "ab"] + [
    sent(uuid, "signup") for uuid in range(5, 15)
]


def only(store: redis.Redis, namespace: str = "alephbet") -> ExperimentCounts:
    (found,) = counters_of(store).read(namespace)
    return found


def migrate(store: redis.Redis, *options: str) -> str:
    done = CliRunner().invoke(main, ["migrate", "--redis-url", url_of(store), *options])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("migrated", ["before", "after", "never"])
def test_gimel_1_5_0_is_read_and_counted_on(
    store: redis.Redis, run_old: OldHandlers, migrated: str
) -> None:
    *_, theirs = run_old("gimel", *FIRST, ("experiment", {"experiment": "button color"}))
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
    run_old("gimel", *AGAIN)
    assert only(store) == found


@pytest.mark.parametrize("migrated", ["before", "after", "never"])
def test_lamed_0_4_3_is_carried_over_exactly(
    store: redis.Redis, run_old: OldHandlers, migrated: str
) -> None:
    run_old("lamed", *FIRST)
    if migrated == "before":
        assert "lamed, 60 visitors (signup 10): moved" in migrate(store)
    found = only(store)
    assert (found.trials, found.goals) == ({"a": 30, "b": 30}, {"signup": {"a": 10, "b": 0}})
    assert (found.settings.counting, found.relative_error) == ("exact", 0)
    new = [
        ours(sent(f"new {uuid}", goal)) for uuid in range(300) for goal in ("participate", "buy")
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
    run_old("lamed", sent("at lamed's"))
    assert only(store).trials == {"a": 331, "b": 30}
    counters.delete("alephbet", "button color", forget=True)
    assert {store.type(key) for key in store.scan_iter()} <= {"string"}  # lamed's flags


def test_what_lamed_counted_counts_at_most_once_more(
    store: redis.Redis, run_old: OldHandlers
) -> None:
    """lamed kept a flag for 24 hours by a hash of key and uuid; no uuid can be had from it.

    So one that comes again after the switch is new to us: once, and never again.
    """
    run_old("lamed", *FIRST)
    for _ in range(3):
        counters_of(store).add([ours(each) for each in AGAIN])
        found = only(store)
        assert (found.trials, found.goals["signup"]["a"]) == ({"a": 50, "b": 50}, 20)


def test_both_in_one_redis(store: redis.Redis, run_old: OldHandlers) -> None:
    run_old("gimel", *(sent(uuid, namespace="old") for uuid in range(20)))
    run_old("lamed", *(sent(uuid, namespace="older") for uuid in range(20)))
    run_old("gimel", *(sent(uuid, experiment="mixed") for uuid in range(5)))
    run_old("lamed", *(sent(uuid, "signup", experiment="mixed") for uuid in range(5)))
    counters = counters_of(store)
    counters.add([ours(sent(uuid, experiment="new")) for uuid in range(7)])
    for _ in range(2):
        counters.add([ours(sent("x", namespace=space)) for space in ("old", "older")])
        counters.add(
            [ours(sent("x", goal, experiment="mixed")) for goal in ("participate", "signup")]
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


def test_a_dry_run_changes_nothing(store: redis.Redis, run_old: OldHandlers) -> None:
    run_old("gimel", *FIRST)
    run_old("lamed", *(sent(uuid, namespace="n") for uuid in range(3)))
    only(store)  # a HyperLogLog that was counted keeps its count
    before = {key: store.dump(key) for key in store.scan_iter()}
    said = migrate(store, "--dry-run")
    assert (said.count("would be moved"), len(said.splitlines())) == (2, 2)
    assert {key: store.dump(key) for key in store.scan_iter()} == before
    assert len(migrate(store, "--namespace", "n").splitlines()) == 1
    assert len(migrate(store).splitlines()) == 1
    assert migrate(store).startswith("Nothing to move")


def test_a_move_cut_anywhere_loses_nothing_and_can_be_done_again(
    store: redis.Redis, run_old: OldHandlers
) -> None:
    run_old("gimel", *FIRST)
    run_old("lamed", *(sent(uuid, namespace="n") for uuid in range(9)))
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
    backend: redis.Redis, run_old: OldHandlers
) -> None:
    run_old(
        "gimel",
        sent(1, variant="red: big"),
        sent(1, variant=" big"),
        sent(1, "signup", "red: big"),
        sent(1, "goal: nobody took part", "x", experiment="other"),
        sent(1, "fine", "y", experiment="third"),
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
    store: redis.Redis, run_old: OldHandlers
) -> None:
    run_old("lamed", sent(1))
    counters = counters_of(store)
    counters.add([ours(sent(2))])
    with traffic(store) as seen:
        counters.add([ours(sent(3))])
    assert (seen.round_trips, seen.commands) == (1, {"sadd": 1})


OLD_NAMES = [
    ("alephbet", "button color", "signup", "red"),
    ("alephbet", "my a/b test", "50% off", "#1"),
    ("alephbet", "page: home", "signup", "red"),
    ("prod:eu", "e", "signup", "red"),
    ("alephbet", "e", "signup", "red: big"),
    ("alephbet", "e", "goal: buy", "red"),
    ("alephbet", "e", "goal: buy", "red: big"),
    ("alephbet", "בדיקה", "הרשמה", "אדום"),
]


@pytest.mark.parametrize("names", OLD_NAMES)
def test_a_redis_of_gimel_1_is_read_counted_on_and_deleted(
    store: redis.Redis, names: tuple[str, str, str, str]
) -> None:
    namespace, experiment, goal, variant = names
    track_1x(store, namespace, experiment, "participate", variant, "1", "2", "3")
    track_1x(store, namespace, experiment, goal, variant, "1")
    keys = set(store.scan_iter())
    counters = counters_of(store)
    (found,) = counters.read(namespace)
    assert (found.name, found.shards, found.created_at) == (experiment, 1, None)
    assert (found.trials, found.goals) == ({variant: 3}, {goal: {variant: 1}})

    counters.add([Event(namespace, experiment, "participate", variant, n) for n in "345"])
    counters.add([Event(namespace, experiment, goal, variant, n) for n in "12"])
    assert set(store.scan_iter()) - {"gimel:namespaces"} == keys
    (found,) = counters_of(store).read(namespace)
    assert (found.trials, found.goals) == ({variant: 5}, {goal: {variant: 2}})

    assert counters.delete(namespace, experiment, forget=True)
    assert store.dbsize() == 0


def test_of_two_variants_that_a_key_of_gimel_1_may_end_in_the_longer_is_meant(
    store: redis.Redis,
) -> None:
    for variant in ("red: big", " big"):
        track_1x(store, "alephbet", "e", "participate", variant, "1")
    track_1x(store, "alephbet", "e", "signup", "red: big", "1")
    (found,) = counters_of(store).read("alephbet")
    assert found.goals == {"signup": {"red: big": 1, " big": 0}}


def test_a_new_counter_of_an_old_experiment_has_one_shard(store: redis.Redis) -> None:
    track_1x(store, "alephbet", "e", "participate", "a", "1")
    counters_of(store).add(events(range(20), variant="b"))
    assert "alephbet:e:settings" not in set(store.scan_iter())
    assert store.pfcount("alephbet:counters:e:participate:b") == 20


def test_old_and_new_experiments_live_side_by_side(store: redis.Redis) -> None:
    track_1x(store, "alephbet", "old", "participate", "a", "1")
    counters = counters_of(store)
    counters.add(events([1, 2], experiment="new"))
    found = {each.name: each for each in counters.read("alephbet")}
    assert (found["old"].shards, found["old"].trials) == (1, {"a": 1})
    assert (found["new"].shards, found["new"].trials) == (64, {"a": 2})
    assert counters.delete("alephbet", "new", forget=True)
    assert store.smembers("alephbet:counter_keys") == {"alephbet:counters:old:participate:a"}
    assert [each.name for each in counters.read("alephbet")] == ["old"]


def test_a_namespace_is_in_use_while_gimel_1_left_something_in_it(store: redis.Redis) -> None:
    track_1x(store, "a:b", "old", "participate", "a", "1")
    counters = counters_of(store)
    counters.add([event(namespace="a:b")])
    counters.delete("a:b", "e", forget=True)
    assert store.smembers("gimel:namespaces") == {"a:b"}
    assert [found.trials for found in counters.read("a:b")] == [{"a": 1}]


def test_a_gimel_1_experiment_leaves_a_tombstone_too(store: redis.Redis) -> None:
    store.sadd("alephbet:experiments", "e")
    store.sadd("alephbet:e:counter_keys", "alephbet:counters:e:participate:a")
    store.pfadd("alephbet:counters:e:participate:a", "1")
    assert counters_of(store).delete("alephbet", "e") is True
    counters_of(store).add(events([1]))
    assert sorted(store.scan_iter()) == ["alephbet:deleted", "alephbet:e:deleted"]
