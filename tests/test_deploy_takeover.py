"""A deployment that gimel 1.5.0 made, by its own code in its own environment, and what ours makes
of it.

What the emulator cannot do of API Gateway is in tests/support/old_stack.py.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from gimel import deploy
from gimel.client import Backend, BackendClient
from gimel.config.settings import AwsSettings, Config
from gimel.stack.observe.observe import observe
from gimel.stack.observed import ObservedFunction, ObservedRole
from gimel.stack.permissions.functions import functions_policy, trust_policy
from gimel.stack.wanted import LATEST, DeployError, Names
from tests.support.aws_account import (
    REGION,
    RecordingAws,
    empty,
    emulator,
    environment,
    stack_config,
)
from tests.support.deployments import destroy, silent
from tests.support.old_stack import KEYS_LISTED, OldApi, as_aws_lists_keys, deploy_old
from tests.support.servers import port_of

pytestmark = pytest.mark.slow

NAMES = Names("gimel")
# All that gimel 1.x had not, but a managed Redis: the counts are in the old one.
ALL: dict[str, Any] = {
    "events": "function-url",
    "event_path": "hi",
    "domain": {
        "name": "ab.shop.example",
        "certificate": f"arn:aws:acm:{REGION}:{1:012}:certificate/1",
    },
    "alarm_email": "ana@shop.example",
    "permissions_boundary": "arn:aws:iam::aws:policy/PowerUserAccess",
}
EVENT = {"experiment": "button color", "variant": "red & blue", "event": "participate"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator that others do not use."""
    with emulator(tmp_path_factory.mktemp("takeover")) as address:
        yield address


@pytest.fixture
def account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> RecordingAws:
    """A new account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)
    empty(endpoint)
    return connect(REGION)


def connect(region: str) -> RecordingAws:
    aws = RecordingAws(region)
    aws.on(KEYS_LISTED, as_aws_lists_keys)
    return aws


@pytest.fixture
def settings(store: redis.Redis, request: pytest.FixtureRequest) -> Config:
    """The default ones, or with those of the test's parameter besides."""
    return stack_config(f"redis://127.0.0.1:{port_of(store)}/0", **getattr(request, "param", {}))


@pytest.fixture
def old(account: RecordingAws, store: redis.Redis, tmp_path: Path) -> OldApi:
    """What gimel 1.5.0 deployed, with three visitors counted."""
    api = deploy_old(account, port_of(store), tmp_path)
    for uuid in "123":
        assert api.get("track", **EVENT, uuid=uuid) == (200, None)
    return api


def visitors(backend: Backend) -> int:
    found = BackendClient(backend.url, backend.key).experiment(EVENT["experiment"])
    ((count),) = [variant["trials"] for variant in found["variants"]]
    return int(count)


def left(aws: RecordingAws) -> list[Any]:
    """All that an account holds of what either Gimel makes."""
    questions = [
        ("iam", "list_roles", "Roles[].RoleName"),
        ("lambda", "list_functions", "Functions[].FunctionName"),
        ("logs", "describe_log_groups", "logGroups[].logGroupName"),
        ("ssm", "describe_parameters", "Parameters[].Name"),
        ("apigatewayv2", "get_apis", "Items[].ApiId"),
        ("apigateway", "get_rest_apis", "items[].id"),
        ("apigateway", "get_api_keys", "items[].id"),
        ("apigatewayv2", "get_domain_names", "Items[].DomainName"),
        ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
        ("sns", "list_topics", "Topics[].TopicArn"),
        ("sqs", "list_queues", "QueueUrls"),
        ("lambda", "list_event_source_mappings", "EventSourceMappings[].UUID"),
    ]
    return [name for question in questions for name in aws.call(*question) or []]


