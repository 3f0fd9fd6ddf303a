"""`gimel track`: what became of an event."""

import pytest

from gimel.client import BackendClient
from tests.support.commands import complaint, run, said
from tests.support.servers import free_port

EVENT = ("--experiment", "button color", "--variant", "red", "--event", "participate")


def trials(url: str, namespace: str = "alephbet") -> int:
    (found,) = BackendClient(url).experiments(namespace)
    return sum(variant["trials"] for variant in found["variants"])


def test_track_says_that_the_event_is_counted(url: str) -> None:
    for options in ([], [], ["--uuid", "u1"], ["--uuid", "u1"], ["--namespace", "n"]):
        assert said(run("track", "--url", url, *EVENT, *options)) == "Counted.\n"
    assert (trials(url), trials(url, "n")) == (3, 1)


def test_track_names_the_visitor(url: str) -> None:
    for _ in range(3):
        said(run("track", "--url", url, *EVENT, "--visitor", "visitor 1"))
    assert trials(url) == 1


def test_track_says_why_an_amount_is_ignored(url: str) -> None:
    goal = {"name": "revenue", "kind": "value", "cap": 500}
    variants = [{"name": "blue"}, {"name": "red"}]
    BackendClient(url).declare("button color", {"variants": variants, "goals": [goal]})
    revenue = ("track", "--url", url, *EVENT[:-1], "revenue", "--visitor", "visitor 1")
    assert said(run(*revenue)) == "Ignored: goal needs a value.\n"
    assert said(run(*revenue, "--value", "49.90")) == "Counted.\n"
    (found,) = BackendClient(url).experiment("button color")["goals"]
    sums = {row["label"]: row["sum"] for row in found["results"]}
    assert sums["red"] == pytest.approx(49.9, rel=0.1)


def test_track_refuses_what_cannot_count(url: str) -> None:
    track = ("track", "--url", url, *EVENT)
    assert "uuid is empty" in complaint(run(*track, "--uuid", " "))
    assert "value must be a finite number" in complaint(run(*track, "--value", "-1"))
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert "cannot be reached" in complaint(run("track", "--url", nowhere, *EVENT))
