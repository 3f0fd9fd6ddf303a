"""Redis's password in Secrets Manager or the Parameter Store: read once, and when it changed."""

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import redis

from gimel.backend.aws_service import Service
from gimel.backend.redis.connection import Connection
from gimel.backend.redis.errors import SecretError, trouble
from tests.support.aws_account import REGION
from tests.support.proxy import black_hole
from tests.support.sender import SECONDS, Sender
from tests.support.servers import port_of, valkey
from tests.support.valkey_cluster import cluster

_numbers = itertools.count()
PASSWORD = "p@ss/wörd: +%"


@pytest.fixture
def locked() -> Iterator[redis.Redis]:
    """A Valkey with a password."""
    with valkey(password=PASSWORD) as server:
        yield server


def change_password(server: redis.Redis, password: str) -> None:
    """Change it, and close the connections that knew the old one."""
    server.config_set("requirepass", password)
    server.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


class Secrets:
    """Secrets and parameters on the emulated account."""

    def __init__(self) -> None:
        self.manager: Any = boto3.client("secretsmanager", region_name=REGION)
        self.store: Any = boto3.client("ssm", region_name=REGION)

    def secret(self, **content: Any) -> str:
        created = self.manager.create_secret(Name=f"redis/{next(_numbers)}", **content)
        return str(created["ARN"])

    def parameter(self, name: str, text: str) -> str:
        self.store.put_parameter(Name=name, Value=text, Type="SecureString", Overwrite=True)
        account = "000000000000"
        return f"arn:aws:ssm:{REGION}:{account}:parameter/{name.removeprefix('/')}"


@pytest.fixture
def secrets(aws_endpoint: str) -> Iterator[Secrets]:
    secrets = Secrets()
    yield secrets
    secrets.manager.close()
    secrets.store.close()


def environ(server: redis.Redis, arn: str, user: str = "") -> dict[str, str]:
    url = f"redis://{user}127.0.0.1:{port_of(server)}/0"
    return os.environ | {"GIMEL_REDIS_URL": url, "GIMEL_REDIS_SECRET": arn}


