"""The plan for the queues and the mapping between queue and function."""

from dataclasses import replace

from gimel.stack.plan.plan import plan
from gimel.stack.plan.queue import plan_queue_removal
from gimel.stack.wanted import Names
from tests.support.planning import HOME, NOTHING, done, wanted


def test_a_queue_set_otherwise_is_set_right() -> None:
    seen = done(wanted())
    queue = seen.queues["gimel-events"]
    spoilt = {**queue.attributes, "VisibilityTimeout": "1", "FifoQueue": "false"}
    otherwise = replace(
        seen, queues={**seen.queues, "gimel-events": replace(queue, attributes=spoilt)}
    )
    (change,) = plan(wanted(), otherwise)
    assert str(change) == "update queue gimel-events: VisibilityTimeout"
    assert change.calls[0].arguments["Attributes"] == {"VisibilityTimeout": "180"}


def test_the_redrive_policy_as_aws_writes_it_is_the_same() -> None:
    seen = done(wanted())
    queue = seen.queues["gimel-events"]
    dead = HOME.arn("sqs", "gimel-events-dead")
    policy = f'{{"maxReceiveCount":"200","deadLetterTargetArn":"{dead}"}}'
    told = replace(queue, attributes={**queue.attributes, "RedrivePolicy": policy})
    assert plan(wanted(), replace(seen, queues={**seen.queues, "gimel-events": told})) == []


def test_a_mapping_switched_off_is_switched_on() -> None:
    seen = done(wanted())
    assert seen.mapping is not None
    off = replace(seen.mapping, settings={**seen.mapping.settings, "Enabled": False})
    (change,) = plan(wanted(), replace(seen, mappings=(off,)))
    assert change.calls[0].arguments == {"UUID": "uuid1", "Enabled": True}


def test_what_is_taken_away_ends_with_the_dead_letters() -> None:
    seen = done(wanted())
    said = [
        change.what for change in plan_queue_removal(Names("gimel"), seen, "the stack is deleted")
    ]
    assert said[0] == "mapping of queue gimel-events"
    assert sorted(said[1:]) == ["queue gimel-events", "queue gimel-events-dead"]
    assert list(plan_queue_removal(Names("gimel"), NOTHING, "the stack is deleted")) == []
    queue = seen.queues["gimel-events"]
    full = replace(queue, attributes={**queue.attributes, "ApproximateNumberOfMessages": "3"})
    left = replace(seen, queues={"gimel-events": full})
    *_, last = plan_queue_removal(Names("gimel"), left, "the stack is deleted")
    assert str(last) == "delete queue gimel-events: the stack is deleted, with 3 uncounted messages"


def test_a_second_mapping_goes() -> None:
    seen = done(wanted())
    (mapping,) = seen.mappings
    twice = replace(seen, mappings=(mapping, replace(mapping, uuid="uuid2")))
    (change,) = plan(wanted(), twice)
    assert str(change) == "delete mapping of queue gimel-events: the queue has another mapping"
    assert change.calls[0].arguments == {"UUID": "uuid2"}
    said = [
        change.what for change in plan_queue_removal(Names("gimel"), twice, "the stack is deleted")
    ]
    assert said.count("mapping of queue gimel-events") == 2
