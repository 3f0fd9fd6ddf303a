"""What a deploy gives, and what a second one changes."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import requests

from gimel import deploy
from gimel.client import Backend, BackendClient, BackendError
from gimel.config.settings import Config
from gimel.deploy import Deployed
from gimel.stack.aws import Aws
from gimel.stack.deployed import find
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import LATEST, DeployError, Names
from tests.support.aws_account import REGION, stack_config
from tests.support.deployments import REDIS_PASSWORD, Deployment, again, silent
from tests.support.servers import free_port

SPACE = "shop at night/é:#%"


# What a deploy gives


def test_events_come_back_as_counts(deployed: Deployment) -> None:
    client = BackendClient(deployed.url, deployed.key)
    for uuid in ("1", "2", "3", "3"):
        client.track("button color", "red & blue", "participate", uuid, SPACE)
    goal = {"namespace": SPACE, "experiment": "button color", "event": "signup/now"}
    batch = [{**goal, "variant": "red & blue", "uuid": uuid} for uuid in ("1", "2", "2")]
    answer = requests.post(
        f"{deployed.url}/e", json.dumps(batch), headers={"content-type": "text/plain"}, timeout=60
    )
    assert (answer.status_code, answer.json()) == (
        200,
        {"accepted": 3, "ignored": 0, "reasons": {}, "rejected": []},
    )
    found = client.experiment("button color", SPACE)
    assert found["variants"] == [{"label": "red & blue", "trials": 3, "stray": False}]
    ((goal_found,), (result,)) = found["goals"], found["goals"][0]["results"]
    assert goal_found["goal"] == "signup/now"
    assert (result["label"], result["successes"]) == ("red & blue", 2)
    nothing = {"messages": 0, "seconds": None, "seconds_left": None}
    assert (found["waiting"], found["set_aside"]) == (nothing, nothing)
    # One experiment by itself is answered with its history and the queue, too.
    others = ("ignored", "changes", "waiting", "set_aside", "health", "key_scope")
    others += ("traffic_stopped_since",)
    found = {name: found[name] for name in found if name not in others}
    assert client.experiments(SPACE) == [found]
    client.track("another", "a", "participate", "1", SPACE)
    assert client.experiments(SPACE, scope="button color") == [found]
    assert len(client.experiments(SPACE)) == 2


def test_the_old_path_counts_too(deployed: Deployment) -> None:
    fields = {"experiment": "old", "variant": "a", "event": "participate", "uuid": "1"}
    assert requests.get(f"{deployed.url}/track", fields, timeout=60).status_code == 200
    assert requests.post(f"{deployed.url}/track", json=fields, timeout=60).status_code == 200
    assert BackendClient(deployed.url, deployed.key).experiment("old")["variants"][0]["trials"] == 1


@pytest.mark.parametrize("key", [None, "wrong"])
def test_reading_and_deleting_ask_for_the_key(deployed: Deployment, key: str | None) -> None:
    client = BackendClient(deployed.url, key)
    asks: list[Callable[[], Any]] = [
        client.experiments,
        lambda: client.experiment("x"),
        lambda: client.delete("x"),
    ]
    for ask in asks:
        with pytest.raises(BackendError, match=r"403.*key is") as refused:
            ask()
        assert refused.value.status == 403


def test_delete_forgets_an_experiment(deployed: Deployment) -> None:
    client = BackendClient(deployed.url, deployed.key)
    client.track("short-lived", "a", "participate", "1")
    assert client.delete("short-lived") is True
    with pytest.raises(BackendError, match="there is no experiment") as missing:
        client.experiment("short-lived")
    assert missing.value.status == 404
    assert client.delete("short-lived") is False


def test_browsers_may_call_from_any_page(deployed: Deployment) -> None:
    for method, path in [("POST", "/e"), ("GET", "/experiments"), ("DELETE", "/delete")]:
        answer = requests.options(
            deployed.url + path,
            headers={
                "origin": "https://shop.example",
                "access-control-request-method": method,
                "access-control-request-headers": "x-api-key,content-type",
            },
            timeout=60,
        )
        assert answer.status_code in (200, 204)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert method in answer.headers["access-control-allow-methods"]
        assert "x-api-key" in answer.headers["access-control-allow-headers"]
        assert answer.headers["access-control-max-age"] == "86400"


def test_the_dashboard_needs_no_key(deployed: Deployment) -> None:
    page = requests.get(f"{deployed.url}/dashboard", timeout=60)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


def test_the_probe_leaves_nothing_behind(deployed: Deployment) -> None:
    with redis.Redis.from_url(deployed.redis_url) as client:
        assert client.keys(f"{deploy.PROBE_NAMESPACE}*") == []


def test_output_says_what_was_done_and_no_secret(deployed: Deployment) -> None:
    for line in ["create function gimel-track", "create HTTP API gimel", "probe event"]:
        assert line in deployed.output
    address = urlsplit(deployed.redis_url)
    secrets = {deployed.key, REDIS_PASSWORD, deployed.redis_url, address.password, "/word"}
    assert not [secret for secret in secrets if str(secret) in deployed.output]


# Doing it again


def test_second_deploy_writes_nothing(first_deploy: Deployed, own_settings: Config) -> None:
    assert first_deploy.is_new
    second, aws = again(own_settings)
    assert aws.writes == []
    assert aws.operations
    assert (second.url, second.key) == (first_deploy.url, first_deploy.key)
    assert (second.changes, second.is_new) == ((), False)
    assert find(own_settings) == Backend(first_deploy.url, first_deploy.key)


def test_one_setting_makes_only_its_calls(
    own_names: Names, first_deploy: Deployed, own_settings: Config
) -> None:
    _, aws = again(own_settings.model_copy(update={"memory": 512}))
    assert aws.writes == sorted(
        ["UpdateFunctionConfiguration", "PublishVersion", "UpdateAlias"] * 4
    )
    live = aws.call(
        "lambda",
        "get_function",
        "Configuration",
        FunctionName=own_names.function("track"),
        Qualifier="live",
    )
    assert (live["MemorySize"], live["Version"]) == (512, "2")


def test_retention_changes_by_itself(first_deploy: Deployed, own_settings: Config) -> None:
    _, aws = again(own_settings.model_copy(update={"log_retention_days": 7}))
    assert aws.writes == ["PutRetentionPolicy"] * 4


def test_other_code_is_pushed(first_deploy: Deployed, own_settings: Config) -> None:
    runtime = "python3.14" if first_deploy.changes and not own_settings.runtime else None
    _, aws = again(own_settings.model_copy(update={"runtime": runtime}))
    assert set(aws.writes) == {
        "UpdateFunctionConfiguration",
        "UpdateFunctionCode",
        "PublishVersion",
        "UpdateAlias",
    }


def test_five_versions_are_kept_and_the_live_one(
    own_names: Names, first_deploy: Deployed, own_settings: Config
) -> None:
    aws, named = Aws(REGION), {"FunctionName": own_names.function("track")}

    def set_storage(megabytes: int) -> None:
        size = {"Size": megabytes}
        aws.call_until_accepted(
            "lambda", "update_function_configuration", **named, EphemeralStorage=size
        )
        aws.wait("function_updated_v2", **named)

    for number in range(7):
        set_storage(513 + number)
        aws.call_until_accepted("lambda", "publish_version", **named)
    set_storage(512)
    _, recorded = again(own_settings)
    assert recorded.writes == ["DeleteFunction"] * 2
    seen = observe(aws, own_names).functions[own_names.function("track")]
    numbers = sorted(number for number in seen.versions if number != LATEST)
    # Only the oldest has the wanted settings: the alias need not move from it.
    assert (seen.live, numbers) == ("1", ["1", "4", "5", "6", "7", "8"])
    again(own_settings.model_copy(update={"memory": 512}))
    seen = observe(aws, own_names).functions[own_names.function("track")]
    numbers = sorted(number for number in seen.versions if number != LATEST)
    assert (seen.live, numbers) == ("9", ["5", "6", "7", "8", "9"])


# Whose it is


def test_nothing_deployed_says_what_makes_it(own_settings: Config) -> None:
    said = f"no stack {own_settings.stack} in region eu-west-1: create it with `gimel deploy`"
    with pytest.raises(DeployError, match=said):
        find(own_settings)


# What goes wrong


def test_redis_out_of_reach_is_one_clear_message(
    first_deploy: Deployed, own_settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "_REDIS_TIMEOUT", 0.0)
    away = stack_config(f"redis://:hushhush@127.0.0.1:{free_port()}/0", stack=own_settings.stack)
    with pytest.raises(
        DeployError, match=r"was queued.*do not reach Redis: network: no connection"
    ) as error:
        deploy.deploy(away, silent)
    assert "\n" not in str(error.value)
    assert "hushhush" not in str(error.value)
    deploy.deploy(own_settings, silent)