def ask(environ: dict[str, str]) -> list[object]:
    return Connection.from_environment(environ).execute([("SCARD", "none")])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls to AWS that were made."""
    made: list[str] = []
    real = Service.call

    def call(self: Service, connection: Any, action: str, *rest: Any) -> tuple[int, bytes]:
        made.append(action)
        return real(self, connection, action, *rest)

    monkeypatch.setattr(Service, "call", call)
    return made


@pytest.mark.parametrize("text", [PASSWORD, f"{PASSWORD}\n", json.dumps({"password": PASSWORD})])
def test_a_secret_is_the_password_or_holds_it(
    locked: redis.Redis, secrets: Secrets, text: str
) -> None:
    assert ask(environ(locked, secrets.secret(SecretString=text))) == [0]


@pytest.mark.parametrize("name", ["redis-password", "/redis/password"])
def test_a_parameter_is_the_password(locked: redis.Redis, secrets: Secrets, name: str) -> None:
    assert ask(environ(locked, secrets.parameter(name, PASSWORD))) == [0]


@pytest.mark.parametrize("user", ["", "s%C3%A4m:@", "s%C3%A4m@"])
def test_the_user_is_in_the_secret_or_in_the_url(
    locked: redis.Redis, secrets: Secrets, user: str
) -> None:
    locked.execute_command("ACL", "SETUSER", "säm", "on", ">his own", "~*", "+@all")
    given = {"password": "his own"} | ({} if user else {"username": "säm"})
    arn = secrets.secret(SecretString=json.dumps(given))
    assert ask(environ(locked, arn, user)) == [0]


def test_it_is_read_once_a_process_and_again_when_redis_refuses_it(
    locked: redis.Redis, secrets: Secrets, reads: list[str]
) -> None:
    arn = secrets.secret(SecretString=PASSWORD)
    sender = Sender(Connection.from_environment(environ(locked, arn)))
    assert sender.send(3)
    locked.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert sender.send()
    assert reads == ["GetSecretValue"]
    secrets.manager.put_secret_value(SecretId=arn, SecretString="new")
    change_password(locked, "new")
    assert sender.send(), "a rotation costs no event, and no deploy"
    assert reads == ["GetSecretValue"] * 2
    assert sender.all_counted()


def test_events_wait_while_the_secret_is_wrong(
    locked: redis.Redis, secrets: Secrets, reads: list[str]
) -> None:
    arn = secrets.secret(SecretString="wrong")
    sender = Sender(Connection.from_environment(environ(locked, arn)))
    assert not sender.send()
    assert reads == ["GetSecretValue"] * 2
    with pytest.raises(redis.AuthenticationError) as refused:
        sender.counters.read("n")
    assert trouble(refused.value) == "password"
    secrets.manager.put_secret_value(SecretId=arn, SecretString=PASSWORD)
    assert sender.send()
    assert sender.all_counted()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"SecretString": '{"user": "a"}'}, "the secret has no password"),
        ({"SecretString": '{"password": 1}'}, "the secret has no password"),
        ({"SecretString": "\n"}, "the secret has no password"),
        ({"SecretBinary": b"password"}, "secretsmanager returned no text"),
    ],
)
def test_a_secret_without_a_password_says_so(
    locked: redis.Redis, secrets: Secrets, content: dict[str, Any], said: str
) -> None:
    with pytest.raises(SecretError, match=f"^{said}$"):
        ask(environ(locked, secrets.secret(**content)))


@pytest.mark.parametrize(
    ("arn", "said"),
    [
        (f"arn:aws:secretsmanager:{REGION}:000000000000:secret:none", "ResourceNotFoundException"),
        (f"arn:aws:ssm:{REGION}:000000000000:parameter/none", "ParameterNotFound"),
    ],
)
def test_what_aws_answers_is_named(
    locked: redis.Redis, secrets: Secrets, arn: str, said: str
) -> None:
    with pytest.raises(SecretError, match=f"answered {said}$") as failed:
        ask(environ(locked, arn))
    assert trouble(failed.value) == "secret"


@pytest.mark.slow
@pytest.mark.parametrize("accepts", [True, False])
def test_a_service_that_does_not_answer_keeps_the_sender_2_s_at_most(
    locked: redis.Redis, monkeypatch: pytest.MonkeyPatch, accepts: bool
) -> None:
    with black_hole(accepts=accepts) as port:
        arn = f"arn:aws:secretsmanager:{REGION}:000000000000:secret:s"
        away = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        sender = Sender(Connection.from_environment(environ(locked, arn) | away))
        assert not sender.send()
        with pytest.raises(SecretError, match="secretsmanager: TimeoutError"):
            sender.counters.read("n")
    assert sender.slowest < SECONDS


def test_a_process_reads_it_before_its_first_event(
    locked: redis.Redis, secrets: Secrets, reads: list[str]
) -> None:
    connection = Connection.from_environment(environ(locked, secrets.secret(SecretString=PASSWORD)))
    connection.prepare()
    assert reads == ["GetSecretValue"]
    assert connection.execute([("SCARD", "none")]) == [0]
    assert reads == ["GetSecretValue"]


def test_what_fails_before_the_first_event_is_tried_again(
    locked: redis.Redis, secrets: Secrets
) -> None:
    arn = secrets.secret(SecretBinary=b"-")
    connection = Connection.from_environment(environ(locked, arn))
    connection.prepare()
    secrets.manager.put_secret_value(SecretId=arn, SecretString=PASSWORD)
    assert connection.execute([("SCARD", "none")]) == [0]


@pytest.mark.slow
def test_a_cluster_has_its_password_in_a_secret(secrets: Secrets) -> None:
    with cluster() as nodes:
        for node in nodes:
            node.execute_command("ACL", "SETUSER", "app", "on", ">first", "~*", "+@all")
        arn = secrets.secret(SecretString="first")
        of_cluster = environ(nodes[1], arn, "app@") | {"GIMEL_REDIS_CLUSTER": "1"}
        sender = Sender(Connection.from_environment(of_cluster))
        assert sender.send(50)
        secrets.manager.put_secret_value(SecretId=arn, SecretString="second")
        for node in nodes:
            node.execute_command("ACL", "SETUSER", "app", "resetpass", ">second")
            node.execute_command("CLIENT", "KILL", "USER", "app")
        assert sender.send(50)
        assert sender.all_counted()
        nothing = of_cluster | {"GIMEL_REDIS_SECRET": secrets.secret(SecretString="\n")}
        with pytest.raises(redis.RedisError) as failed:
            Connection.from_environment(nothing).execute([("SCARD", "none")])
        assert trouble(failed.value) == "secret"
