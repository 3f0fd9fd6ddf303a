"""The managed Redis on an emulated account: its life, and what goes wrong in it."""

import os
import re
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gimel import deploy
from gimel.config.settings import Config
from gimel.stack import apply as applying
from gimel.stack import destruction
from gimel.stack.apply import InterruptedDeployError
from gimel.stack.cache import CacheFigures, cache_figures
from gimel.stack.observe.cache import observe_cache
from gimel.stack.wanted import DeployError, Names
from tests.support.aws_account import new_stack, stack_config
from tests.support.deployments import silent
from tests.support.serverless_caches import CacheAws

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def account(aws_endpoint: str) -> CacheAws:
    return CacheAws()


@pytest.fixture
def aws(account: CacheAws, monkeypatch: pytest.MonkeyPatch) -> CacheAws:
    # The emulator's cache has no server behind it.
    monkeypatch.setattr(deploy, "probe", lambda *_: None)
    account.begin_anew()
    account.operations.clear()
    return account


@pytest.fixture
def config(aws_endpoint: str) -> Config:
    return settings()


def settings(stack: str | None = None, **limits: int) -> Config:
    return stack_config("", stack=stack or new_stack(), redis={"managed": limits})


def run(aws: CacheAws, config: Config) -> list[str]:
    """Deploy. Returns what it says."""
    said: list[str] = []
    deploy.deploy(config, said.append, aws, may_create_cache=True)
    return said


def variables(aws: CacheAws, config: Config) -> dict[str, str]:
    found: dict[str, str] = aws.call(
        "lambda",
        "get_function_configuration",
        "Environment.Variables",
        FunctionName=Names(config.stack).function("track"),
        Qualifier="live",
    )
    return found


def test_a_first_deploy_makes_it_and_the_second_changes_nothing(
    aws: CacheAws, config: Config
) -> None:
    run(aws, config)
    found = observe_cache(aws, Names(config.stack))
    assert found
    assert found.tags == {"gimel:stack": config.stack}
    assert variables(aws, config)["GIMEL_REDIS_URL"] == f"rediss://{found.address}/0"
    assert variables(aws, config)["GIMEL_REDIS_IAM"] == config.stack
    aws.operations.clear()
    assert not deploy.deploy(config, silent, aws).changes
    assert aws.writes == []
    assert len(aws.asked("CreateServerlessCache")) == 1


def test_nothing_is_made_that_was_not_agreed_to(aws: CacheAws, config: Config) -> None:
    with pytest.raises(DeployError, match=r"about \$6 a month .* Run `gimel deploy` first"):
        deploy.deploy(config, silent, aws)
    assert aws.writes == []


