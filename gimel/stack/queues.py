"""The stack's queues on AWS: what there is of them, how full they are, and sending again."""

from collections.abc import Mapping
from typing import Any

from gimel.stack.aws import Aws
from gimel.stack.observed import SeenMapping, SeenQueue
from gimel.stack.wanted import REPLAY, DeployError, Names

_ATTRIBUTES = "Attributes || `{}`"
# Messages that one request may hold, and those that one may ask for.
_AT_ONCE = 10


def _observe_queue(aws: Aws, name: str) -> SeenQueue | None:
    url = aws.find("sqs", "get_queue_url", "QueueUrl", QueueName=name)
    if url is None:
        return None
    asked = {"QueueUrl": url, "AttributeNames": ["All"]}
    attributes = aws.call("sqs", "get_queue_attributes", _ATTRIBUTES, **asked)
    tags = aws.call("sqs", "list_queue_tags", "Tags || `{}`", QueueUrl=url)
    return SeenQueue(url, attributes, tags)


def observe_queues(aws: Aws, names: Names) -> dict[str, SeenQueue]:
    """Those of the stack's queues that there are. Raises AwsError."""
    found = {name: _observe_queue(aws, name) for name in (names.dead_letters, names.queue)}
    return {name: queue for name, queue in found.items() if queue}


def observe_mappings(aws: Aws, names: Names) -> tuple[tuple[SeenMapping, ...], tuple[str, ...]]:
    """What hands the queue's messages to the replay function, and whom else somebody hands them to.

    The others are functions' ARNs. Raises AwsError.
    """
    # Not asked for by the function: its plain name finds no mapping to an alias everywhere.
    all_of_them = aws.pages("lambda", "list_event_source_mappings", "EventSourceMappings[]")
    found = [
        mapping
        for mapping in all_of_them
        # Some sources have no ARN; a mapping that was deleted is shown for a while.
        if mapping.get("EventSourceArn", "").endswith(f":{names.queue}")
        and mapping["State"] != "Deleting"
    ]
    replay = f":function:{names.function(REPLAY)}"
    own = [each for each in found if replay in each["FunctionArn"]]
    others = tuple(each["FunctionArn"] for each in found if each not in own)
    return tuple(_mapping(aws, each) for each in own), others


def _mapping(aws: Aws, found: Mapping[str, Any]) -> SeenMapping:
    settings = {
        "FunctionName": found["FunctionArn"],
        "BatchSize": found["BatchSize"],
        "Enabled": found["State"] not in ("Disabled", "Disabling"),
        "FunctionResponseTypes": found.get("FunctionResponseTypes") or [],
        "ScalingConfig": found.get("ScalingConfig") or {},
    }
    arn = found["EventSourceMappingArn"]
    tags = aws.call("lambda", "list_tags", "Tags || `{}`", Resource=arn)
    return SeenMapping(found["UUID"], arn, settings, tags)


def redrive(aws: Aws, names: Names) -> int:
    """Put what was set aside back onto the queue. Returns how many messages. Raises AwsError.

    No more than there are at the start: what a limit still refuses is set aside again at once.
    Each is deleted only when it is on the queue: broken off in between, it is there twice, which
    counts nothing twice.
    """
    queues = observe_queues(aws, names)
    if len(queues) < 2:
        raise DeployError(f"stack {names.stack} has no queue: `gimel deploy` makes it")
    source, target = queues[names.dead_letters].url, queues[names.queue].url
    there = queues[names.dead_letters].waiting
    moved = 0
    while moved < there and (
        messages := aws.call(
            "sqs",
            "receive_message",
            "Messages || `[]`",
            QueueUrl=source,
            MaxNumberOfMessages=min(_AT_ONCE, there - moved),
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
