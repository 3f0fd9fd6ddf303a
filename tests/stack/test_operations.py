"""The commands that keep a deployed stack, as a person runs them, on the emulated account."""

import itertools
import json
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from gimel import aws_lambda, deploy
from gimel.client import BackendClient, BackendError
from gimel.stack import operations
from gimel.stack.aws import Aws, AwsError
from gimel.stack.deployed import connect, find, inspect_redis
from gimel.stack.observe.keys import observe_parameter
from gimel.stack.observe.observe import observe
from gimel.stack.prepare import prepare
from gimel.stack.wanted import DeployError, Names, log_group
from tests.support.aws_account import REGION
from tests.support.commands import run
from tests.support.deployments import REDIS_PASSWORD, Stack, silent

pytestmark = pytest.mark.slow


@pytest.fixture
def stack(aws_endpoint: str, own_redis_url: str, tmp_path: Path) -> Stack:
    made = Stack(tmp_path, own_redis_url)
    deploy.deploy(made.config, silent)
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
    assert find(stack.config).key not in stack.printed


def test_in_a_pipe_no_line_is_broken(stack: Stack) -> None:
    stack.save(memory=512)
    planned = json.loads(stack.run("deploy", "--dry-run", "--json", code=2))["changes"]
    shown = stack.run("deploy", "--dry-run", code=2).splitlines()
    status = stack.run("status").splitlines()
    for change in planned:
        (line,) = [line for line in shown if f"{change['change']} {change['what']}" in line]
        assert line.endswith(change["why"])
        assert any(line.endswith(change["why"]) and change["what"] in line for line in status)
    assert max(map(len, shown)) > 80
    assert max(map(len, status)) > 80
    url = find(stack.config).url
    assert f"Dashboard    {url}/dashboard" in status
    deployed = stack.run("deploy", "--no-preflight").splitlines()
    assert f"Dashboard   {url}/dashboard" in deployed


def test_back_to_an_earlier_version_and_forth(stack: Stack) -> None:
    track = Names(stack.content["stack"]).function("track")

    def live() -> str | None:
        return observe(connect(stack.config), Names(stack.content["stack"])).functions[track].live

    before = live()
    stack.save(memory=512)
    stack.run("deploy", "--no-preflight")
    assert live() != before
    assert f"Version {before} is live" in stack.run("rollback")
    assert live() == before
    assert "no such earlier version" in stack.run("rollback", code=1)
    status = stack.run("status")
    assert track in status
    assert "of 20 namespaces; most in one namespace: " in status
    assert "Queue        nothing waits to be counted, nothing was set aside" in status
    stack.run("deploy", "--no-preflight")
    assert live() != before


def test_an_alias_that_anybody_may_invoke_is_an_alarm(stack: Stack) -> None:
    name = f"{stack.content['stack']}-all-experiments"
    connect(stack.config).call(
        "lambda",
        "add_permission",
        FunctionName=name,
        Qualifier="live",
        StatementId="by-hand",
        Action="lambda:InvokeFunction",
        Principal="*",
    )
    done = run(*stack.command[3:], "status")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0] == (
        f"ALARM        anybody may invoke alias live of function {name} (permission by-hand): "
        "run `gimel deploy`, which deletes the permission"
    )
    stack.run("deploy", "--no-preflight")
    assert "ALARM" not in stack.run("status")


@pytest.mark.parametrize("to", [(), ("--to", "1")])
def test_back_to_an_earlier_version_of_nothing(
    aws_endpoint: str, redis_url: str, tmp_path: Path, to: tuple[str, ...]
) -> None:
    nothing = Stack(tmp_path, redis_url)
    name = nothing.content["stack"]
    assert nothing.run("rollback", *to, code=1) == (
        f"Error: there is no stack {name} in region {REGION}: create it with `gimel deploy`\n"
    )


