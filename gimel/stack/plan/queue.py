"""The plan of the SQS queues: their settings, their creation, change and deletion.

The queue holds events that could not be written to Redis. An event source mapping feeds it to the
replay function. A message that keeps failing moves to the queue of dead letters.
"""

import json
from collections.abc import Iterator
from typing import Any

from gimel.stack.change import Call, Change
from gimel.stack.observed import Observed, ObservedMapping
from gimel.stack.plan.difference import differences
from gimel.stack.plan.ownership import missing_tags, tag_reason
from gimel.stack.wanted import REPLAY, REPLAY_TIMEOUT, Names, Wanted, alias_arn

# The queue's maxReceiveCount: after this many failed replays a message becomes a dead letter. The
# replay function delays a message by up to ten minutes (see `gimel.backend.intake`), so events
# survive 32 hours without Redis.
_MAX_REPLAYS = 200
# The most replays that run at once. Redis has few connections to spare, and 2 is AWS's minimum.
REPLAY_CONCURRENCY = 2
# Seconds until SQS deletes a message. 14 days are the maximum.
_RETENTION = 14 * 24 * 3600
# The queue's visibility timeout in seconds. AWS advises six times the function's timeout.
_VISIBILITY_TIMEOUT = 6 * REPLAY_TIMEOUT
# Bytes. The functions send less (see `gimel.backend.queue`), and SQS's own default differs by age.
_MAX_MESSAGE = 256 * 1024
# What SQS sets by itself. A queue's owner needs no policy, and a caller that a policy lets in could
# read events or make them up. An empty text removes a policy:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
_QUEUE_DEFAULTS = {
    "DelaySeconds": "0",
    "KmsMasterKeyId": "",
    "Policy": "",
    "RedriveAllowPolicy": "",
    "RedrivePolicy": "",
}
# What Lambda sets by itself. A filter deletes the messages that it does not let through:
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
_MAPPING_DEFAULTS = {"FilterCriteria": {}, "MaximumBatchingWindowInSeconds": 0}


def queue_attributes(wanted: Wanted) -> dict[str, dict[str, str]]:
    """Return the settings of both queues, by name, in the order in which they are created."""
    names = wanted.names
    common = {
        "MaximumMessageSize": str(_MAX_MESSAGE),
        "MessageRetentionPeriod": str(_RETENTION),
        "SqsManagedSseEnabled": "true",
    }
    dead_letters = wanted.home.arn("sqs", names.dead_letters)
    redrive = {"deadLetterTargetArn": dead_letters, "maxReceiveCount": _MAX_REPLAYS}
    return {
        names.dead_letters: common,
        names.queue: {
            **common,
            "VisibilityTimeout": str(_VISIBILITY_TIMEOUT),
            "RedrivePolicy": json.dumps(redrive),
        },
    }


def plan_queues(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    """Plan the creation and the changes of both queues."""
    for name, settings in queue_attributes(wanted).items():
        found = observed.queues.get(name)
        if found is None:
            arguments: dict[str, Any] = {"QueueName": name, "Attributes": settings}
            call = Call("sqs", "create_queue", {**arguments, "tags": wanted.tags})
            yield Change("create", f"queue {name}", "does not exist yet", (call,))
            continue
        if missing := missing_tags(wanted.tags, found.tags):
            call = Call("sqs", "tag_queue", {"QueueUrl": found.url, "Tags": missing})
            yield Change("tag", f"queue {name}", tag_reason(found.tags, missing), (call,))
        if changed := differences(settings, found.attributes, _QUEUE_DEFAULTS):
            arguments = {"QueueUrl": found.url, "Attributes": changed}
            before = {
                "QueueUrl": found.url,
                "Attributes": {k: found.attributes.get(k) for k in changed},
            }
            call = Call("sqs", "set_queue_attributes", arguments, before=before)
            yield Change("update", f"queue {name}", ", ".join(changed), (call,))


def plan_mapping(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    """Plan the event source mapping, which feeds the queue's messages to the replay function."""
    names = wanted.names
    settings = {
        "FunctionName": alias_arn(wanted.home, names.function(REPLAY)),
        "BatchSize": 10,
        "Enabled": True,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": REPLAY_CONCURRENCY},
    }
    what = f"mapping of queue {names.queue} to function {names.function(REPLAY)}"
    found = observed.mapping
    if found is None:
        source = {"EventSourceArn": wanted.home.arn("sqs", names.queue), "Tags": wanted.tags}
        call = Call("lambda", "create_event_source_mapping", {**settings, **source})
        yield Change("create", what, "does not exist yet", (call,))
        return
    if missing := missing_tags(wanted.tags, found.tags):
        call = Call("lambda", "tag_resource", {"Resource": found.arn, "Tags": missing})
        yield Change("tag", what, tag_reason(found.tags, missing), (call,))
    if changed := differences(settings, found.settings, _MAPPING_DEFAULTS):
        arguments = {"UUID": found.uuid, **changed}
        before = {"UUID": found.uuid, **{name: found.settings[name] for name in changed}}
        call = Call("lambda", "update_event_source_mapping", arguments, before=before)
        yield Change("update", what, ", ".join(changed), (call,))
    # If the answer to a creation is lost, the repeated call may create a second mapping.
    for duplicate in observed.mappings[1:]:
        yield _mapping_deletion(names, duplicate, "the queue has another mapping")


def _mapping_deletion(names: Names, mapping: ObservedMapping, why: str) -> Change:
    call = Call("lambda", "delete_event_source_mapping", {"UUID": mapping.uuid}, if_exists=True)
    return Change("delete", f"mapping of queue {names.queue}", why, (call,))


def plan_queue_removal(names: Names, observed: Observed, why: str) -> Iterator[Change]:
    """Plan the deletion of the mappings and queues that bear the stack's tag."""
    for found in observed.mappings:
        if names.tags.items() <= found.tags.items():
            yield _mapping_deletion(names, found, why)
    for name, queue in observed.queues.items():
        if names.tags.items() <= queue.tags.items():
            call = Call("sqs", "delete_queue", {"QueueUrl": queue.url}, if_exists=True)
            lost = f", with {queue.waiting} uncounted messages" if queue.waiting else ""
            yield Change("delete", f"queue {name}", why + lost, (call,))
