"""Moving to another Redis: what is changed, deleted or counted meanwhile, on either side."""

from collections.abc import Callable, Iterator

import pytest
import redis

from gimel.backend.counting.declaring import change
from gimel.backend.counting.keys import MOVING, marked_while_full
from gimel.backend.redis.connection import Connection
from gimel.terminal.backup import moving
from gimel.terminal.backup.merging import Merger
from gimel.terminal.backup.moving import Move
from gimel.terminal.backup.reading import Reader
from gimel.terminal.backup.section import BackupError
from tests.support.counting import events, exact_counters_of
from tests.support.redis_content import content, timeless
from tests.support.servers import url_of, valkey
from tests.support.whole_life import live

QUIET = 0.2


class Moved:
    """A move from one Valkey to another, and what it said."""

    def __init__(self, old: redis.Redis, new: redis.Redis) -> None:
        self.old, self.new = old, new
        self.said: list[str] = []
        self.move = Move(Connection(url_of(old)), Connection(url_of(new)), self.said.append)
        self.move.begin()

    def finish(self) -> None:
        self.move.finish(QUIET)

    def again(self) -> "Moved":
        """Return the move as another process makes it."""
        return Moved(self.old, self.new)

    def trials(self, name: str = "e") -> int | None:
        """The visitors that an experiment has at the new Redis."""
        found = {each.name: each.trials for each in exact_counters_of(self.new).read("alephbet")}
        return found[name]["a"] if name in found else None


@pytest.fixture
def moved(store: redis.Redis) -> Iterator[Moved]:
    """An experiment of a hundred visitors; an empty Redis to move to."""
    exact_counters_of(store).add(events(range(100)))
    with valkey() as new:
        yield Moved(store, new)


def test_what_begins_while_it_is_copied_is_copied_next_time(moved: Moved) -> None:
    """Its names without its settings would make it an experiment of gimel 1.x, for good."""
    source = Connection(url_of(moved.old))
    change(source, ("alephbet", "late"), {"counting": "exact"}, "owner")
    merger = Merger(Connection(url_of(moved.new)))
    for section, records in Reader(source, experiments=["late"]).sections():
        exact_counters_of(moved.old).add(events(range(100), experiment="late"))
        for record in records:
            merger.add(section, record)
        assert not merger.is_listed(section)
    moved.move.copy()
    assert moved.move.problems == {}
    assert moved.trials("late") == 100


@pytest.mark.slow
def test_a_life_is_moved_and_what_comes_late_too(backend: redis.Redis) -> None:
    live(backend)
    with valkey() as new:
        moved = Moved(backend, new)
        assert moved.move.copy() > 26_000
        assert moved.move.copy() == 0
        old = content(backend)
        copy = {key: value for key, value in content(new).items() if key != MOVING}
        assert timeless(copy) == timeless(old)
        # A function that has not heard of the switch
        exact_counters_of(backend).add(events(range(1000, 1200), experiment="exact", variant="red"))
        moved.finish()
        assert content(new).keys() == content(backend).keys()
        assert moved.move.compared > 26_000
        assert not moved.move.problems
    assert moved.said[-1].startswith("copied what arrived late: ")


def test_both_addresses_of_one_redis_are_refused(store: redis.Redis) -> None:
    exact_counters_of(store).add(events(range(10)))
    before = content(store)
    with pytest.raises(BackupError, match=r"^both addresses lead to one Redis"):
        Moved(store, store)
    assert content(store) == before


def test_a_finish_without_a_beginning_is_refused(moved: Moved) -> None:
    moved.new.flushall()
    with pytest.raises(BackupError, match=r"^no move to this Redis has begun"):
        moved.finish()


def test_what_was_set_meanwhile_is_moved_and_what_was_set_since_stays(moved: Moved) -> None:
    settings = "alephbet:e:settings"
    moved.old.hset(settings, mapping={"owner": "ana", "link": "1", "hypothesis": "h"})
    moved.move.copy()
    # before the switch, the last of it after the last copy
    moved.old.hset(settings, mapping={"owner": "bea", "state": "stopped"})
    moved.old.hdel(settings, "hypothesis")
    moved = moved.again()
    moved.move.copy()
    moved.old.hset(settings, mapping={"link": "2", "equivalence": "0.1"})
    # after the switch
    moved.new.hset(settings, mapping={"owner": "eva", "equivalence": "0.2"})
    moved.new.hdel(settings, "state")
    moved.again().finish()
    found = moved.new.hgetall(settings)
    fields = ("owner", "link", "equivalence", "state", "hypothesis")
    assert [found.get(field) for field in fields] == ["eva", "2", "0.2", None, None]


def test_what_was_deleted_before_the_switch_is_deleted(moved: Moved) -> None:
    moved.move.copy()
    exact_counters_of(moved.old).delete("alephbet", "e")
    moved = moved.again()
    moved.move.copy()
    assert moved.trials() is None
    assert moved.said == ["Deleted the copy of alephbet/e, which was deleted meanwhile."]
    exact_counters_of(moved.new).add(events(range(200)))
    moved.finish()
    assert moved.trials() is None