def test_a_function_that_fails_tells_nothing_about_redis(stack: Stack) -> None:
    aws, names = connect(stack.config), Names(stack.config.stack)
    function = {"FunctionName": names.function("all-experiments")}
    aws.call("lambda", "update_function_configuration", **function, Handler="gimel.missing.reads")
    aws.wait("function_updated_v2", **function)
    version = aws.call("lambda", "publish_version", "Version", **function)
    aws.call("lambda", "update_alias", **function, Name="live", FunctionVersion=version)
    with pytest.raises(AwsError, match=r"-all-experiments fails: `gimel logs` shows why$"):
        inspect_redis(aws, names)
    assert "seen from here" in stack.run("status")


def test_another_key(stack: Stack) -> None:
    old = stack.client()
    assert stack.run("key", "show").strip() == find(stack.config).key
    stack.run("key", "rotate")
    assert isinstance(stack.client().experiments(), list)
    with pytest.raises(BackendError) as refused:
        old.experiments()
    assert refused.value.status == 403
    assert json.loads(stack.run("deploy", "--dry-run", "--json"))["changes"] == []
    assert "accepts other keys than today's" in stack.run("rollback", code=1)


def test_the_old_key_is_good_until_the_new_one_is_in_place(stack: Stack) -> None:
    """Seen at every step of the rotation; refused is the old one only when all is done."""
    aws, names, old = connect(stack.config), Names(stack.content["stack"]), stack.client()
    first = kept_key(aws, names)
    seen: list[str] = []

    def look(line: str) -> None:
        seen.append(line)
        kept = kept_key(aws, names)
        if seen[-1].startswith("3 of 3"):
            assert kept != first
        # Whoever asks for the key gets one that is good at this moment.
        assert isinstance(BackendClient(old.url, kept).experiments(), list)
        if not any(line.startswith("3 of 3") for line in seen):
            assert kept == first
        if not any(line.startswith("update alias") for line in after_third(seen)):
            assert isinstance(old.experiments(), list)

    new = deploy.rotate_key(stack.config, aws, look).key
    assert sum(line.startswith("update alias") for line in after_third(seen)) == 4
    assert len(seen) > len(after_third(seen)) + 10
    assert isinstance(BackendClient(old.url, new).experiments(), list)
    with pytest.raises(BackendError) as refused:
        old.experiments()
    assert refused.value.status == 403


def after_third(lines: list[str]) -> list[str]:
    return list(itertools.dropwhile(lambda line: not line.startswith("3 of 3"), lines))


def kept_key(aws: Aws, names: Names) -> str:
    kept = observe_parameter(aws, names)
    assert kept is not None
    return kept.key


@pytest.mark.parametrize("step", ["2 of 3", "3 of 3"])
def test_a_rotation_that_stops_half_way(stack: Stack, step: str) -> None:
    aws, names, old = connect(stack.config), Names(stack.content["stack"]), stack.client()
    first = kept_key(aws, names)

    def stop(line: str) -> None:
        if line.startswith(step):
            raise DeployError("the machine went away")

    with pytest.raises(DeployError, match="went away"):
        deploy.rotate_key(stack.config, aws, stop)
    kept = kept_key(aws, names)
    assert (kept == first) is (step == "2 of 3")
    for key in {kept, first}:
        assert isinstance(BackendClient(old.url, key).experiments(), list)
    deploy.deploy(stack.config, silent, aws)
    assert kept_key(aws, names) == kept
    assert isinstance(BackendClient(old.url, kept).experiments(), list)
    if kept != first:
        with pytest.raises(BackendError, match="403"):
            old.experiments()


# Logs


