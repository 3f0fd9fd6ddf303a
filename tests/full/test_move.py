"""The ledger of events during a move, in its quick form: see tests/full/move.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gimel.backend import process
from tests.full import membership, move
from tests.support.aws_account import new_stack

pytestmark = pytest.mark.slow

RIGHT = membership.Difference(0, 0, 0, 0)._asdict()


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("GIMEL_REDIS_URL", "GIMEL_KEY_SHA256", "GIMEL_SHARDS", "GIMEL_SPOOL"):
        monkeypatch.setenv(name, "")  # and back as it was, afterwards
        monkeypatch.delenv(name)
    yield
    process.reset()


def test_a_move_under_load_loses_nothing_and_makes_nothing_up(tmp_path: Path) -> None:
    figures = move.run(15_000, 4, tmp_path, quiet=3.0)
    assert figures["acknowledged"] >= 15_000
    assert figures["counted in the old Redis after the switch"] > 100
    assert {name: figures[name] for name in RIGHT} == RIGHT
    assert figures["problems"] == []
    assert any("arrived late" in line for line in figures["said"])
    assert figures["values copied before the switch"][0] > 0


def test_nor_does_the_move_of_a_deployed_stack(aws_endpoint: str, tmp_path: Path) -> None:
    figures = move.run_deployed(2_000, 4, tmp_path, 3.0, new_stack())
    assert figures["acknowledged"] >= 2_000
    assert {name: figures[name] for name in RIGHT} == RIGHT
    assert figures["problems"] == []
    # Before the switch, it copied more than once.
    assert figures["copies with anything new"] > 1
