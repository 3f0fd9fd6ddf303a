"""A queue on the emulated account."""

from typing import Any

import boto3

from tests.support.aws_account import REGION

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


class Sqs:
    """A queue on the emulated account."""

    def __init__(self, name: str) -> None:
        self.client: Any = boto3.client("sqs", region_name=REGION)
        self.url = self.client.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{REGION}:000000000000:{name}"

    def receive(self) -> list[dict[str, Any]]:
        """All messages, as Lambda hands them over."""
        records: list[dict[str, Any]] = []
        while received := self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"]
        ).get("Messages"):
            records += [
                {
                    "messageId": each["MessageId"],
                    "receiptHandle": each["ReceiptHandle"],
                    "body": each["Body"],
                    "attributes": each["Attributes"],
                }
                for each in received
            ]
        return records
