"""The queues of a deployed stack: events that wait for Redis, and dead letters sent again."""

import re
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from gimel.backend.queue import encode
from gimel.backend.wire import Event
from gimel.cli import main
from gimel.client import BackendClient
from gimel.stack.aws import Aws
from gimel.stack.observe.queues import observe_queues
from gimel.stack.redrive import redrive
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION
from tests.support.deployments import Deployment
from tests.support.sqs import Sqs
from tests.support.waiting import wait

# Seconds: the emulator looks into the queue when it has time, and failed messages wait longer.
REPLAYED_WITHIN = 180.0
EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "secret-id"}


def test_events_of_a_deployed_stack_outlive_redis(deployed: Deployment) -> None:
    client = BackendClient(deployed.url, deployed.key)
    fields = {"namespace": "spilt", **EVENT}
    client.track("e", "a", "participate", "0", "spilt")
    with deployed.redis_down():
        for n in range(6):
            answer = requests.get(f"{deployed.url}/e", fields | {"uuid": str(n)}, timeout=60)
            assert (answer.status_code, answer.json()["queued"]) == (200, True)
    wait(lambda: counted(client, "spilt") == 6, REPLAYED_WITHIN)
    client.delete("e", "spilt")


def counted(client: BackendClient, namespace: str) -> int:
    """The visitors of experiment e."""
    (variant,) = client.experiment("e", namespace)["variants"]
    return int(variant["trials"])


def waiting(aws: Aws, name: str) -> int:
    return observe_queues(aws, Names(name.split("-events")[0]))[name].waiting


def test_dead_letters_are_sent_again(aws_endpoint: str, deployed: Deployment) -> None:
    names = Names(deployed.config.stack)
    aws = Aws(REGION)
    client = BackendClient(deployed.url, deployed.key)
    dead = observe_queues(aws, names)[names.dead_letters]
    for n in range(20):
        (body,) = encode([Event("dead", "e", "participate", "a", str(n))])
        aws.call("sqs", "send_message", QueueUrl=dead.url, MessageBody=body)
    assert waiting(aws, names.dead_letters) == 20
    status = CliRunner().invoke(main, ["--config", str(deployed.config_file), "status"]).output
    line = next(line for line in status.splitlines() if line.startswith("Queue"))
    assert line.startswith("Queue        20 messages with events were set aside")
    assert re.search("SQS deletes the oldest in 1[34] days: mend what", line)
    backlog = client.backlog()
    assert backlog is not None
    assert backlog.set_aside.messages == 20
    assert backlog.set_aside.seconds_left is not None
    done = CliRunner().invoke(
        main, ["--config", str(deployed.config_file), "replay", "--dead-letter"]
    )
    assert (done.exit_code, done.output) == (0, "Moved 20 messages back to the queue.\n")
    assert waiting(aws, names.dead_letters) == 0
    wait(lambda: waiting(aws, names.queue) == 0, REPLAYED_WITHIN)
    wait(lambda: counted(client, "dead") == 20, REPLAYED_WITHIN)
    client.delete("e", "dead")


def test_what_is_set_aside_again_is_not_sent_again_for_ever(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names("over-a-limit")
    target, source = Sqs(names.queue), Sqs(names.dead_letters)
    for n in range(3):
        source.client.send_message(QueueUrl=source.url, MessageBody=str(n))
    real = Aws.call

    def call(self: Aws, service: str, operation: str, *rest: Any, **fields: Any) -> Any:
        answer = real(self, service, operation, *rest, **fields)
        if operation == "send_message":
            # The replay meanwhile, over a limit still.
            source.client.send_message(QueueUrl=source.url, MessageBody=fields["MessageBody"])
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Aws, "call", call)
        assert redrive(Aws(REGION), names) == 3
    assert waiting(Aws(REGION), names.dead_letters) == 3
    for each in (target, source):
        each.client.delete_queue(QueueUrl=each.url)
        each.client.close()
