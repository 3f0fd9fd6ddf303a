"""The OpenFeature Remote Evaluation Protocol (OFREP) 0.3: a visitor's variant of a flag, or of all.

Evaluating counts nothing, because providers evaluate flags that nobody uses in the end. The caller
sends the participation when it uses a flag: docs/openfeature.md.

OFREP: https://github.com/open-feature/protocol/blob/main/service/openapi.yaml
"""

import hashlib
from typing import Any, Literal
from urllib.parse import unquote

from redis.exceptions import RedisError

from gimel.backend import wire
from gimel.backend.experiment.flags import Flag, Flags
from gimel.backend.log import log
from gimel.backend.wire import FLAGS_PATH, HTTPError, ProxyEvent, Response, respond

ErrorCode = Literal[
    "PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"
]


class EvaluationError(HTTPError):
    """A refused evaluation, in the form that OFREP demands. `key`: the flag, if it is one flag."""

    def __init__(self, status: int, code: ErrorCode, error: str, key: str | None = None) -> None:
        super().__init__(status, error)
        self.code = code
        self.key = key

    def response(self) -> Response:
        """Return the error as a response."""
        answer = {} if self.key is None else {"key": self.key}
        answer |= {"errorCode": self.code, "errorDetails": self.error}
        return super().response() | {"body": respond(answer)["body"]}


def evaluate(event: ProxyEvent, flags: Flags) -> Response:
    """Evaluate the flag that the path names.

    A function URL passes the path on as it was sent. An HTTP API decodes all of it but `%25`, and
    `wsgi` does the same. So decoding is right for each of them, also where a name holds a slash.
    """
    key = unquote(str(event.get("rawPath")).partition(f"{FLAGS_PATH}/")[2])
    visitor, known = _visitor(event, key), _known(event, flags, key)
    if key not in known:
        reason = f"there is no flag {key} in namespace {_namespace(event)}"
        raise EvaluationError(404, "FLAG_NOT_FOUND", reason, key)
    return respond(_evaluation(known[key], visitor))


def evaluate_all(event: ProxyEvent, flags: Flags) -> Response:
    """Evaluate all flags of the namespace. Answer 304 if the caller has the same answer already."""
    visitor, known = _visitor(event), _known(event, flags)
    response = respond({"flags": [_evaluation(known[key], visitor) for key in sorted(known)]})
    tag = f'"{hashlib.blake2b(response["body"].encode(), digest_size=16).hexdigest()}"'
    response["headers"]["etag"] = tag
    if tag in wire.header(event, "if-none-match"):
        return response | {"statusCode": 304, "body": ""}
    return wire.fitted(event, response)


def _visitor(event: ProxyEvent, key: str | None = None) -> str:
    """Return the targeting key in the body. Raises EvaluationError 400 or 413."""
    try:
        body = wire.json_body(event)
    except HTTPError as error:
        raise EvaluationError(error.status, "PARSE_ERROR", error.error, key) from None
    if not isinstance(body, dict):
        raise EvaluationError(400, "PARSE_ERROR", "the body must be a JSON object", key)
    context = body.get("context") or {}
    if not isinstance(context, dict):
        raise EvaluationError(400, "INVALID_CONTEXT", "context must be a JSON object", key)
    if context.get("targetingKey") in (None, ""):
        reason = "context.targetingKey is missing: set it to the id of the visitor"
        raise EvaluationError(400, "TARGETING_KEY_MISSING", reason, key)
    try:
        return wire.name(context, "targetingKey")
    except HTTPError as error:
        raise EvaluationError(400, "INVALID_CONTEXT", error.error, key) from None


def _namespace(event: ProxyEvent) -> str:
    """Return the namespace in the header, in which a name may be percent-encoded."""
    return unquote(wire.header(event, "x-gimel-namespace")) or wire.DEFAULT_NAMESPACE


def _known(event: ProxyEvent, flags: Flags, key: str | None = None) -> Any:
    """Return the flags of the namespace in the header."""
    try:
        return flags.of(_namespace(event))
    except RedisError as error:
        log("error", failed=type(error).__name__)
        reason = "the flags are out of reach, try again"
        raise EvaluationError(503, "GENERAL", reason, key) from None


def _evaluation(flag: Flag, visitor: str) -> dict[str, Any]:
    variant, reason = flag.assign(visitor)
    return {
        "key": flag.experiment,
        "value": flag.values[variant],
        "variant": variant,
        "reason": reason,
        # The web provider replaces the reason by CACHED, and keeps this.
        "metadata": {"takes_part": reason == "SPLIT"},
    }
