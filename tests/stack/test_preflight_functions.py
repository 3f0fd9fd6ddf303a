"""Redis as the deployed functions see it, beside what this machine sees."""

import json
from functools import partial
from pathlib import Path

import pytest
import redis

from gimel import deploy
from gimel.backend.redis.connection import Connection
from gimel.config.redis import RedisSettings
from gimel.config.settings import Config
from gimel.stack.deployed import connect
from gimel.stack.preflight import preflight
from gimel.stack.preflight.redis import check_redis
from gimel.stack.wanted import DeployError
from tests.support.aws_account import REGION, new_stack, stack_config
from tests.support.commands import run
from tests.support.locked_valkey import SECRET, URL_SECRET
from tests.support.servers import free_port, port_of
from tests.support.tls import tls_redis

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", name="inside")
def inside_fixture(aws_endpoint: str, redis_url: str) -> Config:
    """A stack that is deployed and well."""
    settings = stack_config(redis_url, stack=new_stack())
    deploy.deploy(settings, lambda line: None)
    return settings


def refusal(inside: Config, url: str) -> str:
    """What a deploy with this Redis ends with; the functions are asked, not this machine."""
    other = inside.model_copy(update={"redis": RedisSettings(url=url)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "_REDIS_TIMEOUT", 0.0)
        with pytest.raises(DeployError) as error:
            deploy.deploy(other, lambda line: None)
    assert not any(word in str(error.value) for word in (SECRET, URL_SECRET))
    return str(error.value).partition("do not reach Redis: ")[2]


def test_the_functions_answer_for_their_own_redis_only(inside: Config) -> None:
    aws = connect(inside)
    other = inside.model_copy(update={"redis": RedisSettings(url="redis://other.invalid:6379/0")})
    assert preflight._ask_functions(other, aws, other.redis.address) is None
    seen = preflight._ask_functions(inside, aws, inside.redis.address)
    assert seen is not None
    assert seen["trouble"] is None


def test_the_functions_say_that_it_is_tls(inside: Config, tmp_path: Path) -> None:
    with tls_redis(tmp_path) as port:
        url = f"rediss://localhost:{port}/0"
        assert refusal(inside, url).startswith("TLS: ")
        trusting = RedisSettings(url=url, ca=str(tmp_path / "ca.pem"))
        deploy.deploy(inside.model_copy(update={"redis": trusting}), lambda line: None)


def test_the_functions_say_that_it_is_the_password(inside: Config, locked: redis.Redis) -> None:
    address = f"127.0.0.1:{port_of(locked)}/0"
    for login in ("", f"nobody:{URL_SECRET}@"):
        assert refusal(inside, f"redis://{login}{address}").startswith("password: ")


def test_the_functions_say_that_it_is_the_acl(inside: Config, locked: redis.Redis) -> None:
    for user in ("reader", "narrow"):
        url = f"redis://{user}:{URL_SECRET}@127.0.0.1:{port_of(locked)}/0"
        assert refusal(inside, url).startswith("ACL: ")


def test_a_redis_that_only_the_functions_reach(
    inside: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they were deployed with is fine; this machine cannot get there."""
    deploy.deploy(inside, lambda line: None)

    def unreachable(connection: Connection) -> None:
        raise redis.ConnectionError("no route to host")

    with monkeypatch.context() as patch:
        patch.setattr("gimel.stack.preflight.redis._count_probe_event", unreachable)
        aws = connect(inside)
        ask = partial(preflight._ask_functions, inside, aws, inside.redis.address)
        (check,) = check_redis(inside.redis.environment, ask)
    assert check.state == "ok"
    assert "answers the functions and counts" in check.found
    away = {"url": f"redis://:{URL_SECRET}@127.0.0.1:{free_port()}/0"}
    assert of_redis(tmp_path, inside, away).startswith("✗ Redis")
    refusal(inside, away["url"])
    found = of_redis(tmp_path, inside, away)
    assert found.startswith("! Redis")
    assert "as the deployed functions see it: network: " in found


def test_before_there_is_a_function_to_ask(aws_endpoint: str, tmp_path: Path) -> None:
    away = {"url": f"redis://127.0.0.1:{free_port()}/0"}
    settings = stack_config(away["url"], stack=new_stack())
    assert of_redis(tmp_path, settings, away).startswith("✗ Redis")
    vpc = {"subnets": ["subnet-1"], "security_groups": ["sg-1"]}
    found = of_redis(tmp_path, settings, away, vpc=vpc)
    assert found.startswith("! Redis")
    assert "the deploy will show whether the functions do" in found


def of_redis(folder: Path, settings: Config, away: dict[str, str], **more: object) -> str:
    """What `gimel preflight` says of Redis when the configuration has it there."""
    path = folder / "config.json"
    path.write_text(
        json.dumps({"redis": away, "aws": {"region": REGION}, "stack": settings.stack, **more})
    )
    path.chmod(0o600)
    done = run("--config", str(path), "preflight", env={"COLUMNS": "400"})
    (line,) = [line for line in done.stdout.splitlines() if line[1:].startswith(" Redis")]
    assert URL_SECRET not in done.output
    return line
