"""One event under each fault, in time: see tests/full/patience.py."""

import subprocess

import pytest

from tests.full import patience

pytestmark = pytest.mark.slow

SECONDS = 2.0  # the promise itself


@pytest.mark.parametrize("kind", patience.KINDS)
def test_an_event_is_answered_in_time(kind: str) -> None:
    with patience.valkey() as server, patience.KINDS[kind](server) as (url, before_each):
        counted, seconds = patience.timed(url, before_each, 2)
    assert max(seconds) < SECONDS
    assert counted == (2 if kind in ("none", "connection dead, as after a thaw") else 0)


def test_a_name_server_that_does_not_answer() -> None:
    may = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    if may.returncode:
        pytest.skip("it takes root to have another name server")
    counted, seconds = patience.without_names(1)
    assert counted == 0
    assert max(seconds) < SECONDS
