"""The written description of the wire, and hostile requests: no 5xx, no hang, nothing written.

`make test-full` asks for 50,000 of them (GIMEL_EXAMPLES), and 1,000 for each documented route.
"""

import base64
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import redis
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from gimel import wsgi
from gimel.backend import process
from gimel.backend.experiment.checks import BODY_CHECKS, GOAL_CHECKS, VARIANT_CHECKS
from gimel.gimel import ROUTES, handle
from tests.support.handler_requests import KEY, KEY_SHA256, call, point_handlers_at
from tests.support.servers import url_of

pytestmark = pytest.mark.slow

QUICK = "GIMEL_EXAMPLES" not in os.environ
EXAMPLES = int(os.environ.get("GIMEL_EXAMPLES", "300"))
DOCUMENT = json.loads((Path(__file__).parent.parent / "docs" / "openapi.json").read_text("utf-8"))


def test_it_names_the_routes() -> None:
    written = {
        f"{method.upper()} {path}"
        for path, methods in DOCUMENT["paths"].items()
        for method in methods
    }
    assert written == {route.replace("{proxy+}", "{key}") for route in ROUTES}


DECLARED = json.dumps({"variants": [{"name": "a"}, {"name": "b"}]})
# Cannot change after the first event
COUNTING = ', "counting": "exact"}'


def test_its_statuses_are_those_seen(backend: redis.Redis) -> None:
    event = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}
    seen = {
        ("/e", "get"): [call("GET", "/e", event), call("GET", "/e")],
        ("/e", "post"): [call("POST", "/e", body=json.dumps(event)), call("POST", "/e", body="{")],
        ("/experiments", "get"): [call("GET", "/experiments")],
        ("/experiment", "get"): [
            call("GET", "/experiment", {"experiment": "e"}),
            call("GET", "/experiment", {"experiment": "none"}),
        ],
        ("/history", "get"): [
            call("GET", "/history", {"experiment": "e"}),
            call("GET", "/history", {"experiment": "none"}),
        ],
        ("/experiment", "put"): [
            call("PUT", "/experiment", {"experiment": "e2"}, body=DECLARED),
            call("PUT", "/experiment", {"experiment": "e2"}, body="{}"),
            call("PUT", "/experiment", {"experiment": "e"}, body=DECLARED[:-1] + COUNTING),
        ],
        ("/settings", "post"): [call("POST", "/settings", {"experiment": "e"}, body="{}")],
        ("/delete", "delete"): [call("DELETE", "/delete", {"experiment": "e", "forget": "1"})],
    }
    for (path, method), answers in seen.items():
        documented = DOCUMENT["paths"][path][method]["responses"]
        assert {str(answer.status) for answer in answers} <= documented.keys()


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["namespace", "experiment", "variant", "event", "uuid", "scope", "forget"])
# All names but the experiment's, so that nothing of it may be written.
FIELDS = st.dictionaries(NAMES.filter(lambda name: name != "experiment"), ANY)
BODIES = (
    st.text()
    | ANY.map(json.dumps)
    | FIELDS.map(json.dumps)
    | st.lists(FIELDS, max_size=4).map(json.dumps)
    | st.binary().map(lambda raw: base64.b64encode(raw).decode())
)


@settings(
    max_examples=EXAMPLES,
    derandomize=QUICK,
    suppress_health_check=list(HealthCheck),
)
@given(
    route=st.sampled_from(sorted(ROUTES)) | st.text(),
    query=st.text(max_size=60),
    body=st.none() | BODIES,
    headers=st.none() | st.dictionaries(st.text(), st.text(), max_size=3),
    encoded=st.booleans(),
)
def test_whatever_comes_is_answered_and_nothing_is_written(
    backend: redis.Redis,
    route: str,
    query: str,
    body: str | None,
    headers: dict[str, str] | None,
    encoded: bool,
) -> None:
    method = route.partition(" ")[0]
    event: dict[str, Any] = {
        "routeKey": route,
        "rawQueryString": query.replace("experiment", "x"),
        "headers": headers,
        "requestContext": {"http": {"method": method}},
        "body": body,
        "isBase64Encoded": encoded,
    }
    answer = handle(event)
    assert answer["statusCode"] in {200, 400, 403, 404, 405, 413}
    answer["body"].encode()
    assert backend.dbsize() == 0


# What the document cannot say: of a list the right events count whatever the others are, and what
# an experiment may be told goes by what it holds. A wrong key is replaced by the right one here.
BEYOND: defaultdict[str, list[Any]] = defaultdict(
    list,
    {
        "POST /e": [negative_data_rejection],
        "POST /track": [negative_data_rejection],
        "GET /experiments": [negative_data_rejection],
        "DELETE /delete": [negative_data_rejection, positive_data_acceptance],
        "POST /settings": [positive_data_acceptance],
        "PUT /experiment": [positive_data_acceptance],
    },
)
schema = schemathesis.openapi.from_dict(DOCUMENT)
schema.app = wsgi.app


@schema.parametrize()
@settings(
    max_examples=max(8, EXAMPLES // 50),
    derandomize=QUICK,
    suppress_health_check=list(HealthCheck),
)
def test_what_follows_the_document_and_what_does_not(
    case: schemathesis.Case, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_handlers_at(monkeypatch, url_of(store), KEY_SHA256)
    # The client here does not unpack what is gzipped.
    headers = {"accept-encoding": "identity"}
    if "x-api-key" in (case.headers or {}):
        headers["x-api-key"] = KEY
    case.call_and_validate(headers=headers, excluded_checks=BEYOND[case.operation.label])
    store.flushdb()
    process.reset()


def test_the_definitions_fields_are_those_that_the_backend_checks() -> None:
    written = DOCUMENT["components"]["schemas"]["Definition"]["properties"]
    assert written.keys() == BODY_CHECKS.keys()
    assert written["variants"]["items"]["properties"].keys() == VARIANT_CHECKS.keys()
    assert written["goals"]["items"]["properties"].keys() == GOAL_CHECKS.keys()
