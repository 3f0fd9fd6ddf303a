"""The stack's SQS queues on AWS: their observation, and the redrive of the dead letters.

`gimel.stack.plan.queue` holds the queues' settings.
"""

from collections.abc import Mapping
from typing import Any

from gimel.stack.aws import Aws
from gimel.stack.observed import ObservedMapping, ObservedQueue
from gimel.stack.wanted import REPLAY, DeployError, Names

_ATTRIBUTES = "Attributes || `{}`"
# The most messages that SQS returns for one request.
_BATCH_SIZE = 10


def _observe_queue(aws: Aws, name: str) -> ObservedQueue | None:
    url = aws.find("sqs", "get_queue_url", "QueueUrl", QueueName=name)
    if url is None:
        return None
    attributes = aws.call(
        "sqs", "get_queue_attributes", _ATTRIBUTES, QueueUrl=url, AttributeNames=["All"]
    )
    tags = aws.call("sqs", "list_queue_tags", "Tags || `{}`", QueueUrl=url)
    return ObservedQueue(url, attributes, tags)


def observe_queues(aws: Aws, names: Names) -> dict[str, ObservedQueue]:
    """Return those of the stack's queues that exist. Raises AwsError."""
    found = {name: _observe_queue(aws, name) for name in (names.dead_letters, names.queue)}
    return {name: queue for name, queue in found.items() if queue}


def observe_mappings(aws: Aws, names: Names) -> tuple[tuple[ObservedMapping, ...], tuple[str, ...]]:
    """Return the queue's mappings to the replay function, and the ARNs of its other consumers.

    Raises AwsError.
    """
    # Filtered here: not every emulator finds a mapping to an alias by the function's plain name.
    all_mappings = aws.pages("lambda", "list_event_source_mappings", "EventSourceMappings[]")
    found = [
        mapping
        for mapping in all_mappings
        # Some sources have no ARN. AWS lists a deleted mapping for a while.
        if mapping.get("EventSourceArn", "").endswith(f":{names.queue}")
        and mapping["State"] != "Deleting"
    ]
    replay = f":function:{names.function(REPLAY)}"
    own = [each for each in found if replay in each["FunctionArn"]]
    others = tuple(each["FunctionArn"] for each in found if each not in own)
    return tuple(_observe_mapping(aws, each) for each in own), others


def _observe_mapping(aws: Aws, found: Mapping[str, Any]) -> ObservedMapping:
    settings = {
        "FunctionName": found["FunctionArn"],
        "BatchSize": found["BatchSize"],
        "Enabled": found["State"] not in ("Disabled", "Disabling"),
        "FunctionResponseTypes": found.get("FunctionResponseTypes") or [],
        "ScalingConfig": found.get("ScalingConfig") or {},
    }
    arn = found["EventSourceMappingArn"]
    tags = aws.call("lambda", "list_tags", "Tags || `{}`", Resource=arn)
    return ObservedMapping(found["UUID"], arn, settings, tags)


def redrive(aws: Aws, names: Names) -> int:
    """Move the dead letters back to the queue. Return how many messages were moved.

    At most the messages that are there at the start are moved, since a message that a limit still
    refuses becomes a dead letter again at once. A message is sent before it is deleted. If the
    redrive stops in between, the message exists twice, but its events still count once. Raises
    AwsError, and DeployError if there are no queues.
    """
    queues = observe_queues(aws, names)
    if len(queues) < 2:
        raise DeployError(f"stack {names.stack} has no queue: create it with `gimel deploy`")
    source, target = queues[names.dead_letters].url, queues[names.queue].url
    total = queues[names.dead_letters].waiting
    moved = 0
    while moved < total and (
        messages := aws.call(
            "sqs",
            "receive_message",
            "Messages || `[]`",
            QueueUrl=source,
            MaxNumberOfMessages=min(_BATCH_SIZE, total - moved),
            VisibilityTimeout=60,
            WaitTimeSeconds=1,
        )
    ):
        for message in messages:
            aws.call("sqs", "send_message", QueueUrl=target, MessageBody=message["Body"])
            handle = {"QueueUrl": source, "ReceiptHandle": message["ReceiptHandle"]}
            aws.call("sqs", "delete_message", **handle)
            moved += 1
    return moved
