"""Events that a limit of the backend refuses: they wait, hold up no others, and count later."""

import json

import pytest

from gimel import Client
from gimel.backend.process import reset
from gimel.client import BackendClient
from gimel.sdk import sender
from tests.support.waiting import wait

TWO = ["a", "b"]


def limit_experiments(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setenv("GIMEL_LIMITS", json.dumps({"experiments": number}))
    reset()


def visitors(url: str) -> dict[str, int]:
    return {
        each["experiment"]: sum(variant["trials"] for variant in each["variants"])
        for each in BackendClient(url).experiments()
    }


@pytest.fixture(autouse=True)
def _forgotten_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_logged", set())


def test_what_a_limit_refused_counts_once_the_limit_allows_it(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limit_experiments(monkeypatch, 1)
    gimel = Client(url)
    gimel.variant("first", TWO, "visitor 0")
    assert gimel.flush(60)
    for visitor in range(1, 20):
        gimel.variant("first", TWO, f"visitor {visitor}")
        gimel.variant("second", TWO, f"visitor {visitor}")
    assert not gimel.flush(2)
    assert visitors(url) == {"first": 20}
    # The others are not held up.
    gimel.variant("first", TWO, "visitor 20")
    wait(lambda: visitors(url) == {"first": 21})
    limit_experiments(monkeypatch, 2)
    assert gimel.close(60)
    assert visitors(url) == {"first": 21, "second": 19}
    assert gimel.dropped == 0
    (line,) = (record.getMessage() for record in caplog.records if record.name == "gimel")
    assert line == "events wait in memory, refused for now: the namespace has 1 experiments already"


def test_each_refusal_makes_them_wait_longer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_FIRST_WAIT", 0.1)
    limit_experiments(monkeypatch, 0)
    gimel = Client(url)
    gimel.variant("refused", TWO, "visitor")
    waits: list[float] = []

    def has_waited(times: int) -> bool:
        if gimel._sender._refused_wait not in (0, *waits):
            waits.append(gimel._sender._refused_wait)
        return len(waits) >= times

    wait(lambda: has_waited(4))
    assert waits == [0.1 * 2**times for times in range(4)]
    assert gimel._sender._unsent == 1
    gimel.close(0)


def test_they_take_half_of_the_room(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_experiments(monkeypatch, 0)
    gimel = Client(url, max_waiting=10)
    for visitor in range(8):
        gimel.variant("refused", TWO, f"visitor {visitor}")
    assert not gimel.flush(1)
    wait(lambda: gimel.dropped == 3)
    assert gimel._sender._unsent == 5
    gimel.close(0)


def test_the_answer_says_which_events_to_send_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_experiments(monkeypatch, 0)
    event = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}
    answer = BackendClient(url)._send("POST", "/e", [event | {"namespace": "n"}, {"uuid": ""}], {})
    first, second = answer.json()["rejected"]
    assert first["retry"] is True
    assert "retry" not in second
