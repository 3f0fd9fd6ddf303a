"""The ledger of events, in its quick form: see tests/full/ledger.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gimel.backend import process
from tests.full import ledger, ledger_cluster, ledger_deployed, ledger_served, membership
from tests.full.faults import Pair
from tests.full.load import SHARDS, event_of
from tests.support.aws_account import new_stack
from tests.support.serverless_cache import CREDENTIALS
from tests.support.servers import url_of

pytestmark = pytest.mark.slow

RIGHT = membership.Difference(0, 0, 0, 0)._asdict()


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    names = {"GIMEL_REDIS_URL", "GIMEL_KEY_SHA256", "GIMEL_SHARDS", "GIMEL_SPOOL"}
    for name in names | {"GIMEL_REDIS_IAM", "GIMEL_REDIS_CA"}:
        monkeypatch.setenv(name, "")  # and back as it was, afterwards
        monkeypatch.delenv(name)
    yield
    process.reset()


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger sets its own, and deletes them."""
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize("serverless", [False, True])
def test_no_acknowledged_event_is_missing_and_none_is_made_up(
    tmp_path: Path, serverless: bool
) -> None:
    figures = ledger.run(20_000, 4, tmp_path, pause=1.0, serverless=serverless)
    assert figures["acknowledged"] + figures["given up"] >= 20_000
    assert {name: figures[name] for name in RIGHT} == RIGHT
    assert figures["queued"] > 0
    assert figures["counted at once"] > 0
    assert figures["given up"] + figures["answered an error, sent again"] > 0
    assert figures["slowest (s)"] < 2.5
    assert min(figures["faults"].values()) >= 1


def test_nor_of_a_deployed_stack(aws_endpoint: str, tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    try:
        stack = ledger_deployed.make(tmp_path, pair.url, SHARDS, new_stack())
        some = [pair.kill_and_restart, pair.fail_over, lambda: pair.primary.freeze(1.0)]
        faults = {str(place): fault for place, fault in enumerate(some)}
        figures = ledger.run_deployed(2_000, 4, pair, stack, faults)
    finally:
        pair.close()
    assert figures["acknowledged"] + figures["given up"] >= 2_000
    assert {name: figures[name] for name in RIGHT} == RIGHT
    assert figures["queued"] > 0


def test_nor_on_a_server_whose_workers_are_killed(tmp_path: Path) -> None:
    figures = ledger_served.run(5_000, 4, tmp_path, pause=1.0)
    assert figures["acknowledged"] + figures["given up"] >= 5_000
    assert {name: figures[name] for name in RIGHT} == RIGHT
    assert figures["workers killed (SIGKILL)"] > 0
    assert figures["queued"] > 0
    assert figures["counted at once"] > 0
    assert figures["given up"] + figures["answered an error, sent again"] > 0
    assert figures["messages set aside"] == 0
    assert min(figures["faults"].values()) >= 1


def test_nor_on_a_cluster_but_within_a_second_that_a_node_lost(tmp_path: Path) -> None:
    figures = ledger_cluster.run(8_000, 4, tmp_path, pause=0.5)
    assert {name: figures[name] for name in RIGHT} == RIGHT
    assert figures["acknowledged outside of lost seconds"] >= 4_000
    # The nodes did lose something.
    assert figures["of these, registers missing"] > 0
    assert figures["of these, ids missing"] > 0
    assert figures["ids that a read does not count"] == 0
    assert figures["generations of exact sets"] > 1
    assert figures["reads completed"] > 2
    assert min(figures["faults"].values()) >= 1


@pytest.mark.parametrize("place", [0, 2])  # of the HyperLogLogs, of the exact counters
def test_the_comparison_sees_one_event(store: redis.Redis, place: int) -> None:
    events = [event_of(number) for number in range(2000)]
    one = event_of(10_000 + place)
    membership.fill(url_of(store), 16, [*events, one])
    with redis.Redis.from_url(url_of(store)) as raw:
        right = membership.Difference(0, 0, 0, 0)
        assert membership.compare(raw, 16, [*events, one], []) == right
        assert membership.compare(raw, 16, events, [one, event_of(3)]) == right
        assert sum(membership.compare(raw, 16, events, [])[2:]) == 1
        assert sum(membership.compare(raw, 16, [*events, one, event_of(99_996 + place)], [])) == 1
