"""OpenFeature's own Python SDK and provider, unmodified, with the code of docs/openfeature.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from tests.support.commands import process
from tests.support.documented_examples import examples
from tests.support.gimel_local import LocalBackend
from tests.support.openfeature import NAME, VALUES, Backend, assigned, python_example
from tests.support.waiting import wait

pytestmark = pytest.mark.slow


@pytest.fixture
def on_this_machine(local: LocalBackend) -> Backend:
    return Backend(local.url, local.key)


@pytest.fixture(autouse=True)
def _no_provider_after_the_test() -> Iterator[None]:
    yield
    api.shutdown()


def details(name: str = NAME, visitor: str = "user 7", default: str = "#fff") -> Any:
    return api.get_client().get_string_details(name, default, EvaluationContext(visitor))


def sent() -> None:
    """Wait until the provider has sent all of its events."""
    provider: Any = api.get_client().provider
    wait(lambda: not provider._queue.unfinished_tasks)


def test_from_the_flag_to_the_verdict(flagged: Backend, tmp_path: Path) -> None:
    code = python_example(flagged)
    visitors = [f"user {number}" for number in range(240)]
    values = [code["color_for"](visitor) for visitor in visitors]
    (tmp_path / "node_modules").mkdir()
    assert values == assigned(tmp_path, visitors)
    # Sticky, and a second use sends nothing.
    assert values[:50] == [code["color_for"](visitor) for visitor in visitors[:50]]
    for number, visitor in enumerate(visitors):
        if number % (2 if values[number] == VALUES["red"] else 20) == 0:
            code["signed_up"](visitor)
    sent()
    by_variant = {name: values.count(value) for name, value in VALUES.items()}
    assert flagged.counted("participate") == by_variant
    assert "winner" in flagged.printed_results()


def test_a_goal_that_another_process_books(flagged: Backend) -> None:
    first = python_example(flagged)
    visitors = [f"user {number}" for number in range(20)]
    values = [first["color_for"](visitor) for visitor in visitors]
    sent()
    # The second process has seen no visitor use the flag.
    second = python_example(flagged)
    for visitor in visitors:
        second["signed_up"](visitor)
        second["paid"](visitor, 20.0)
    sent()
    expected = {name: values.count(value) for name, value in VALUES.items()}
    assert flagged.counted("revenue") == pytest.approx(
        {name: 20 * count for name, count in expected.items()}, rel=0.1
    )
    assert sum(flagged.counted("signup").values()) == 0


def test_a_stopped_flag_is_its_baseline(
    on_this_machine: Backend,
) -> None:
    on_this_machine.declare()
    code = python_example(on_this_machine)
    assert {code["color_for"](f"{number}") for number in range(50)} == set(VALUES.values())
    on_this_machine.client.configure(NAME, {"state": "stopped"})
    for number in range(50):
        found = details(visitor=f"{number}", default="#fff")
        assert (found.value, found.reason, found.error_code) == ("#00f", Reason.DISABLED, None)
    sent()
    # Those who were shown the baseline because the flag is stopped are not counted.
    assert sum(on_this_machine.counted("participate").values()) <= 50
    on_this_machine.client.configure(NAME, {"state": "running"})
    assert details().reason == Reason.SPLIT
    sent()


def test_a_decided_flag_is_its_winner(on_this_machine: Backend) -> None:
    on_this_machine.declare(traffic=0.5)
    code = python_example(on_this_machine)
    decision = {"winner": "red", "reason": "It won"}
    on_this_machine.client.configure(NAME, {"decision": decision})
    for number in range(50):
        found = details(visitor=f"{number}", default="#fff")
        assert (found.value, found.reason, found.error_code) == ("#f00", Reason.STATIC, None)
        code["signed_up"](f"{number}")
    sent()
    for goal in ("participate", "signup"):
        assert sum(on_this_machine.counted(goal).values()) == 0


def test_outside_of_the_traffic_nothing_is_sent(on_this_machine: Backend) -> None:
    on_this_machine.declare(traffic=0.3)
    code = python_example(on_this_machine)
    found = [details(visitor=f"user {number}") for number in range(100)]
    taking_part = [each for each in found if each.reason == Reason.SPLIT]
    assert {each.value for each in found if each.reason == Reason.DEFAULT} == {"#00f"}
    assert 15 < len(taking_part) < 50
    for number in range(100):
        code["signed_up"](f"user {number}")
        code["paid"](f"user {number}", 10.0)
    sent()
    assert sum(on_this_machine.counted("participate").values()) == len(taking_part)
    assert sum(on_this_machine.counted("signup").values()) == len(taking_part)
    ignored = on_this_machine.client.experiment(NAME)["ignored"]["reasons"]
    assert ignored == {}


def test_the_default_on_every_error(local: LocalBackend, on_this_machine: Backend) -> None:
    on_this_machine.declare()
    code = python_example(on_this_machine)
    assert code["color_for"]("user 7") in VALUES.values()
    sent()
    unknown = details("no such flag")
    assert (unknown.value, unknown.error_code) == ("#fff", ErrorCode.FLAG_NOT_FOUND)
    client = api.get_client()
    assert client.get_boolean_value(NAME, True, EvaluationContext("user 7")) is True
    no_visitor = client.get_string_details(NAME, "#fff")
    assert (no_visitor.value, no_visitor.error_code) == ("#fff", ErrorCode.TARGETING_KEY_MISSING)
    with local.down():
        assert details(visitor="user 8").value == "#fff"
        code["signed_up"]("user 7")
    # What could not be sent is sent once the backend is back.
    sent()
    assert sum(on_this_machine.counted("signup").values()) == 1


def test_the_deployed_routes(deployed_flags: Iterator[Backend]) -> None:
    backend = next(deployed_flags)
    asked: Any = {
        "json": {"context": {"targetingKey": "user 7"}},
        "headers": {"x-gimel-namespace": backend.namespace},
        "timeout": 60,
    }
    routes = f"{backend.url}/ofrep/v1/evaluate/flags"
    # A provider sends a slash as it is.
    for key in ("a%2Fb%20c", "a/b c"):
        assert requests.post(f"{routes}/{key}", **asked).json()["key"] == "a/b c"
    assert requests.post(f"{routes}/none", **asked).status_code == 404
    whole = requests.post(routes, **asked)
    flags = {each["key"]: each for each in whole.json()["flags"]}
    assert [*flags] == ["a/b c", NAME, "stopped"]
    assert flags[NAME]["reason"] == "SPLIT"
    assert (flags["stopped"]["reason"], flags["stopped"]["variant"]) == ("DISABLED", "blue")
    asked["headers"]["if-none-match"] = whole.headers["etag"]
    unchanged = requests.post(routes, **asked)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.parametrize(
    ("ask", "values"),
    [
        ("boolean", [False, True]),
        ("integer", [1, 2]),
        ("float", [0.5, 1.5]),
        ("object", [{"color": "blue"}, {"color": "red"}]),
    ],
)
def test_values_of_every_type(on_this_machine: Backend, ask: str, values: list[Any]) -> None:
    names = [f"{ask} flag", f"{ask}/flag"]
    variants = [{"name": str(index), "value": value} for index, value in enumerate(values)]
    for name in names:
        on_this_machine.declare(name, variants=variants)
    python_example(on_this_machine)
    default = type(values[0])()
    for name in names:
        evaluate = getattr(api.get_client(), f"get_{ask}_details")
        found = [evaluate(name, default, EvaluationContext(f"{number}")) for number in range(30)]
        assert all(each.reason == Reason.SPLIT for each in found)
        assert [each for each in values if all(each != one.value for one in found)] == []
    sent()


def test_the_command_of_the_page(on_this_machine: Backend, tmp_path: Path) -> None:
    path = tmp_path / "flag.json"
    path.write_text(examples("openfeature.md", "json")[0])
    key = {"GIMEL_KEY": on_this_machine.key}
    done = process("create", "--file", str(path), "--url", on_this_machine.url, env=key)
    assert done.returncode == 0, done.stderr
    python_example(on_this_machine)
    assert details().reason == Reason.SPLIT
    sent()
