"""AWS's signature, as botocore's own signers make it."""

from collections.abc import Iterator

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gimel.backend.signing import presigned_query, signed_headers
from tests.support.sqs import CREDENTIALS

NOW = "20261129T123456Z"
TOKENS = pytest.mark.parametrize("token", [{}, {"AWS_SESSION_TOKEN": "a token/+= é~"}])


@pytest.fixture(autouse=True)
def _at_one_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("gimel.backend.signing._now", lambda: NOW)
    monkeypatch.setattr("botocore.auth.SIGV4_TIMESTAMP", NOW)
    return


def credentials(token: dict[str, str]) -> Credentials:
    return Credentials("testing", "testing", token.get("AWS_SESSION_TOKEN"))


@TOKENS
@pytest.mark.parametrize(
    ("service", "target"),
    [
        ("sqs", "AmazonSQS.SendMessage"),
        ("secretsmanager", "secretsmanager.GetSecretValue"),
        ("ssm", "AmazonSSM.GetParameter"),
    ],
)
def test_the_headers_are_those_of_botocore(
    service: str, target: str, token: dict[str, str]
) -> None:
    body = '{"MessageBody":"é"}'.encode()
    endpoint = f"https://{service}.eu-west-1.amazonaws.com"
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
    mine = signed_headers(service, "eu-west-1", headers, body, endpoint, CREDENTIALS | token)
    theirs = AWSRequest("POST", f"{endpoint}/", headers, body)
    SigV4Auth(credentials(token), service, "eu-west-1").add_auth(theirs)
    assert {name.lower(): value for name, value in theirs.headers.items()} == {
        name: value for name, value in mine.items() if name != "host"
    }


@TOKENS
def test_a_presigned_query_is_that_of_botocore(token: dict[str, str]) -> None:
    query = {"User": "a b/c~ü", "Action": "connect"}
    mine = presigned_query("elasticache", "eu-west-1", "cache", query, 900, CREDENTIALS | token)
    theirs = AWSRequest("GET", "https://cache/", params=query)
    SigV4QueryAuth(credentials(token), "elasticache", "eu-west-1", expires=900).add_auth(theirs)
    assert sorted(mine.split("&")) == sorted(theirs.url.removeprefix("https://cache/?").split("&"))