@pytest.mark.parametrize("settings", [{}, ALL], ids=["plain", "all"], indirect=True)
def test_what_gimel_1_deployed_is_taken_over_and_goes_on_counting(
    account: RecordingAws, old: OldApi, settings: Config
) -> None:
    assert old.get("track", **EVENT)[0] == 200, "an event without uuid: 1.x answers so, it is lost"
    roles = {name: of.versions[LATEST]["Role"] for name, of in functions(account).items()}
    deployed = deploy.deploy(settings, silent, account)
    seen = observe(account, NAMES)
    assert {name: seen.functions[name].versions[LATEST]["Role"] for name in roles} == roles
    assert [of.tags for of in seen.functions.values()] == [NAMES.tags] * 4
    assert seen.role is not None
    assert (seen.role.tags, seen.role.policies) == (NAMES.tags, (NAMES.policy(REGION),))
    assert written(account, settings) == []
    # Both doors lead to the counters that were there.
    assert old.get("track", **EVENT, uuid="4") == (200, None)
    BackendClient(deployed.url, function_url=deployed.function_url).track(**EVENT, uuid="5")
    assert visitors(deployed) == 5
    status, (meta, found) = old.get("experiments")
    assert (status, meta, found["experiment"]) == (200, {"meta": {"scope": None}}, "button color")
    assert old.get("track", **EVENT)[0] == 503
    assert visitors(deployed) == 5
    destroy(settings, account)
    assert sorted(left(account)) == sorted([old.id, old.key])
    destroy(settings, account, legacy=True)
    assert left(account) == []


@pytest.mark.full
def test_without_the_old_url_the_role_is_for_lambda_alone(
    account: RecordingAws, old: OldApi, settings: Config
) -> None:
    for operation in ("PutMethodResponse", "PutIntegrationResponse", "CreateDeployment"):
        with pytest.raises(Killed), killing(account, operation):
            deploy.deploy(settings, silent, account)
    deploy.deploy(settings, silent, account)
    assert written(account, settings) == []
    assert old.get("track", **EVENT)[0] == 503
    assert "apigateway" in str(role(account).trust)
    destroy(settings, account, legacy=True)
    assert sorted(set(written(account, settings))) == ["PutRolePolicy", "UpdateAssumeRolePolicy"]
    assert "apigateway" not in str(role(account).trust)
    destroy(settings, account)
    assert left(account) == []


@pytest.mark.full
def test_a_deployment_of_gimel_1_in_another_region_keeps_its_role(
    account: RecordingAws, old: OldApi, settings: Config
) -> None:
    elsewhere = settings.model_copy(update={"aws": AwsSettings(region="us-east-1")})
    there = connect("us-east-1")
    before = role(account)
    with pytest.raises(
        DeployError, match=r"role gimel belongs to gimel 1\.x.*to that region first"
    ):
        deploy.deploy(elsewhere, silent, there)
    assert there.writes == []
    assert role(account) == before
    deploy.deploy(settings, silent, account)
    deploy.deploy(elsewhere, silent, there)
    assert "apigateway" in str(role(account).trust)
    assert written(account, settings) == []
    assert old.get("track", **EVENT, uuid="4") == (200, None)
    destroy(settings, account)
    destroy(settings, account, legacy=True)
    # What is left is that of the other region, and then nothing.
    deploy.deploy(elsewhere, silent, there)
    assert "apigateway" not in str(role(there).trust)
    destroy(elsewhere, there)
    assert [*left(account), *left(there)] == []


def test_a_role_of_gimel_1_that_nothing_uses_can_be_adopted(
    account: RecordingAws, settings: Config
) -> None:
    trust = json.dumps(trust_policy(legacy=True))
    policy = json.dumps(functions_policy(NAMES, account.home()))
    named = {"RoleName": "gimel"}
    account.call("iam", "create_role", **named, AssumeRolePolicyDocument=trust)
    account.call("iam", "put_role_policy", **named, PolicyName="gimel", PolicyDocument=policy)
    with pytest.raises(DeployError, match="deleted everywhere, deploy with --adopt"):
        deploy.deploy(settings, silent, account)
    deploy.deploy(settings, silent, account, adopt=True)
    assert role(account).policies == (NAMES.policy(REGION),)


def role(aws: RecordingAws) -> ObservedRole:
    found = observe(aws, NAMES).role
    assert found is not None
    return found


def functions(aws: RecordingAws) -> Mapping[str, ObservedFunction]:
    return observe(aws, NAMES).functions


def written(aws: RecordingAws, config: Config) -> list[str]:
    """What another deploy writes."""
    aws.operations.clear()
    deploy.deploy(config, silent, aws)
    return aws.writes


class Killed(BaseException):
    """The process ends here: no handler of it runs on."""


@contextmanager
def killing(aws: RecordingAws, operation: str) -> Iterator[None]:
    def kill(**_: Any) -> None:
        raise Killed

    event = f"before-call.api-gateway.{operation}"
    aws.on(event, kill)
    try:
        yield
    finally:
        aws.off(event, kill)
