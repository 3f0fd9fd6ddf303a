"""A deployed stack tells its alarms' topic, or a webhook whose URL nothing shows."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import redis

from gimel.stack.aws import Aws
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION
from tests.support.deployments import Stack
from tests.support.servers import url_of
from tests.support.sqs import Sqs

pytestmark = pytest.mark.slow


@pytest.fixture
def redis_url(store: redis.Redis) -> str:
    """An empty Valkey. The one that `deployed` uses has experiments of other tests."""
    return url_of(store)


@pytest.fixture
def stack(aws_endpoint: str, redis_url: str, tmp_path: Path) -> Stack:
    """A stack with a config file and an experiment whose split breaks. It is not deployed yet."""
    return Stack(tmp_path, redis_url)


def skew(stack: Stack) -> None:
    client, name = stack.client(), "<!channel>"
    client.declare(name, {"variants": [{"name": "a"}, {"name": "b"}]})
    fields = {"experiment": name, "variant": "a", "event": "participate"}
    batch = [{**fields, "uuid": str(number)} for number in range(300)]
    client.send(batch)


def next_hour(stack: Stack, redis_url: str) -> Any:
    """Ask for snapshots as the rule does, of an hour that has none yet."""
    with redis.Redis.from_url(redis_url) as client:
        client.delete("alephbet:<!channel>:history")
    function = Names(stack.content["stack"]).function("all-experiments")
    payload = {"FunctionName": function, "Qualifier": "live", "Payload": '{"gimel": "snapshot"}'}
    return json.loads(Aws(REGION).call("lambda", "invoke", **payload)["Payload"].read())


def test_the_topic_of_the_alarms_is_told_once(stack: Stack, redis_url: str) -> None:
    stack.save(alarm_email="ana@shop.example")
    stack.run("deploy", "--no-preflight")
    topic = observe(Aws(REGION), Names(stack.content["stack"])).topic
    assert topic
    queue = Sqs(f"{stack.content['stack']}-mail")
    sns: Any = boto3.client("sns", region_name=REGION)
    sns.subscribe(TopicArn=topic.arn, Protocol="sqs", Endpoint=queue.arn)
    skew(stack)
    for _ in range(2):
        assert next_hour(stack, redis_url) == {"snapshots": 1, "complete": True}
    (record,) = queue.receive()
    mail = json.loads(record["body"])
    assert mail["Subject"] == "Gimel: a split that broke"
    message, step = mail["Message"].split("\n\n")
    assert message.startswith("Experiment <!channel>: visitors are not split")
    assert step.startswith("Fix the split first")
    queue.client.close()
    sns.close()


def test_the_url_of_a_webhook_is_shown_nowhere(stack: Stack, redis_url: str) -> None:
    stack.save(notify={"webhook": "https://hunter2.invalid/hunter2", "form": "slack"})
    printed = stack.run("deploy", "--dry-run", "--verbose", code=2)
    assert "GIMEL_NOTIFY" in printed
    printed += stack.run("deploy", "--dry-run", "--json", code=2)
    printed += stack.run("deploy", "--no-preflight")
    seen = observe(Aws(REGION), Names(stack.content["stack"]))
    function = seen.functions[Names(stack.content["stack"]).function("all-experiments")]
    variables = function.versions[str(function.live)]["Environment"]["Variables"]
    assert variables["GIMEL_NOTIFY"] == "https://hunter2.invalid/hunter2"
    assert seen.role
    assert "sns:Publish" not in json.dumps(seen.role.permissions)
    skew(stack)
    assert next_hour(stack, redis_url) == {"snapshots": 1, "complete": True}
    logged = stack.run("logs", "--since", "1h")
    assert '"notify": "gaierror"' in logged
    stack.save(notify={"webhook": "https://hunter2.invalid/hunter3", "form": "slack"})
    printed += logged + stack.run("deploy", "--dry-run", "--verbose", code=2)
    printed += stack.run("status") + repr(stack.config)
    assert "hunter" not in printed
