"""docs/aws-calls.md and docs/aws-retries.md, written from what the commands called over a stack's
whole life.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gimel.stack import aws
from gimel.stack.refusals import TEMPORARY, Refusal

DOCS = Path(__file__).parents[2] / "docs"

_CALLS = """\
# Calls to AWS

Every call that Gimel's commands make, which commands make it, and what allows it. For a person who
has to approve the [permissions](permissions.md). [AWS retries](aws-retries.md) says which calls are
repeated. A test records the calls of a stack's whole life on an emulator, and compares them with
this page: [tests/stack/test_permissions.py](../tests/stack/test_permissions.py). It checks each
argument of these calls against AWS's own model, with its patterns and enums.

The functions make calls of their own: to SQS and, with `redis.secret`, to Secrets Manager or the
Parameter Store. [Permissions](permissions.md#what-the-functions-may-do) lists what their role
allows. With `redis.secret`, commands that use Redis from your machine read that secret too.

## When each call is made, and what allows it

The last column names a statement of the policy that `gimel policy` prints.

| call | commands | statement |
| --- | --- | --- |
{calls}

## What each statement covers

`REGION` and `ACCOUNT` stand for those of the stack, `gimel` for the stack's name. BoundedRole goes
with `permissions_boundary`. Without that setting, Role holds its actions, without the condition,
and may delete a boundary but not set one.

| statement | resources |
| --- | --- |
{statements}
"""

_RETRIES = """\
# Retries of calls to AWS

For some seconds, parts of AWS do not know a new role, function or queue, and refuse calls that need
it. A deploy and a destroy repeat a call that AWS refuses with one of these errors, for up to
{seconds} s. The texts are regular expressions, searched in AWS's message in lower case. Besides,
botocore repeats a call up to four times if AWS throttles it, does not answer, or answers with a
status of 5xx.

If AWS's answer to a creation is lost, botocore tries again and learns that the resource exists.
Then the deploy fails, and the next one continues. [AWS calls](aws-calls.md) lists all calls.

| call | error | what AWS waits for | |
| --- | --- | --- | --- |
{refusals}
"""


class Made(NamedTuple):
    """A call that was made: the client, its operation, and the action that IAM knows it by."""

    service: str
    operation: str
    action: str


def pages(
    calls: Mapping[Made, Iterable[str]], policy: Mapping[str, Any], unbounded: Mapping[str, Any]
) -> dict[Path, str]:
    """Return the pages by path. `calls` maps each call to the commands that made it.

    `policy` is one with a permissions boundary, `unbounded` the same without.
    """
    allowed = {
        action: statement["Sid"].removeprefix("Gimel")
        for statement in reversed([*policy["Statement"], *unbounded["Statement"]])
        for action in statement["Action"]
    }
    rows = [
        f"| `{made.service}` {made.operation} | {', '.join(sorted(commands))} "
        f"| {_statement(made, allowed)} |"
        for made, commands in sorted(calls.items())
    ]
    statements = [
        f"| {statement['Sid'].removeprefix('Gimel')} | {_resources(statement)} |"
        for statement in policy["Statement"]
    ]
    refusals = [
        f"| {', '.join(f'`{call}`' for call in each.calls) or 'any'} | {_error(each)} "
        f"| {each.reason} | [source]({each.source}) |"
        for each in TEMPORARY
    ]
    return {
        DOCS / "aws-calls.md": _CALLS.format(
            calls="\n".join(rows), statements="\n".join(statements)
        ),
        DOCS / "aws-retries.md": _RETRIES.format(
            refusals="\n".join(refusals), seconds=round(aws._RETRY_TIMEOUT)
        ),
    }


def _statement(made: Made, allowed: Mapping[str, str]) -> str:
    if made.service == "apigateway":
        return "OldApi"
    if made.service == "apigatewayv2" and made.operation in ("GetTags", "TagResource"):
        return "ApiTags"
    return allowed.get(made.action, "none: no policy can deny it")


def _error(refusal: Refusal) -> str:
    codes = ", ".join(f"`{code}`" for code in refusal.codes)
    # A pipe would end the cell.
    pattern = refusal.pattern.replace("|", "\\|")
    return f"{codes}: `{pattern}`" if pattern else codes


def _resources(statement: Mapping[str, Any]) -> str:
    resources = [
        re.sub(r"\b000000000000\b", "ACCOUNT", re.sub(r"\beu-west-1\b", "REGION", resource))
        for resource in statement["Resource"]
    ]
    conditions = [
        f"{key} is {' or '.join(values)}"
        for keys in statement.get("Condition", {}).values()
        for key, values in keys.items()
    ]
    shown = "<br>".join(f"`{resource}`" for resource in resources)
    return shown + (f"<br>if {'; '.join(conditions)}" if conditions else "")
