"""The redrive: it moves the dead letters back to the queue.

`gimel.stack.plan.queue` holds the queues' settings.
"""

from gimel.stack.aws import Aws
from gimel.stack.observe.queues import observe_queues
from gimel.stack.wanted import DeployError, Names

# The most messages that SQS returns for one request.
_BATCH_SIZE = 10


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
