"""A queue for what Redis does not take."""

from collections.abc import Iterator

import pytest

from gimel.backend import process
from tests.support.sqs import Sqs


@pytest.fixture
def queue(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Sqs]:
    """A queue that the handlers spill to."""
    sqs = Sqs(f"q{abs(hash(request.node.name))}")
    monkeypatch.setenv("GIMEL_QUEUE", sqs.arn)
    yield sqs
    sqs.client.close()
    process.reset()