def test_what_was_deleted_right_before_the_switch_is_deleted(moved: Moved) -> None:
    moved.move.copy()
    exact_counters_of(moved.old).delete("alephbet", "e")
    moved.finish()
    assert moved.trials() is None
    exact_counters_of(moved.new).add(events(range(200)))
    assert moved.trials() is None


def test_what_was_deleted_in_a_full_redis_is_deleted(moved: Moved) -> None:
    moved.move.copy()
    exact_counters_of(moved.old).delete("alephbet", "e")
    moved.old.smove("alephbet:deleted", marked_while_full("alephbet:experiments"), "e")
    moved.finish()
    assert moved.trials() is None
    exact_counters_of(moved.new).add(events(range(200)))
    assert moved.trials() is None


def test_a_mark_of_a_full_redis_gives_way_to_an_experiment_that_began_anew(moved: Moved) -> None:
    marks = marked_while_full("alephbet:experiments")
    moved.new.sadd(marks, "e")
    moved.move.copy()
    assert not moved.new.exists(marks)
    assert moved.trials() == 100


def test_a_new_redis_that_loses_the_beginning_of_sets_gets_it_again(moved: Moved) -> None:
    moved.move.copy()
    field = "grown 64 alephbet:counters:e:participate:a"
    assert moved.new.hdel("alephbet:e:settings", field) == 1
    moved.again().finish()
    assert moved.trials() == 100
    assert int(moved.new.hget("alephbet:e:settings", field) or 0) > 0


@pytest.mark.parametrize("forget", [True, False])
def test_what_was_deleted_after_the_switch_stays_deleted(moved: Moved, forget: bool) -> None:
    moved.move.copy()
    exact_counters_of(moved.new).delete("alephbet", "e", forget=forget)
    moved.finish()
    assert moved.trials() is None
    exact_counters_of(moved.new).add(events(range(7)))
    assert moved.trials() == (7 if forget else None)


def test_a_name_that_is_free_again_after_the_switch_stays_free(moved: Moved) -> None:
    exact_counters_of(moved.old).delete("alephbet", "e")
    moved.move.copy()
    exact_counters_of(moved.new).delete("alephbet", "e", forget=True)
    moved.finish()
    exact_counters_of(moved.new).add(events(range(7)))
    assert moved.trials() == 7


def test_a_name_that_is_free_again_before_the_switch_is_free(moved: Moved) -> None:
    exact_counters_of(moved.old).delete("alephbet", "e")
    moved.move.copy()
    exact_counters_of(moved.old).delete("alephbet", "e", forget=True)
    exact_counters_of(moved.old).add(events(range(7)))
    moved.move.copy()
    assert moved.trials() == 7
    exact_counters_of(moved.new).add(events(range(9)))
    moved.finish()
    assert moved.trials() == 9


def test_an_old_redis_that_is_emptied_takes_nothing_with_it(moved: Moved) -> None:
    moved.move.copy()
    moved.old.flushall()
    moved.move.copy()
    moved.finish()
    assert moved.trials() == 100
    assert moved.said == [
        "! alephbet/e is no longer in the old Redis. Its copy stays: delete it after the "
        "switch if you do not want it"
    ]


def begin_anew(moved: Moved) -> None:
    exact_counters_of(moved.old).delete("alephbet", "e", forget=True)
    exact_counters_of(moved.old).add(events(range(7)))


def begin_at_both(moved: Moved) -> None:
    for store in (moved.old, moved.new):
        exact_counters_of(store).add(events(range(7), experiment="late"))


@pytest.mark.parametrize(
    ("disturb", "said"),
    [
        (begin_anew, "experiment alephbet/e was begun anew during the move"),
        (begin_at_both, "experiment alephbet/late began here on its own, with another salt"),
    ],
)
def test_what_cannot_be_moved_is_named_and_the_rest_is_moved(
    moved: Moved, disturb: Callable[[Moved], None], said: str
) -> None:
    exact_counters_of(moved.old).add(events(range(20), experiment="other"))
    moved.move.copy()
    exact_counters_of(moved.old).add(events(range(30), experiment="other"))
    disturb(moved)
    moved.finish()
    (problem,) = moved.move.problems.values()
    assert problem.startswith(said)
    # The move is still begun.
    moved.finish()
    assert moved.move.problems
    assert moved.trials("other") == 30
    assert moved.trials() == 100


def test_a_finish_after_the_problem_is_mended_ends_the_move(moved: Moved) -> None:
    moved.move.copy()
    begin_at_both(moved)
    moved.finish()
    assert moved.new.exists(MOVING)
    exact_counters_of(moved.new).delete("alephbet", "late")
    moved.finish()
    assert not moved.move.problems
    assert not moved.new.exists(MOVING)


def test_an_old_redis_in_use_is_noticed(moved: Moved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "_PATIENCE", 1.0)
    moved.move.copy()
    copy, number = moved.move.copy, iter(range(1000, 9999))

    def copy_after_an_event(*, is_switched: bool = False) -> int:
        exact_counters_of(moved.old).add(events([next(number) for _ in range(9)]))
        return copy(is_switched=is_switched)

    monkeypatch.setattr(moved.move, "copy", copy_after_an_event)
    with pytest.raises(BackupError, match=r"^events still arrive at the old Redis"):
        moved.finish()
