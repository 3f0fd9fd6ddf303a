"""The commands that keep a deployed stack, as a person runs them, on the emulated account."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gimel import deploy, direct
from gimel.client import BackendError, Client
from gimel.config import Config, parse
from gimel.observe import observe
from gimel.stack import Names
from tests.aws import REGION, new_stack
from tests.conftest import REDIS_PASSWORD


class Stack:
    """A stack with a config file of its own."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.path = folder / "config.json"
        self.content: dict[str, Any] = {
            "redis": {"url": redis_url},
            "aws": {"region": REGION},
            "stack": new_stack(),
        }
        self.save()
        self.printed = ""

    def save(self, **settings: Any) -> None:
        self.content |= settings
        self.path.write_text(json.dumps(self.content))
        self.path.chmod(0o600)

    @property
    def config(self) -> Config:
        return parse(self.path.read_text())

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gimel", "--config", str(self.path), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        self.printed += done.stdout + done.stderr
        return done.stdout + done.stderr if code == 1 else done.stdout

    def client(self) -> Client:
        backend = deploy.find(self.config)
        return Client(backend.url, backend.key)

    @property
    def is_gone(self) -> bool:
        seen = observe(deploy.connect(self.config), Names(self.content["stack"]))
        left = [seen.parameter, seen.role, seen.functions, seen.log_groups, seen.apis]
        return not any([*left, seen.queues, seen.mapping])


@pytest.fixture
def stack(aws_endpoint: str, redis_url: str, tmp_path: Path) -> Stack:
    made = Stack(tmp_path, redis_url)
    made.run("deploy", "--no-preflight")
    return made


def test_a_dry_run_says_what_the_deploy_then_does(stack: Stack) -> None:
    assert json.loads(stack.run("deploy", "--dry-run", "--json"))["changes"] == []
    stack.save(memory=512, log_retention_days=7)
    planned = json.loads(stack.run("deploy", "--dry-run", "--json", code=2))["changes"]
    shown = stack.run("deploy", "--dry-run", code=2)
    done = stack.run("deploy", "--no-preflight")
    assert planned
    for change in planned:
        line = f"{change['change']} {change['what']}"
        assert line in shown
        assert line in done
    assert json.loads(stack.run("deploy", "--dry-run", "--json"))["changes"] == []
    assert REDIS_PASSWORD not in stack.printed
    assert deploy.find(stack.config).key not in stack.printed


def test_back_to_an_earlier_version_and_forth(stack: Stack) -> None:
    track = Names(stack.content["stack"]).function("track")

    def live() -> str | None:
        return (
            observe(deploy.connect(stack.config), Names(stack.content["stack"]))
            .functions[track]
            .live
        )

    before = live()
    stack.save(memory=512)
    stack.run("deploy", "--no-preflight")
    assert live() != before
    assert f"Version {before} is live" in stack.run("rollback")
    assert live() == before
    assert "no such earlier version" in stack.run("rollback", code=1)
    status = stack.run("status")
    assert track in status
    assert "of 20 namespaces; the fullest: " in status
    assert "Queue        0 messages wait to be counted" in status
    stack.run("deploy", "--no-preflight")
    assert live() != before


def test_another_key(stack: Stack) -> None:
    old = stack.client()
    assert stack.run("key", "show").strip() == deploy.find(stack.config).key
    stack.run("key", "rotate")
    assert isinstance(stack.client().experiments(), list)
    with pytest.raises(BackendError) as refused:
        old.experiments()
    assert refused.value.status == 403
    assert json.loads(stack.run("deploy", "--dry-run", "--json"))["changes"] == []
    assert "another read key" in stack.run("rollback", code=1)


def test_destroy_leaves_nothing(stack: Stack) -> None:
    client = stack.client()
    client.track("e", "a", "participate", "1", namespace="shop")
    assert "Aborted" in stack.run("destroy", code=1)
    assert not stack.is_gone
    said = stack.run("destroy", "--yes", "--data")
    assert "Removed." in said
    assert stack.is_gone
    assert "nothing to remove" in stack.run("destroy", "--yes")
    stack.run("deploy", "--no-preflight")
    assert stack.client().experiments("shop") == []


def test_the_policy_is_json_that_allows_no_everything(stack: Stack) -> None:
    policy = json.loads(stack.run("policy"))
    actions = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert "lambda:CreateFunction" in actions
    assert not [action for action in actions if action in ("*", "iam:*", "lambda:*")]


def test_events_of_the_old_rest_api(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIMEL_REDIS_URL", redis_url)
    direct.gimel.counters.cache_clear()
    event = {"experiment": "old", "variant": "a", "event": "participate", "namespace": "rest"}
    assert direct.track(event | {"uuid": "1"}) is None
    meta, found = direct.reads({"namespace": "rest"})
    assert meta == {"meta": {"scope": None}}
    assert found["variants"][0]["trials"] == 1
    with pytest.raises(direct.NotDoneError, match="uuid is missing"):
        direct.track(event)
    assert direct.delete({"namespace": "rest", "experiment": "old"}) is None
    assert direct.reads({"namespace": "rest"}) == [{"meta": {"scope": None}}]
    direct.gimel.counters.cache_clear()
