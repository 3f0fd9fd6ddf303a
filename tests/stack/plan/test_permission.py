"""Who may invoke a function, and when that is an alarm."""

from dataclasses import replace
from typing import Any

import pytest

from gimel.stack.observed import Observed, ObservedLegacy
from gimel.stack.plan.api import LEGACY_DEPLOYMENT
from gimel.stack.plan.permission import open_permissions
from gimel.stack.plan.plan import plan
from tests.support.planning import done, function, lines, wanted

READS = "gimel-all-experiments"
OWN = ("live", "gimel-http-api")


def permitted(qualifier: str = "live", **statement: Any) -> Observed:
    """A stack with one more statement in a policy."""
    seen = done(wanted())
    invoke = {"Sid": "x", "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "arn"}
    invokers = {**seen.functions[READS].invokers, (qualifier, "x"): {**invoke, **statement}}
    return function(seen, READS, invokers=invokers)


def limited(**keys: str) -> dict[str, Any]:
    return {"StringEquals": {key.replace("_", ":"): value for key, value in keys.items()}}


@pytest.mark.parametrize(
    ("statement", "anybody"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"Service": "apigateway.amazonaws.com"}}, True),
        ({"Principal": "*", "Condition": limited(lambda_FunctionUrlAuthType="NONE")}, True),
        ({"Principal": "*", "Condition": limited(aws_PrincipalOrgID="o-1")}, False),
        ({"Principal": "*", "Condition": limited(lambda_EventSourceToken="t")}, False),
        ({"Principal": {"AWS": "arn:aws:iam::210987654321:root"}}, False),
        (
            {
                "Principal": {"Service": "events.amazonaws.com"},
                "Condition": limited(AWS_SourceAccount="123456789012"),
            },
            False,
        ),
    ],
)
@pytest.mark.parametrize("qualifier", ["live", ""])
def test_what_gimel_did_not_add_is_deleted(
    qualifier: str, statement: dict[str, Any], anybody: bool
) -> None:
    seen = permitted(qualifier, **statement)
    (change,) = plan(wanted(), seen)
    place = f"alias live of function {READS}" if qualifier else f"function {READS}"
    why = "anybody may invoke it" if anybody else "Gimel did not add it"
    assert str(change) == f"delete permission x to invoke {place}: {why}"
    (call,) = change.calls
    target = {"FunctionName": READS, "StatementId": "x"}
    assert call.arguments == ({**target, "Qualifier": "live"} if qualifier else target)
    found = open_permissions(wanted(), seen)
    assert found == (
        [
            f"anybody may invoke {place} (permission x): run `gimel deploy`, which deletes the "
            "permission"
        ]
        if anybody
        else []
    )


def test_gimels_own_permission_is_compared_whole() -> None:
    seen = done(wanted())
    own = seen.functions[READS].invokers[OWN]
    assert open_permissions(wanted(), seen) == []
    elsewhere = {"ArnLike": {"AWS:SourceArn": "arn:aws:execute-api:eu-west-1:1:other/*"}}
    for changed, is_open in (
        ({"Principal": "*", "Condition": {}}, True),
        ({"Condition": {}}, True),
        ({"Condition": elsewhere}, False),
        ({"Action": "lambda:*"}, False),
        ({"Effect": "Deny"}, False),
    ):
        invokers = {**seen.functions[READS].invokers, OWN: {**own, **changed}}
        other = function(seen, READS, invokers=invokers)
        assert lines(wanted(), other) == [
            f"replace permission to invoke function {READS}: for this API only"
        ]
        assert bool(open_permissions(wanted(), other)) is is_open


def test_the_url_of_the_tracking_function_is_no_alarm() -> None:
    """It is open by intent, also while config.json no longer asks for it."""
    with_url = done(wanted(events="function-url"))
    for config in (wanted(events="function-url"), wanted()):
        assert open_permissions(config, with_url) == []
    track = with_url.functions["gimel-track"].invokers
    seen = function(with_url, READS, invokers={**with_url.functions[READS].invokers, **track})
    assert len(open_permissions(wanted(events="function-url"), seen)) == 2


def test_what_gimel_1s_rest_api_needs_stays() -> None:
    source = "arn:aws:execute-api:eu-west-1:123456789012:rest1/*/GET/experiments"
    statement = {
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Condition": {"ArnLike": {"AWS:SourceArn": source}},
    }
    for api, expected in (("rest1", 0), ("rest2", 1)):
        legacy = ObservedLegacy(api, (), (), LEGACY_DEPLOYMENT)
        seen = replace(permitted("", **statement), legacy=legacy)
        said = [line for line in lines(wanted(), seen) if "permission x" in line]
        assert len(said) == expected
