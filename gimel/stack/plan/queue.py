"""The queue's part of the plan: pure functions, like all of it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gimel.stack.change import Call, Change
from gimel.stack.observed import Seen, SeenMapping, SeenQueue
from gimel.stack.plan.ownership import missing_tags, why_tagged
from gimel.stack.wanted import REPLAY, REPLAY_SECONDS, Names, Wanted, alias_arn

# A message is set aside after this many replays in vain: with pauses of up to ten minutes (see
# `gimel.backend.intake`), Redis may be away for 32 hours.
_TRIES = 200
# At once: Redis has few connections to spare, and AWS takes no less.
REPLAYS = 2
_KEPT_SECONDS = 14 * 24 * 3600
# As AWS advises.
_INVISIBLE_SECONDS = 6 * REPLAY_SECONDS


def attributes(wanted: Wanted) -> dict[str, dict[str, str]]:
    """The attributes of both queues, by name, in the order in which they are made."""
    names = wanted.names
    kept = {"MessageRetentionPeriod": str(_KEPT_SECONDS), "SqsManagedSseEnabled": "true"}
    dead_letters = wanted.home.arn("sqs", names.dead_letters)
    redrive = {"deadLetterTargetArn": dead_letters, "maxReceiveCount": _TRIES}
    return {
        names.dead_letters: kept,
        names.queue: {
            **kept,
            "VisibilityTimeout": str(_INVISIBLE_SECONDS),
            "RedrivePolicy": json.dumps(redrive),
        },
    }


def queues(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    """The queue for what Redis did not take, and that for what could not be replayed."""
    for name, settings in attributes(wanted).items():
        found = seen.queues.get(name)
        if found is None:
            arguments: dict[str, Any] = {"QueueName": name, "Attributes": settings}
            call = Call("sqs", "create_queue", {**arguments, "tags": wanted.tags})
            yield Change("create", f"queue {name}", "not there yet", (call,))
            continue
        if missing := missing_tags(wanted.tags, found.tags):
            call = Call("sqs", "tag_queue", {"QueueUrl": found.url, "Tags": missing})
            yield Change("tag", f"queue {name}", why_tagged(found.tags, missing), (call,))
        if changed := _different(found, settings):
            arguments = {"QueueUrl": found.url, "Attributes": changed}
            before = {
                "QueueUrl": found.url,
                "Attributes": {k: found.attributes.get(k) for k in changed},
            }
            call = Call("sqs", "set_queue_attributes", arguments, before=before)
            yield Change("update", f"queue {name}", ", ".join(changed), (call,))


def _different(found: SeenQueue, settings: Mapping[str, str]) -> dict[str, str]:
    def comparable(value: str | None) -> Any:
        # AWS gives the policy back as text of its own making.
        parsed = json.loads(value) if value and value.startswith("{") else value
        if isinstance(parsed, dict):
            return {key: str(inner) for key, inner in parsed.items()}
        return parsed

    return {
        name: value
        for name, value in settings.items()
        if comparable(found.attributes.get(name)) != comparable(value)
    }


def mapping(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    """What hands the queue's messages over to the replay function."""
    names = wanted.names
    settings = {
        "FunctionName": alias_arn(wanted.home, names.function(REPLAY)),
        "BatchSize": 10,
        "Enabled": True,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": REPLAYS},
    }
    what = f"mapping of queue {names.queue} to function {names.function(REPLAY)}"
    found = seen.mapping
    if found is None:
        source = {"EventSourceArn": wanted.home.arn("sqs", names.queue), "Tags": wanted.tags}
        call = Call("lambda", "create_event_source_mapping", {**settings, **source})
        yield Change("create", what, "not there yet", (call,))
        return
    if missing := missing_tags(wanted.tags, found.tags):
        call = Call("lambda", "tag_resource", {"Resource": found.arn, "Tags": missing})
        yield Change("tag", what, why_tagged(found.tags, missing), (call,))
    if changed := [name for name, value in settings.items() if found.settings[name] != value]:
        arguments = {"UUID": found.uuid, **{name: settings[name] for name in changed}}
        before = {"UUID": found.uuid, **{name: found.settings[name] for name in changed}}
        call = Call("lambda", "update_event_source_mapping", arguments, before=before)
        yield Change("update", what, ", ".join(changed), (call,))
    # A creation that took effect though its answer was lost may leave a second one.
    for spare in seen.mappings[1:]:
        yield _unmap(names, spare, "the queue has another")


def _unmap(names: Names, mapping: SeenMapping, why: str) -> Change:
    call = Call("lambda", "delete_event_source_mapping", {"UUID": mapping.uuid}, if_exists=True)
    return Change("delete", f"mapping of queue {names.queue}", why, (call,))


def removals(names: Names, seen: Seen, why: str) -> Iterator[Change]:
    """What takes all of this away again: the mapping first, and what bears the stack's tag."""
    for found in seen.mappings:
        if names.tags.items() <= found.tags.items():
            yield _unmap(names, found, why)
    for name, queue in seen.queues.items():
        if names.tags.items() <= queue.tags.items():
            call = Call("sqs", "delete_queue", {"QueueUrl": queue.url}, if_exists=True)
            lost = f", {queue.waiting} messages uncounted" if queue.waiting else ""
            yield Change("delete", f"queue {name}", why + lost, (call,))
