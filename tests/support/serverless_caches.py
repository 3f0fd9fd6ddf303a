"""ElastiCache Serverless on the emulator, with what AWS does and the emulator does not.

The emulator creates, changes and deletes a cache at once, accepts several settings in one request,
takes no snapshot, and shows no `ConnectionType`. Everything else is its own.
"""

import contextlib
from typing import Any
from urllib.parse import parse_qsl

from botocore.awsrequest import AWSResponse

from gimel.stack.aws import Aws, AwsError
from tests.support.aws_account import REGION, RecordingAws


def make_user_group(aws: Aws) -> None:
    """Make the user group that each account has by itself."""
    with contextlib.suppress(AwsError):
        group = {
            "UserGroupId": "default.iam-user-group",
            "Engine": "valkey",
            "UserIds": ["default"],
        }
        aws.call("elasticache", "create_user_group", **group)


class CacheAws(RecordingAws):
    """An account whose cache is busy for the next `looks` looks after each request.

    What AWS refuses meanwhile is refused. `failure`: the next cache cannot be created, for this
    reason. `requests`: what was asked for, by operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begin_anew()
        self._plain = Aws(REGION)
        make_user_group(self._plain)
        self.on("before-parameter-build.elasticache", self._note)
        self.on("before-send.elasticache.ModifyServerlessCache", self._modify)
        self.on("before-send.elasticache.DeleteServerlessCache", self._delete)
        self.on("before-send.elasticache.DescribeServerlessCaches", self._look)
        self.on("after-call.elasticache.CreateServerlessCache", self._create)
        self.on("after-call.elasticache.DescribeServerlessCaches", self._show)
        self.on("after-call.elasticache.DescribeEvents", self._explain)

    def begin_anew(self) -> None:
        self.looks = 2
        self.failure: str | None = None
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._status, self._left = "available", -1

    def be_ready(self) -> None:
        """Finish what AWS is busy with."""
        self.looks, self._left = 2, 0

    @property
    def snapshots(self) -> list[str | None]:
        """The final snapshot of each deletion."""
        return [request.get("FinalSnapshotName") for request in self.asked("DeleteServerlessCache")]

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.requests if name == operation]

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.requests.append((model.name, dict(params)))
        # The emulator refuses it.
        params.pop("FinalSnapshotName", None)

    def _is_busy(self) -> bool:
        return self._left >= 0 and self._status != "create-failed"

    def become(self, status: str) -> None:
        self._status, self._left = status, self.looks

    def _create(self, http_response: Any, **_: Any) -> None:
        if http_response.status_code == 200:
            self.become("create-failed" if self.failure else "creating")

    def _modify(self, request: Any, **_: Any) -> AWSResponse | None:
        if self._is_busy():
            return refusal(request, "InvalidServerlessCacheStateFault", "not available")
        fields = {name.split(".")[0] for name, _ in parse_qsl(request.body)}
        if len(fields - {"Action", "Version", "ServerlessCacheName"}) != 1:
            return refusal(request, "InvalidParameterCombination", "one field per request")
        self.become("modifying")
        return None

    def _delete(self, request: Any, **_: Any) -> AWSResponse:
        if self._is_busy():
            return refusal(request, "InvalidServerlessCacheStateFault", "not available")
        self.become("deleting")
        answer = "<DeleteServerlessCacheResult/>"
        return _answer(request, 200, f"<Response>{answer}</Response>")

    def _look(self, request: Any, **_: Any) -> None:
        self._left -= 1
        if self._status == "deleting" and not self._is_busy():
            self._status = "available"
            name = dict(parse_qsl(request.body))["ServerlessCacheName"]
            self._plain.call("elasticache", "delete_serverless_cache", ServerlessCacheName=name)

    def _show(self, parsed: dict[str, Any], **_: Any) -> None:
        for cache in parsed.get("ServerlessCaches", ()):
            cache.setdefault("ConnectionType", "public")
            if self._is_busy() or self._status == "create-failed":
                # As the documentation writes it
                cache["Status"] = self._status.upper()
            if cache["Status"].startswith("CREAT"):
                cache.pop("Endpoint", None)

    def _explain(self, parsed: dict[str, Any], **_: Any) -> None:
        if self.failure:
            parsed["Events"].append({"Message": self.failure})


def refusal(request: Any, code: str, message: str) -> AWSResponse:
    """An error of ElastiCache."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return _answer(request, 400, f"<ErrorResponse>{error}</ErrorResponse>")


def _answer(request: Any, status: int, text: str) -> AWSResponse:
    response = AWSResponse(request.url, status, {}, None)
    response._content = text.encode()
    return response
