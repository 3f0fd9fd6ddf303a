"""Events through a function URL, deployed: what comes through it, and what a deploy changes."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, expect

from gimel import deploy
from gimel.backend.wire import FLAGS_PATH
from gimel.client import BackendClient, BackendError
from gimel.config.settings import Config
from gimel.deploy import Deployed
from gimel.stack import destruction, operations
from gimel.stack.aws import Aws
from gimel.stack.deployed import find
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION, new_stack, stack_config
from tests.support.commands import run
from tests.support.deployments import again, end_state, is_as_wanted, silent
from tests.support.openfeature import Backend
from tests.support.servers import free_port

pytestmark = pytest.mark.slow

PERMISSION = "permission to invoke function track: for anyone, through its URL"
STAGE = "update stage prod of HTTP API {stack}: address for events"
EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}


@pytest.fixture(scope="module")
def settings(aws_endpoint: str, redis_url: str) -> Config:
    return stack_config(redis_url, stack=new_stack(), events="function-url", event_path="hi")


@pytest.fixture(scope="module")
def deployed(settings: Config) -> Deployed:
    """A stack with a function URL. Tests that change it put it back."""
    return deploy.deploy(settings, silent)


@pytest.fixture
def target(settings: Config) -> dict[str, str]:
    return {"FunctionName": Names(settings.stack).function("track"), "Qualifier": "live"}


# What comes through


def test_events_count(deployed: Deployed) -> None:
    assert deployed.events_url == f"{deployed.function_url}/hi"
    for path in ("e", "track", "hi"):
        for uuid in ("1", path):
            fields = EVENT | {"namespace": "url", "uuid": uuid}
            answer = requests.get(f"{deployed.function_url}/{path}", fields, timeout=60)
            assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    batch = [EVENT | {"namespace": "url", "uuid": uuid} for uuid in ("hi", "5")]
    for content_type in ("application/json", "text/plain", "application/octet-stream"):
        answer = requests.post(
            f"{deployed.function_url}/e",
            json=batch,
            headers={"content-type": content_type},
            timeout=60,
        )
        assert answer.json()["accepted"] == 2
    # The client sends events there, and nothing else.
    nowhere = f"http://127.0.0.1:{free_port()}"
    BackendClient(nowhere, deployed.key, deployed.function_url).track(
        "e", "a", "participate", "6", "url"
    )
    client = BackendClient(deployed.url, deployed.key, deployed.function_url)
    # The HTTP API goes on taking events: pages in the wild send there.
    BackendClient(deployed.url, deployed.key).track("e", "a", "participate", "7", "url")
    (found,) = client.experiments("url")
    assert [variant["trials"] for variant in found["variants"]] == [7]


def test_flags_are_evaluated(deployed: Deployed) -> None:
    backend = Backend(deployed.url, deployed.key, "flags")
    backend.declare("a/b c")
    routes = f"{deployed.function_url}{FLAGS_PATH}"
    asked: Any = {
        "json": {"context": {"targetingKey": "user 7"}},
        "headers": {"x-gimel-namespace": "flags"},
        "timeout": 60,
    }
    for key in ("/a%2Fb%20c", "/a/b c"):
        assert requests.post(routes + key, **asked).json()["key"] == "a/b c"
    assert len(requests.post(routes, **asked).json()["flags"]) == 1
    assert requests.get(routes, timeout=60).status_code == 405


def test_the_commands_name_the_url(deployed: Deployed, settings: Config, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    content = settings.model_dump(include={"aws", "stack", "events", "event_path"}) | {
        "redis": {"url": settings.redis.address}
    }
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    printed = {name: run("--config", str(path), name).output for name in ("snippet", "status")}
    assert f'data-url="{deployed.events_url}"' in printed["snippet"]
    assert f"Events       {deployed.events_url}\n" in printed["status"]
    assert f"Dashboard    {deployed.url}/dashboard\n" in printed["status"]
    assert "Drift        none" in printed["status"]
    lines: list[str] = []
    deploy.deploy(settings, lines.append)
    assert f"sending a probe event through {deployed.function_url}/e" in lines


def test_the_dashboard_names_the_url(
    deployed: Deployed, settings: Config, browser: Browser
) -> None:
    found = observe(Aws(REGION), Names(settings.stack)).function_url
    assert found is not None
    with browser.new_page() as page:
        page.goto(f"{deployed.url}/dashboard#namespace=empty&key={deployed.key}")
        address = f'data-url="{found.url}hi" data-namespace="empty"'
        expect(page.locator("#snippet")).to_contain_text(address)


def test_nothing_but_events_is_served(deployed: Deployed) -> None:
    key = {"x-api-key": deployed.key}
    for path in ("", "/experiments", "/dashboard", "/prod/e", "/e/"):
        answer = requests.get(f"{deployed.function_url}{path}", EVENT, headers=key, timeout=60)
        assert (answer.status_code, answer.json()["error"]) == (404, "there is no such path")
    wrong = {"x-api-key": "wrong"}
    answer = requests.get(deployed.events_url, EVENT, headers=wrong, timeout=60)
    assert answer.status_code == 403
    with pytest.raises(BackendError, match="no such path"):
        BackendClient(str(deployed.function_url), deployed.key).experiments()


def test_browsers_may_send_from_any_page(deployed: Deployed) -> None:
    origin = {"origin": "https://shop.example"}
    asked = {**origin, "access-control-request-method": "POST"}
    answer = requests.options(deployed.events_url, headers=asked, timeout=60)
    assert answer.status_code in (200, 204)
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "x-api-key" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-max-age"] == "86400"
    answer = requests.get(deployed.events_url, EVENT, headers=origin, timeout=60)
    assert answer.headers["access-control-allow-origin"] == "*"


# What a deploy changes


def test_second_deploy_writes_nothing(deployed: Deployed, settings: Config) -> None:
    second, aws = again(settings)
    assert (aws.writes, second.function_url) == ([], deployed.function_url)
    assert find(settings).events_url == deployed.events_url


def _close_cors(aws: Aws, target: dict[str, str]) -> None:
    closed = {"AllowOrigins": ["https://shop.example"]}
    aws.call("lambda", "update_function_url_config", **target, Cors=closed)


def _ask_for_a_signature(aws: Aws, target: dict[str, str]) -> None:
    aws.call("lambda", "update_function_url_config", **target, AuthType="AWS_IAM")


def _stream(aws: Aws, target: dict[str, str]) -> None:
    mode = "RESPONSE_STREAM"
    aws.call("lambda", "update_function_url_config", **target, InvokeMode=mode)


def _forbid(aws: Aws, target: dict[str, str]) -> None:
    aws.call("lambda", "remove_permission", **target, StatementId="gimel-function-url-invoke")


def _open(aws: Aws, target: dict[str, str]) -> None:
    """Let anybody invoke the function directly, too."""
    named = {**target, "StatementId": "gimel-function-url-invoke"}
    aws.call("lambda", "remove_permission", **named)
    action = "lambda:InvokeFunction"
    aws.call("lambda", "add_permission", **named, Action=action, Principal="*")


def _delete_url(aws: Aws, target: dict[str, str]) -> None:
    aws.call("lambda", "delete_function_url_config", **target)


def _delete_alias(aws: Aws, target: dict[str, str]) -> None:
    aws.call("lambda", "delete_alias", FunctionName=target["FunctionName"], Name="live")


@pytest.mark.parametrize(
    ("damages", "changes"),
    [
        (
            (_close_cors, _ask_for_a_signature, _stream),
            ["update URL of function track: AuthType, Cors, InvokeMode"],
        ),
        ((_close_cors,), ["update URL of function track: Cors"]),
        ((_forbid,), [f"create {PERMISSION}"]),
        ((_open,), [f"replace {PERMISSION}"]),
        ((_delete_url,), ["create URL of function track: events come through it", STAGE]),
        ((_delete_alias,), None),
    ],
)
def test_damage_is_mended(
    deployed: Deployed, settings: Config, target: Any, damages: Any, changes: list[str] | None
) -> None:
    aws, names = Aws(REGION), Names(settings.stack)
    before = end_state(aws, names)
    for damage in damages:
        damage(aws, target)
    mended = deploy.deploy(settings, silent, aws)
    name = target["FunctionName"]
    found = [
        str(change).replace(name, "track").replace(settings.stack, "{stack}")
        for change in mended.changes
    ]
    assert changes is None or found == changes
    assert end_state(aws, names) == before
    assert is_as_wanted(settings)


def test_back_to_the_api_and_to_the_url_again(deployed: Deployed, settings: Config) -> None:
    by_api = settings.model_copy(update={"events": "api"})
    # What is not deployed yet is not used.
    assert find(by_api).events_url == f"{deployed.url}/hi"
    aws, names = Aws(REGION), Names(settings.stack)
    switched = deploy.deploy(by_api, silent, aws)
    assert switched.events_url == f"{deployed.url}/hi"
    assert observe(aws, names).function_url is None
    invokers = observe(aws, names).functions[names.function("track")].invokers
    assert set(invokers) == {("live", "gimel-http-api")}
    assert is_as_wanted(by_api)
    assert find(settings).events_url == f"{deployed.url}/hi"
    back = deploy.deploy(settings, silent, aws)
    assert back.function_url not in (None, deployed.function_url)
    assert is_as_wanted(settings)
    # The alias moves, and the URL stays with it.
    deploy.deploy(settings.model_copy(update={"memory": 512}), silent, aws)
    operations.rollback(settings, aws, None, silent)
    deploy.verify(settings, aws)
    assert find(settings).function_url == back.function_url
    deploy.deploy(settings, silent, aws)


def test_destroy_leaves_nothing(redis_url: str, aws_endpoint: str) -> None:
    settings = stack_config(redis_url, stack=new_stack(), events="function-url")
    aws = Aws(REGION)
    first = deploy.deploy(settings, silent, aws)
    for _ in range(2):
        changes = destruction.plan_destroy(settings, aws)
        named = [change.what for change in changes if change.what.startswith("URL")]
        assert named == [f"URL of function {settings.stack}-track"]
        destruction.destroy(settings, aws, silent)
        assert destruction.plan_destroy(settings, aws) == []
        assert requests.get(first.events_url, EVENT, timeout=60).status_code in (403, 404)
        # The name is free again.
        first = deploy.deploy(settings, silent, aws)
