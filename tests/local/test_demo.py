"""The demo of `gimel local --demo`: its experiments and its page."""

from pathlib import Path

import pytest
import redis
import requests

from gimel.local.demo import EXPERIMENTS
from tests.support.gimel_local import LocalBackend, trials
from tests.support.servers import url_of


@pytest.mark.slow
def test_the_demo_is_filled_once(tmp_path: Path, store: redis.Redis) -> None:
    arguments = ("--demo", "--redis-url", url_of(store))
    with LocalBackend(tmp_path, *arguments) as local:
        once = trials(local.client, "demo")
        page = requests.get(f"{local.url}/", timeout=60)
    with LocalBackend(tmp_path, *arguments) as again:
        assert trials(again.client, "demo") == once
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "new AlephBet.Experiment" in page.text
    meant = {name: sum(arm.visitors for arm in arms) for name, arms in EXPERIMENTS.items()}
    assert once == {name: pytest.approx(visitors, rel=0.005) for name, visitors in meant.items()}


def test_the_demo_shows_a_winner_a_tie_and_an_early_state(
    running: tuple[LocalBackend, Path],
) -> None:
    found = {each["experiment"]: each for each in running[0].client.experiments("demo")}
    assert not any(each["srm"]["alarm"] for each in found.values())
    verdicts = {
        name: {goal["goal"]: goal["verdict"]["winner"] for goal in each["goals"]}
        for name, each in found.items()
    }
    assert verdicts["signup form"]["signup"] == "one field"
    assert verdicts["pricing headline"] == {"plan chosen": None}
    assert verdicts["checkout / fewer steps"] == {"order": None}
