"""`gimel track`: what became of an event. `gimel delete` of one goal or variant, and health."""

import pytest

from gimel.client import BackendClient
from tests.support.commands import complaint, count, run, said
from tests.support.servers import free_port

EVENT = ("button color", "--variant", "red", "--event", "participate")


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


def test_delete_takes_one_goal_or_variant(url: str) -> None:
    count("e", {"a": 30, "b": 31, "prank": 9}, {"signup": {"a": 3, "b": 4}, "junk": {"a": 1}})
    delete = ("delete", "e", "--url", url)
    assert "Delete all counts of the goal junk of e?" in run(*delete, "--goal", "junk").output
    done = said(run(*delete, "--goal", "junk", "--yes"))
    assert done == "Deleted. Later events of this goal make it anew.\n"
    assert said(run(*delete, "--variant", "prank", "--yes")).startswith("Deleted.")
    found = BackendClient(url).experiment("e")
    assert [each["label"] for each in found["variants"]] == ["a", "b"]
    assert [each["goal"] for each in found["goals"]] == ["signup"]
    line = complaint(run(*delete, "--variant", "prank", "--yes"))
    assert line == "there is no variant prank in e"


@pytest.mark.parametrize(
    "arguments",
    [
        ("e", "--goal", "g", "--variant", "v"),
        ("e", "--goal", "g", "--forget"),
        ("--goal", "g", "--match", "e*"),
    ],
)
def test_what_cannot_be_deleted_together(url: str, arguments: tuple[str, ...]) -> None:
    result = run("delete", *arguments, "--yes", "--url", url)
    assert (result.exit_code, "goes with one EXPERIMENT" in result.output) == (2, True)


def test_an_earlier_backend_is_not_asked_to_delete_a_part(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count("e", {"a": 30, "b": 31}, {"junk": {"a": 1}})
    answer = BackendClient(url).experiment("e")
    del answer["health"]
    monkeypatch.setattr(BackendClient, "experiment", lambda *_: answer)
    line = complaint(run("delete", "e", "--goal", "junk", "--yes", "--url", url))
    assert "would delete the whole experiment" in line
    assert trials(url) == 61


def test_results_say_what_is_wrong_and_what_to_do(url: str) -> None:
    count("e", {"blue": 400, "red": 410}, {"signup": {"blue": 90}})
    printed = " ".join(said(run("results", "e", "--url", url)).split())
    assert "! No visitor of red has reached signup." in printed
    assert "Check that the page sends signup where it shows red." in printed
    assert "! " not in said(run("results", "--url", url)), "a list of experiments has no checks"
