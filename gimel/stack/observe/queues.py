"""The observation of the SQS queues and of their event source mapping."""

from collections.abc import Mapping
from typing import Any

from gimel.stack.aws import Aws
from gimel.stack.observed import ObservedMapping, ObservedQueue
from gimel.stack.wanted import REPLAY, Names

_ATTRIBUTES = "Attributes || `{}`"


def observe_queues(aws: Aws, names: Names) -> dict[str, ObservedQueue]:
    """Return those of the stack's queues that exist. Raises AwsError."""
    found = {name: _observe_queue(aws, name) for name in names.queues}
    return {name: queue for name, queue in found.items() if queue}


def _observe_queue(aws: Aws, name: str) -> ObservedQueue | None:
    url = aws.find("sqs", "get_queue_url", "QueueUrl", QueueName=name)
    if url is None:
        return None
    attributes = aws.call(
        "sqs", "get_queue_attributes", _ATTRIBUTES, QueueUrl=url, AttributeNames=["All"]
    )
    tags = aws.call("sqs", "list_queue_tags", "Tags || `{}`", QueueUrl=url)
    return ObservedQueue(url, attributes, tags)


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
        "FilterCriteria": found.get("FilterCriteria") or {},
        "MaximumBatchingWindowInSeconds": found.get("MaximumBatchingWindowInSeconds") or 0,
    }
    arn = found["EventSourceMappingArn"]
    tags = aws.call("lambda", "list_tags", "Tags || `{}`", Resource=arn)
    return ObservedMapping(found["UUID"], arn, settings, tags)
