"""The stack that gimel 1.5.0 deploys, by its own code in its own environment.

The emulator runs no mapping template and knows no selection pattern, by which 1.x's REST API turns
a query into an event and an error into an answer. So `OldApi` reads what stands there and does it
as API Gateway would; the function is the emulator's. And it lists the stages of an API key as they
were sent, where AWS joins them to texts: `as_aws_lists_keys`.
"""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gimel.stack.observe.observe import observe
from gimel.stack.wanted import Names
from tests.support import environments
from tests.support.aws_account import REGION, RecordingAws

# It sleeps for 5 s, until AWS knows the new role everywhere.
_AWAKE = """
import runpy, time
time.sleep = lambda seconds: None
runpy.run_module("gimel.cli", run_name="__main__", alter_sys=True)
"""
# The event of botocore that `as_aws_lists_keys` is for
KEYS_LISTED = "after-call.api-gateway.GetApiKeys"


@dataclass(frozen=True)
class OldApi:
    """gimel 1.x's REST API: each request goes by what `get_integration` says."""

    aws: RecordingAws
    id: str
    key: str

    def get(self, path: str, **query: str) -> tuple[int, Any]:
        resources = f"items[?path=='/{path}'].id | [0]"
        resource = self.aws.call("apigateway", "get_resources", resources, restApiId=self.id)
        method = {"restApiId": self.id, "resourceId": resource, "httpMethod": "GET"}
        integration = self.aws.call("apigateway", "get_integration", **method)
        # "$key" : "$queryMap.get($key)" for all keys of the query.
        assert "$queryMap.keySet()" in integration["requestTemplates"]["application/json"]
        function = re.search(r":function:([\w-]+):(\w+)/", integration["uri"])
        assert function is not None
        answer = self.aws.call(
            "lambda",
            "invoke",
            FunctionName=function[1],
            Qualifier=function[2],
            Payload=json.dumps(query).encode(),
        )
        content = json.loads(answer["Payload"].read())
        error = content["errorMessage"] if "FunctionError" in answer else ""
        return _status(integration["integrationResponses"], error), content


def _status(responses: dict[str, dict[str, Any]], error: str) -> int:
    """The answer whose pattern the error's message fits, else the one without a pattern.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html
    """
    patterns = {status: response.get("selectionPattern") for status, response in responses.items()}
    fits = [of for of, pattern in patterns.items() if pattern and re.fullmatch(pattern, error)]
    return int([*fits, *(of for of, pattern in patterns.items() if not pattern)][0])


def as_aws_lists_keys(parsed: dict[str, Any], **_: Any) -> None:
    for key in parsed.get("items", []):
        key["stageKeys"] = ["{restApiId}/{stageName}".format(**of) for of in key["stageKeys"]]


def deploy_old(account: RecordingAws, redis_port: int, folder: Path) -> OldApi:
    """Deploy gimel 1.5.0, configured in the folder."""
    content = {"redis": {"host": "127.0.0.1", "port": redis_port}}
    (folder / "config.json").write_text(json.dumps(content))
    subprocess.run(
        [environments.gimel_1_deploy(), "-c", _AWAKE, "deploy"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": "", "AWS_DEFAULT_REGION": REGION},
        stderr=subprocess.DEVNULL,
        check=True,
    )
    legacy = observe(account, Names("gimel")).legacy
    assert legacy is not None
    return OldApi(account, legacy.api, *legacy.keys)
