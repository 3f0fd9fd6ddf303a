"""The library's face against a real backend: variants, goals, and that nothing ever raises."""

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gimel import Client
from gimel.client import BackendClient, BackendError
from gimel.sdk import Experiment, client
from tests.support.waiting import wait

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "docs/assignment-vectors.json").read_text("utf-8"))["assignments"]
TWO = ["blue", "red"]


@pytest.fixture
def gimel(url: str) -> Iterator[Client]:
    """A client of the handlers over HTTP, on an empty Valkey."""
    gimel = Client(url)
    yield gimel
    gimel.close(0)


def counted(url: str, experiment: str) -> dict[str, int]:
    """Return the visitors of each variant."""
    try:
        found = BackendClient(url).experiment(experiment)
    except BackendError:
        return {}
    return {each["label"]: each["trials"] for each in found["variants"]}


def reached(url: str, experiment: str, goal: str) -> int:
    """Return how often a goal was reached."""
    found = {each["goal"]: each for each in BackendClient(url).experiment(experiment)["goals"]}
    return sum(row["successes"] for row in found[goal]["results"]) if goal in found else 0


# The face, which programs rely on

FACE = {
    Client.__init__: "(self, url: str | None, *, key: str | None = None, namespace: str = "
    "'alephbet', timeout: float = 5.0, max_waiting: int = 10000) -> None",
    Client.experiment: "(self, name: str, variants: Iterable[str] | Mapping[str, float], *, "
    "traffic: float = 1.0) -> Experiment",
    Client.variant: "(self, experiment: str, variants: Iterable[str] | Mapping[str, float], "
    "visitor: str | int | UUID, *, traffic: float = 1.0) -> str",
    Client.goal: "(self, name: str, visitor: str | int | UUID, *, value: float | None = None, "
    "experiment: str | None = None, uuid: str | int | UUID | None = None) -> None",
    Client.flush: "(self, timeout: float = 10.0) -> bool",
    Client.close: "(self, timeout: float = 3.0) -> bool",
    Experiment.variant: "(self, visitor: str | int | UUID) -> str",
    Experiment.goal: "(self, name: str, visitor: str | int | UUID, *, value: float | None = None, "
    "uuid: str | int | UUID | None = None) -> None",
}


@pytest.mark.parametrize("method", FACE, ids=lambda method: method.__qualname__)
def test_the_face_stays_and_is_documented(method: Any) -> None:
    signature = str(inspect.signature(method)).replace("'Experiment'", "Experiment")
    for module in ("collections.abc.", "uuid."):
        signature = signature.replace(module, "")
    assert signature == FACE[method]
    assert method.__doc__ or method is Client.__init__
    assert inspect.getdoc(Client)


def test_what_does_not_send_imports_no_http_library() -> None:
    program = "import gimel, sys; assert 'requests' not in sys.modules; gimel.Client('')"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.slow