def test_logs_go_back_as_far_as_asked(stack: Stack) -> None:
    aws, group = connect(stack.config), log_group(f"{stack.content['stack']}-track")
    named = {"logGroupName": group, "logStreamName": "by-hand"}
    aws.call("logs", "create_log_stream", **named)
    now = int(time.time() * 1000)
    ages = {"two hours old": 2 * 3600, "half an hour old": 1800}
    events = [
        {"timestamp": now - 1000 * seconds, "message": message} for message, seconds in ages.items()
    ]
    aws.call("logs", "put_log_events", **named, logEvents=events)
    shown = {since: stack.run("logs", "--since", since) for since in ("10m", "1h", "3h")}
    assert [sum(age in text for age in ages) for text in shown.values()] == [0, 1, 2]
    assert shown["3h"].index("two hours old") < shown["3h"].index("half an hour old")
    done = subprocess.run(
        [*stack.command, "logs", "--since", "soon"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "must look like 90s, 15m, 2h or 7d" in done.stderr


@pytest.mark.parametrize("since", ["99999d", "3651d", "99999h"])
def test_logs_of_before_there_was_a_cloud(since: str) -> None:
    done = run("logs", "--since", since)
    assert done.exit_code == 2
    assert done.stderr.endswith("Error: Invalid value for '--since': must be at most 3650d\n")


def test_logs_of_a_region_without_the_stack(stack: Stack) -> None:
    """It looks as if nothing went wrong, so the command says where it looked."""
    stack.save(aws={"region": "us-east-1"})
    done = run(*stack.command[3:], "logs")
    assert done.exit_code == 0
    assert done.stdout == ""
    name = stack.content["stack"]
    assert done.stderr == f"Stack {name} in us-east-1 logged nothing in that time.\n"


def test_logs_of_one_millisecond_stay_in_order(stack: Stack) -> None:
    aws, group = connect(stack.config), log_group(f"{stack.content['stack']}-track")
    named = {"logGroupName": group, "logStreamName": "by-hand"}
    aws.call("logs", "create_log_stream", **named)
    moment = int(time.time() * 1000)
    told = [f"told {number}." for number in range(20)]
    events = [{"timestamp": moment, "message": message} for message in told]
    aws.call("logs", "put_log_events", **named, logEvents=events)
    shown = stack.run("logs", "--since", "3650d").splitlines()
    assert [line[line.index("told") :] for line in shown if "told" in line] == told


def test_logs_that_are_followed(stack: Stack) -> None:
    """What is logged later appears; Ctrl-C ends it."""
    process = stack.start("logs", "--follow")
    assert process.stdout
    # The deploy's probe has been logged.
    before = process.stdout.readline()
    aws, group = connect(stack.config), log_group(f"{stack.content['stack']}-track")
    named = {"logGroupName": group, "logStreamName": "by-hand"}
    aws.call("logs", "create_log_stream", **named)
    event = {"timestamp": int(time.time() * 1000), "message": "a moment\x1b[2J later"}
    aws.call("logs", "put_log_events", **named, logEvents=[event])
    found = next(line for line in process.stdout if "later" in line)
    process.send_signal(signal.SIGINT)
    rest, complaint = process.communicate(timeout=60)
    assert before
    assert found.startswith(f"{stack.content['stack']}-track ")
    assert "a moment\\u{1b}[2J later" in found
    assert "later" not in rest
    assert (process.returncode, complaint) == (130, "")


def test_followed_logs_miss_nothing_while_they_are_not_read(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pager may read the first lines, and the next ones a minute later."""
    aws, names = connect(stack.config), Names(stack.config.stack)
    lines = operations.read_logs(aws, names, timedelta(hours=1), follow=True)
    next(lines)
    named = {"logGroupName": log_group(names.function("track")), "logStreamName": "by-hand"}
    aws.call("logs", "create_log_stream", **named)
    event = {"timestamp": int(time.time() * 1000), "message": "meanwhile"}
    aws.call("logs", "put_log_events", **named, logEvents=[event])
    rounds = iter(range(3))
    clock = SimpleNamespace(time=lambda: time.time() + 60, sleep=lambda _: next(rounds))
    monkeypatch.setattr(operations, "time", clock)
    assert any("meanwhile" in line for _, line in lines)


# Ctrl-C


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("looking at stack", "Completed steps stay; run the same command again to continue"),
        ("create function", " changes are made, the last one: "),
        ("sending a probe", "Completed steps stay; run the same command again to continue"),
    ],
)
def test_ctrl_c_during_a_deploy(
    aws_endpoint: str, redis_url: str, tmp_path: Path, moment: str, said: str
) -> None:
    stack = Stack(tmp_path, redis_url)
    complaint = stack.interrupt(moment, "deploy", "--no-preflight")
    assert complaint.startswith("Error: stopped")
    assert said in complaint
    assert "again to continue" in complaint
    deploy.deploy(stack.config, silent)
    assert prepare(stack.config, silent, connect(stack.config)).changes == []


def test_ctrl_c_during_a_destroy(stack: Stack) -> None:
    complaint = stack.interrupt("delete function", "destroy", "--yes")
    assert " changes are made" in complaint
    assert "again to continue" in complaint
    assert not stack.is_gone
    stack.run("destroy", "--yes")
    assert stack.is_gone


def test_ctrl_c_at_a_question(stack: Stack) -> None:
    assert "again to continue" in stack.interrupt("", "destroy", at_prompt=True)
    assert not stack.is_gone


def test_ctrl_c_during_a_rotation(stack: Stack) -> None:
    first = find(stack.config).key
    assert "again to continue" in stack.interrupt("2 of 3", "key", "rotate")
    deploy.rotate_key(stack.config, connect(stack.config), silent)
    assert find(stack.config).key != first
    assert isinstance(stack.client().experiments(), list)


def test_destroy_leaves_nothing(stack: Stack) -> None:
    client = stack.client()
    client.track("e", "a", "participate", "1", namespace="shop")
    client.track("e", "a", "participate", "1")
    assert "Aborted" in stack.run("destroy", code=1)
    assert not stack.is_gone
    said = stack.run("destroy", "--yes", "--data")
    assert "Removed." in said
    assert stack.is_gone
    found = f"stack {stack.content['stack']} in {REGION}, account {0:012}"
    assert stack.run("destroy", "--yes") == f"There is nothing to remove from {found}.\n"
    stack.run("deploy", "--no-preflight")
    assert stack.client().experiments("shop") == []
    # The name is free again.
    stack.client().track("e", "a", "participate", "1", namespace="shop")
    (again,) = stack.client().experiments("shop")
    assert again["variants"][0]["trials"] == 1


def test_a_destroy_that_was_stopped_goes_on(stack: Stack) -> None:
    aws, names = connect(stack.config), Names(stack.content["stack"])
    (api,) = observe(aws, names).apis
    aws.call("apigatewayv2", "delete_api", ApiId=api.id)
    said = stack.run("destroy", "--yes", "--data")
    assert "The API no longer exists" in said
    assert stack.is_gone


def test_the_policy_is_json_that_allows_no_everything(stack: Stack) -> None:
    policy = json.loads(stack.run("policy"))
    actions = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert "lambda:CreateFunction" in actions
    assert not [action for action in actions if action in ("*", "iam:*", "lambda:*")]


def test_events_of_the_old_rest_api(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIMEL_REDIS_URL", redis_url)
    aws_lambda.gimel.counters.cache_clear()
    event = {"experiment": "old", "variant": "a", "event": "participate", "namespace": "rest"}
    assert aws_lambda.track(event | {"uuid": "1"}) is None
    meta, found = aws_lambda.reads({"namespace": "rest"})
    assert meta == {"meta": {"scope": None}}
    assert found["variants"][0]["trials"] == 1
    with pytest.raises(aws_lambda.FailedCallError, match="uuid is missing"):
        aws_lambda.track(event)
    assert aws_lambda.delete({"namespace": "rest", "experiment": "old"}) is None
    assert aws_lambda.reads({"namespace": "rest"}) == [{"meta": {"scope": None}}]
    aws_lambda.gimel.counters.cache_clear()
