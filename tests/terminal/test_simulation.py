"""`gimel simulate`: made-up visitors against a real backend, the same ones every time."""

from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from gimel.cli import main
from gimel.client import BackendClient
from gimel.terminal import simulation
from tests.support.commands import complaint, run, said
from tests.support.deployments import Deployment
from tests.support.gimel_local import LocalBackend
from tests.support.terminal import run_in_terminal

ARGUMENTS = "simulate", "it's a test", "--rate", "0.1", "--lift", "0.5"


def simulate(url: str, visitors: int = 4000, *more: str) -> str:
    return said(run(*ARGUMENTS, "--visitors", str(visitors), *more, "--url", url))


def read(url: str) -> dict[str, Any]:
    return BackendClient(url).experiment("it's a test", simulation.NAMESPACE)


def test_visitors_are_played_and_the_results_shown(url: str) -> None:
    text = simulate(url)
    assert text.startswith("Sent 4,")
    assert "signup  ▲ winner: B" in text
    assert text == text.rstrip("\n") + "\n"
    found = read(url)
    assert found["definition"]["hypothesis"] == (
        "Simulated: 4,000 visitors, rate 0.1, lift 0.5, goal signup"
    )
    visitors = {each["label"]: each["trials"] for each in found["variants"]}
    assert sum(visitors.values()) == pytest.approx(4000, rel=0.01)
    assert visitors["A"] == pytest.approx(2000, abs=150)
    rates = {row["label"]: row["rate"] for row in found["goals"][0]["results"]}
    assert rates == pytest.approx({"A": 0.1, "B": 0.15}, abs=0.025)
    assert found["plan"]["final_look"]
    assert BackendClient(url).experiments() == [], "none in the namespace of one's own"


def test_the_same_command_counts_nobody_twice(url: str) -> None:
    assert simulate(url, 600) == simulate(url, 600)
    assert len(read(url)["changes"]) == 1


def test_another_simulation_of_this_name_is_refused(url: str) -> None:
    simulate(url, 600)
    line = complaint(run(*ARGUMENTS, "--visitors", "601", "--url", url))
    assert line.startswith("there is another simulation it's a test: choose another name, or")
    command = simulate(url, 600).splitlines()[-1].strip()
    assert command == (
        f"gimel delete 'it'\"'\"'s a test' --forget --namespace simulation --url {url}"
    )
    run("delete", "it's a test", "--namespace", "simulation", "--forget", "--yes", "--url", url)
    simulate(url, 601, "--goal", "order")
    assert [goal["goal"] for goal in read(url)["goals"]] == ["order"]


@pytest.mark.parametrize(
    ("rate", "lift"), [("0", "0.1"), ("1.1", "0"), ("0.6", "0.7"), ("0.5", "-110%"), ("nan", "0")]
)
def test_rates_that_are_none(url: str, rate: str, lift: str) -> None:
    options = "--visitors", "9", "--rate", rate, f"--lift={lift}", "--url", url
    found = run("simulate", "e", *options)
    assert found.exit_code == 2
    assert "both rates must lie between 0 and 1" in found.stderr


def test_the_goal_cannot_be_participate(backend: redis.Redis, url: str) -> None:
    complaint(run(*ARGUMENTS, "--visitors", "9", "--goal", "participate", "--url", url))
    assert backend.dbsize() == 0


@pytest.fixture(name="elsewhere")
def elsewhere_fixture(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backend that passes for one that is not on this machine."""
    monkeypatch.setattr(simulation, "is_loopback", lambda host: False)
    return url


def answered(url: str, answers: str) -> Result:
    arguments = *ARGUMENTS, "--visitors", "600", "--url", url
    return CliRunner().invoke(main, arguments, input=answers)


def test_a_backend_elsewhere_is_asked_about_twice(backend: redis.Redis, elsewhere: str) -> None:
    for answers in ("", "n\n", "y\n", "y\nanother\n", "y\ny\n"):
        assert answered(elsewhere, answers).exit_code == 1
        assert backend.dbsize() == 0
    found = answered(elsewhere, "y\nit's a test\n")
    assert found.exit_code == 0
    assert "Send it about 660 events of made-up visitors?" in found.stdout
    assert read(elsewhere)["variants"]


def test_a_deployed_stack_is_played_against_and_decided(deployed: Deployment) -> None:
    """Without a URL, the backend is the deployed one. Its functions keep the decision."""
    config = "--config", str(deployed.config_file)
    arguments = *config, *ARGUMENTS, "--visitors", "1200"
    refused = CliRunner().invoke(main, arguments, input="y\nyes\n")
    assert "that is another name: nothing was sent" in refused.stderr
    found = CliRunner().invoke(main, arguments, input="y\nit's a test\n")
    assert found.exit_code == 0, found.output
    assert "Sent 1,3" in found.stdout
    options = "--winner", "B", "--reason", "It won", "--namespace", simulation.NAMESPACE
    assert "decided on" in said(run(*config, "decide", "it's a test", *options))
    listed = said(run(*config, "decisions", "--namespace", simulation.NAMESPACE))
    assert "it's a test: B" in listed


@pytest.mark.slow
def test_a_terminal_shows_how_far_it_is(local: LocalBackend) -> None:
    session = run_in_terminal(
        *ARGUMENTS, "--visitors", "6000", "--url", local.url, env=local.environ
    )
    assert session.code == 0
    assert " events sent" in session.written
    assert session.lines[0].startswith("Sent 6,")
    stopped = local.client.configure("it's a test", {"state": "stopped"}, simulation.NAMESPACE)
    assert stopped["goals"][0]["verdict"]["winner"] == "B"
