"""A flag, declared and evaluated as OpenFeature's providers do, without them."""

import json
from typing import Any

from tests.support.handler_requests import Answer, call

FLAGS = "/ofrep/v1/evaluate/flags"
FLAG: dict[str, Any] = {
    "variants": [{"name": "blue", "value": "#00f"}, {"name": "red", "value": "#f00"}],
    "goals": [{"name": "signup"}, {"name": "order", "from": "server"}],
    "counting": "exact",
    "flag": True,
}


def declare(name: str, namespace: str = "alephbet", **changes: Any) -> None:
    fields = {"experiment": name, "namespace": namespace}
    assert call("PUT", "/experiment", fields, body=json.dumps(FLAG | changes)).status == 200


def evaluate(
    key: str | None, visitor: object = "user 7", body: object = None, **headers: str
) -> Answer:
    """The evaluation of one flag, or of all if the key is None."""
    path = FLAGS if key is None else f"{FLAGS}/{key}"
    content = json.dumps(body or {"context": {"targetingKey": visitor}})
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return call("POST", path, body=content, headers=names)
