"""Refusals of AWS that cannot be had at will: requests of one operation get an error instead."""

import json
from collections.abc import Callable
from html import escape
from typing import Any

from botocore.awsrequest import AWSResponse

from gimel.stack.aws import Aws


def _response(protocol: str, operation: str, status: int, code: str, message: str) -> AWSResponse:
    """An answer of AWS's in a protocol. Status 200 has an empty result."""
    is_refusal = status >= 400
    headers = {"x-amzn-errortype": code} if is_refusal else {}
    if code.startswith("AWS.SimpleQueueService."):
        headers["x-amzn-query-error"] = f"{code};Sender"
    if protocol == "query":
        error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        text = f"<Response>{error if is_refusal else f'<{operation}Result/>'}</Response>"
    else:
        text = json.dumps({"__type": code, "message": message} if is_refusal else {})
    response = AWSResponse("https://aws.invalid", status, headers, None)
    response._content = text.encode()
    return response


def answer(
    aws: Aws, service: str, operation: str, answers: list[tuple[int, str, str]]
) -> Callable[[], int]:
    """Have AWS answer the next requests of an operation (`CreateFunction`).

    Each answer is (status, code, message). Returns what counts the requests.
    """
    client = aws.clients[service]
    protocol, seen = client.meta.service_model.resolved_protocol, [0]

    def intercept(**_: Any) -> AWSResponse | None:
        seen[0] += 1
        if seen[0] > len(answers):
            return None
        return _response(protocol, operation, *answers[seen[0] - 1])

    event = f"before-send.*.{operation}"
    client.meta.events.unregister(event, unique_id=operation)
    client.meta.events.register(event, intercept, unique_id=operation)
    return lambda: seen[0]