def test_how_long_it_takes_is_said(
    aws: CacheAws, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "_WAIT_LINE_EVERY", 0.0)
    said = run(aws, config)
    assert f"wait for cache {config.stack}: waiting for AWS, 0 s" in said


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deploy gives up at once."""
    monkeypatch.setattr(applying, "_WAIT_TIMEOUT", 0.2)


def test_a_creation_that_takes_too_long_is_finished_by_the_next_deploy(
    aws: CacheAws, config: Config, impatient: None
) -> None:
    aws.looks = 1000
    with pytest.raises(DeployError, match=r"AWS needs longer than .* Run the same command again"):
        run(aws, config)
    aws.be_ready()
    run(aws, config)
    assert len(aws.asked("CreateServerlessCache")) == 1
    assert not deploy.deploy(config, silent, aws).changes


def test_ctrl_c_ends_the_wait(
    aws: CacheAws, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "_WAIT_LINE_EVERY", 0.0)
    aws.looks = 100
    # A shell that runs the tests in the background ignores the signal for them.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(line: str) -> None:
        if "waiting for AWS" in line:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        with pytest.raises(InterruptedDeployError) as stopped:
            deploy.deploy(config, interrupt, aws, may_create_cache=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "changes are made, the last one: create policy of role" in str(stopped.value)


def test_a_creation_that_fails_ends_at_once_and_is_tried_again(
    aws: CacheAws, config: Config
) -> None:
    aws.failure = "the quota for serverless caches is used up"
    with pytest.raises(DeployError) as failed:
        run(aws, config)
    assert str(failed.value) == (
        f"AWS could not create cache {config.stack}: {aws.failure}. The same command tries again"
    )
    aws.failure = None
    run(aws, config)
    assert aws.snapshots == [None]
    assert len(aws.asked("CreateServerlessCache")) == 2
    assert not deploy.deploy(config, silent, aws).changes


def test_settings_change_one_at_a_time(aws: CacheAws, config: Config) -> None:
    run(aws, config)
    changed = settings(config.stack, ecpu=2000, snapshot_days=1)
    (change,) = deploy.deploy(changed, silent, aws).changes
    assert str(change) == (f"update cache {config.stack}: CacheUsageLimits, SnapshotRetentionLimit")
    assert [sorted(request) for request in aws.asked("ModifyServerlessCache")] == [
        ["CacheUsageLimits", "ServerlessCacheName"],
        ["ServerlessCacheName", "SnapshotRetentionLimit"],
    ]
    found = observe_cache(aws, Names(config.stack))
    assert found
    assert found.settings["SnapshotRetentionLimit"] == 1
    assert found.settings["CacheUsageLimits"]["ECPUPerSecond"] == {"Maximum": 2000}
    assert not deploy.deploy(changed, silent, aws).changes


def test_a_cache_that_somebody_else_changes_is_waited_for(aws: CacheAws, config: Config) -> None:
    run(aws, config)
    aws.become("modifying")
    deploy.deploy(settings(config.stack, snapshot_days=0), silent, aws)
    assert len(aws.asked("ModifyServerlessCache")) == 1


def test_switching_to_it_and_back_says_that_no_count_moves(
    aws: CacheAws, config: Config, redis_url: str
) -> None:
    own = stack_config(redis_url, stack=config.stack)
    deploy.deploy(own, silent, aws)
    assert any(line.startswith("no counts are moved") for line in run(aws, config))
    assert not any("counts" in line for line in run(aws, config))
    said = run(aws, own)
    assert any("not used any more: it keeps its counts and costs about $6" in line for line in said)


# The end


def destroy(aws: CacheAws, config: Config, **options: bool) -> list[str]:
    """Destroy. Returns the warnings."""
    warnings: list[str] = []
    destruction.plan_destroy(config, aws, warn=warnings.append, **options)
    destruction.destroy(config, aws, silent, **options)
    return warnings


def test_destroying_the_stack_leaves_it_and_the_next_deploy_takes_it_up(
    aws: CacheAws, config: Config
) -> None:
    run(aws, config)
    url = variables(aws, config)["GIMEL_REDIS_URL"]
    expected = (
        f"cache {config.stack} stays with all counts and costs about $6 a month at the minimum "
        "(us-east-1 prices): `gimel destroy --data` deletes it"
    )
    assert destroy(aws, config) == [expected]
    assert destruction.plan_destroy(config, aws) == []
    deploy.deploy(config, silent, aws)
    assert variables(aws, config)["GIMEL_REDIS_URL"] == url
    assert len(aws.asked("CreateServerlessCache")) == 1
    assert aws.snapshots == []


@pytest.mark.parametrize("snapshot", [True, False])
def test_with_its_data_it_is_deleted_too(aws: CacheAws, config: Config, snapshot: bool) -> None:
    run(aws, config)
    assert destroy(aws, config, data=True, snapshot=snapshot) == []
    assert observe_cache(aws, Names(config.stack)) is None
    (name,) = aws.snapshots
    if snapshot:
        assert re.fullmatch(rf"{config.stack}-\d{{8}}-\d{{6}}", str(name))
    else:
        assert name is None
    assert destruction.plan_destroy(config, aws, data=True) == []


def test_a_deletion_that_takes_too_long_is_finished_by_the_next_command(
    aws: CacheAws, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(aws, config)
    with monkeypatch.context() as patch:
        patch.setattr(applying, "_WAIT_TIMEOUT", 0.2)
        aws.looks = 1000
        with pytest.raises(DeployError, match=r"delete cache .*: AWS needs longer than"):
            destroy(aws, config, data=True)
    (change,) = destruction.plan_destroy(config, aws, data=True)
    assert [call.operation for call in change.calls] == ["describe_serverless_caches"]
    aws.be_ready()
    destroy(aws, config, data=True)
    assert len(aws.snapshots) == 1
    assert observe_cache(aws, Names(config.stack)) is None


def test_a_deploy_during_the_deletion_waits_and_begins_anew(aws: CacheAws, config: Config) -> None:
    run(aws, config)
    aws.call("elasticache", "delete_serverless_cache", ServerlessCacheName=config.stack)
    run(aws, config)
    assert len(aws.asked("CreateServerlessCache")) == 2
    assert not deploy.deploy(config, silent, aws).changes


# What the commands see


def test_its_size_and_cost_come_from_cloudwatch(aws: CacheAws, config: Config) -> None:
    run(aws, config)
    names, now = Names(config.stack), datetime.now(UTC)
    found = observe_cache(aws, names)
    assert found
    found = replace(found, created=now - timedelta(hours=2))
    idle = cache_figures(aws, names, found)
    assert idle == CacheFigures(None, pytest.approx(2 * 0.1 * 0.084, rel=0.01))
    for metric, value in (("BytesUsedForCache", 5e8), ("ElastiCacheProcessingUnits", 1e9)):
        datum = {
            "MetricName": metric,
            "Dimensions": [{"Name": "clusterId", "Value": names.cache}],
            "Timestamp": now - timedelta(minutes=1),
            "Value": value,
        }
        aws.call("cloudwatch", "put_metric_data", Namespace="AWS/ElastiCache", MetricData=[datum])
    dollars = 2 * 0.5 * 0.084 + 1000 * 0.0023
    assert cache_figures(aws, names, found) == CacheFigures(5e8, pytest.approx(dollars, rel=0.01))