def test_a_type_checker_knows_the_face(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("from gimel import Client\nClient('').variant('e', ['a', 'b'], None)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", program],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Argument 3 to "variant" of "Client" has incompatible type "None"' in done.stdout
    assert "Found 1 error" in done.stdout


# Variants


@pytest.mark.parametrize("vector", VECTORS)
def test_the_assignment_is_the_published_one(vector: dict[str, Any]) -> None:
    gimel = Client(None)
    fields = vector["experiment"], vector["weights"], vector["visitor"]
    baseline = next(iter(vector["weights"]))
    shown = gimel.variant(*fields, traffic=vector["traffic"])
    assert shown == (vector["variant"] if vector["takes_part"] else baseline)


def test_a_visitor_takes_part_once(url: str, gimel: Client) -> None:
    color = gimel.experiment("button color", TWO)
    shown = [color.variant(visitor) for visitor in range(100)]
    assert [gimel.variant("button color", TWO, str(visitor)) for visitor in range(100)] == shown
    assert len(gimel._sender._waiting) == 100
    assert gimel.flush()
    # A process that starts anew sends again what counts once.
    with_no_memory = Client(url)
    with_no_memory.variant("button color", TWO, 0)
    assert with_no_memory.close()
    assert counted(url, "button color") == {each: shown.count(each) for each in TWO}


def test_outside_of_traffic_the_baseline_is_shown_and_nothing_is_sent(
    url: str, gimel: Client, caplog: pytest.LogCaptureFixture
) -> None:
    color = gimel.experiment("button color", {"blue": 0, "red": 1}, traffic=0.3)
    shown = [color.variant(visitor) for visitor in range(1000)]
    for visitor in range(1000):
        color.goal("signup", visitor)
    assert gimel.flush()
    assert not caplog.records
    taking_part = shown.count("red")
    assert 230 < taking_part < 370
    assert counted(url, "button color") == {"red": pytest.approx(taking_part, abs=3)}
    assert reached(url, "button color", "signup") == pytest.approx(taking_part, abs=3)


def test_ids_that_django_has_are_text(gimel: Client) -> None:
    order = UUID("3f2b8c1e-5a7d-4c0b-9b1e-2f6d8a1c4e77")
    color = gimel.experiment("button color", TWO)
    assert color.variant(17) == color.variant("17")
    assert color.variant(order) == color.variant(str(order))
    assert len(gimel._sender._waiting) == 2


# Goals


def test_a_goal_counts_for_the_variant_of_its_visitor(url: str, gimel: Client) -> None:
    color = gimel.experiment("button color", TWO)
    shown = {str(visitor): color.variant(visitor) for visitor in range(20)}
    for visitor in shown:
        gimel.goal("signup", visitor)
        color.goal("signup", visitor)
    assert gimel.flush()
    found = BackendClient(url).experiment("button color")["goals"][0]["results"]
    assert {row["label"]: row["successes"] for row in found} == counted(url, "button color")


def test_a_goal_counts_for_every_experiment_or_for_the_one_named(url: str, gimel: Client) -> None:
    gimel.variant("color", TWO, "visitor 1")
    gimel.experiment("checkout", ["one step", "two steps"]).variant("visitor 1")
    gimel.goal("order", "visitor 1")
    gimel.goal("signup", "visitor 1", experiment="checkout")
    assert gimel.flush()
    goals = [
        reached(url, each, goal) for each in ("color", "checkout") for goal in ("order", "signup")
    ]
    assert goals == [1, 0, 1, 1]


def test_an_amount_counts_once_for_its_uuid(url: str, gimel: Client) -> None:
    BackendClient(url).declare(
        "checkout",
        {
            "variants": [{"name": "one step"}, {"name": "two steps"}],
            "goals": [{"name": "revenue", "kind": "value", "cap": 500, "from": "server"}],
        },
    )
    vouched = Client(url, key="the reads of this backend are open")
    for sender in (gimel, vouched):
        checkout = sender.experiment("checkout", ["one step", "two steps"])
        checkout.variant("visitor 1")
        for value in (49.9, Decimal("49.90"), 49.9):
            checkout.goal("revenue", "visitor 1", value=value, uuid=17)
        assert sender.flush()
    vouched.close()
    (goal,) = BackendClient(url).experiment("checkout")["goals"]
    assert sum(row["sum"] or 0 for row in goal["results"]) == pytest.approx(49.9, rel=0.1)


def test_an_event_may_have_the_id_0(gimel: Client) -> None:
    checkout = gimel.experiment("checkout", ["one step", "two steps"])
    checkout.goal("order", "visitor 1", uuid=0)
    assert json.loads(gimel._sender._waiting[0])["uuid"] == "0"


def test_a_goal_of_no_known_experiment_is_logged(
    gimel: Client, caplog: pytest.LogCaptureFixture
) -> None:
    gimel.goal("signup", "visitor 1")
    gimel.experiment("button color", TWO)
    gimel.goal("signup", "visitor 1", experiment="checkout")
    assert not gimel._sender._waiting
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("gimel", "WARNING")
    assert "declare its experiment first" in record.message


# What is wrong

HOSTILE = ["", " ", "\ud800", "a\nb", "é" * 257, None, True, False, 1.5, [], {}, b"x", object]


@pytest.mark.parametrize("visitor", HOSTILE, ids=ascii)
def test_a_visitor_who_cannot_be_counted_sees_the_baseline(
    visitor: Any, gimel: Client, caplog: pytest.LogCaptureFixture
) -> None:
    color = gimel.experiment("button color", {"blue": 0, "red": 1})
    assert gimel.variant("button color", {"blue": 0, "red": 1}, visitor) == "blue"
    assert color.variant(visitor) == "blue"
    gimel.goal("signup", visitor)
    color.goal("signup", visitor)
    assert not gimel._sender._waiting
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the baseline was shown instead of a variant",
        "a goal was not sent",
    ]
    assert all("visitor " in record.message for record in caplog.records)


