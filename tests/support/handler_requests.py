"""Requests to the handlers, as API Gateway sends them, and what the handlers answer."""

import hashlib
import json
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from gimel import gimel as handlers
from gimel.backend import process

KEY = "the key"
KEY_SHA256 = hashlib.sha256(KEY.encode()).hexdigest()


def point_handlers_at(patch: pytest.MonkeyPatch, url: str, key: str = "none") -> None:
    """Let the handlers use this Redis, as a new process would."""
    patch.setenv("GIMEL_REDIS_URL", url)
    patch.setenv("GIMEL_KEY_SHA256", key)
    patch.delenv("GIMEL_SHARDS", raising=False)
    process.reset()


class Answer(NamedTuple):
    """What a handler answered."""

    status: int
    body: Any
    headers: dict[str, str]


def request(
    method: str,
    path: str,
    query: str | dict[str, str] = "",
    body: str | None = None,
    headers: dict[str, str] | None = None,
    base64: bool = False,
) -> dict[str, Any]:
    """API Gateway's proxy event, payload format 2.0. The stage is in the path, as on AWS."""
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": f"/prod{path}",
        "rawQueryString": query if isinstance(query, str) else urlencode(query),
        "headers": headers or {},
        "requestContext": {"http": {"method": method, "path": f"/prod{path}"}},
        "body": body,
        "isBase64Encoded": base64,
    }


def call(method: str, path: str, query: str | dict[str, str] = "", **rest: Any) -> Answer:
    """Answer a request as the deployed functions do."""
    response = handlers.handle(request(method, path, query, **rest))
    response["body"].encode()  # what cannot be encoded cannot be sent
    json.dumps(response)
    return Answer(response["statusCode"], json.loads(response["body"]), response["headers"])


def post(events: object, path: str = "/e") -> Answer:
    return call("POST", path, body=json.dumps(events))