@pytest.mark.parametrize(
    "variants",
    [
        *([], "", "red", None, 7, [["a"]], ["\ud800", "\udc00"], ["a", 1], ["é" * 257] * 2),
        *({}, {"a": 0}, {"a": -1, "b": 2}, {"a": "1", "b": "1"}, {"a": float("nan"), "b": 1}),
    ],
    ids=ascii,
)
def test_wrong_variants_are_logged_and_the_first_is_shown(
    variants: Any, gimel: Client, caplog: pytest.LogCaptureFixture
) -> None:
    listed = list(variants) if isinstance(variants, list | dict) else []
    baseline = listed[0] if listed and not isinstance(listed[0], list) else ""
    for visitor in range(20):
        assert gimel.variant("e", variants, visitor) in (baseline, 1)
    gimel.goal("g", "visitor 1")
    assert len(caplog.records) >= 1


@pytest.mark.parametrize("name", [None, 7, [], "", "\ud800", "a\nb", "é" * 257], ids=ascii)
def test_wrong_names_are_logged(name: Any, gimel: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert gimel.variant(name, TWO, "visitor 1") == "blue"
    gimel.experiment("e", TWO).goal(name, "visitor 1")
    assert not gimel._sender._waiting
    assert len(caplog.records) == 2


@pytest.mark.parametrize("value", ["x", float("nan"), float("inf"), -1, [], object], ids=ascii)
def test_a_wrong_amount_is_logged(
    value: Any, gimel: Client, caplog: pytest.LogCaptureFixture
) -> None:
    gimel.experiment("e", TWO).goal("g", "visitor 1", value=value)
    assert not gimel._sender._waiting
    assert len(caplog.records) == 1


@pytest.mark.parametrize("traffic", [None, "1", float("nan"), -1], ids=ascii)
def test_a_wrong_traffic_is_nobody(traffic: Any, gimel: Client) -> None:
    assert gimel.variant("e", {"a": 0, "b": 1}, "visitor 1", traffic=traffic) == "a"
    assert not gimel._sender._waiting


def test_a_wrong_address_is_refused_where_the_program_starts() -> None:
    with pytest.raises(ValueError, match="must start with https:// or http://"):
        Client("abc.execute-api.eu-west-1.amazonaws.com/prod")


def test_the_memory_of_participations_is_bounded(
    gimel: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_MAX_REMEMBERED", 10)
    for visitor in range(100):
        gimel.variant("e", TWO, visitor)
        assert len(gimel._remembered) <= 10


def test_without_an_address_variants_are_assigned_and_nothing_is_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gimel = Client("")
    assert gimel.variant("button color", TWO, "visitor 0") == "red"
    gimel.goal("signup", "visitor 0")
    assert gimel._sender._thread is None
    assert gimel.flush(0)
    assert not caplog.records


def test_a_participation_that_did_not_count_is_sent_again(gimel: Client, url: str) -> None:
    backend = BackendClient(url)
    two = [{"name": name} for name in TWO]
    backend.declare("resumed", {"variants": two, "goals": [{"name": "signup"}]})
    backend.configure("resumed", {"state": "stopped"})
    gimel.variant("resumed", TWO, "ana")
    assert gimel.flush()
    backend.configure("resumed", {"state": "running"})

    def is_counted() -> bool:
        gimel.variant("resumed", TWO, "ana")
        return gimel.flush() and sum(counted(url, "resumed").values()) == 1

    # The backend knows for 5 s that it was stopped.
    wait(is_counted)
