"""What stands in a deploy's way is found, and each ✗ says what to do; against real servers."""

import json
import os
from functools import partial
from pathlib import Path

import pytest
import redis

from gimel.backend.aws_service import Service
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from gimel.config.redis import RedisSettings
from gimel.config.settings import Config
from gimel.config.stack import Concurrency, Domain
from gimel.stack.aws import Aws
from gimel.stack.deployed import connect
from gimel.stack.preflight import redis as redis_checks
from gimel.stack.preflight.check import Check
from gimel.stack.preflight.preflight import check_aws
from gimel.stack.preflight.redis import _check_encryption, check_connections, check_redis
from tests.support.aws_account import REGION
from tests.support.commands import process, run
from tests.support.locked_valkey import SECRET, URL_SECRET
from tests.support.proxy import black_hole
from tests.support.servers import debian_redis, free_port, port_of, url_of
from tests.support.tls import tls_redis


def checks(**settings: object) -> list[Check]:
    found = list(check_redis(RedisSettings(**{"host": "127.0.0.1"} | settings).environment))
    assert not any(word in str(found) for word in (SECRET, URL_SECRET))
    return found


def failure(**settings: object) -> str:
    """What the only check, one that failed, says."""
    (check,) = checks(**settings)
    assert (check.name, check.state) == ("Redis", "failed")
    return check.found


def states(found: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in found}


def test_a_server_that_is_as_it_should_be_leaves_no_trace(store: redis.Redis) -> None:
    store.config_set("appendonly", "yes")
    try:
        found = checks(port=port_of(store))
    finally:
        store.config_set("appendonly", "no")
    assert states(found) == dict.fromkeys(["Redis", "Eviction", "Persistence", "Encryption"], "ok")
    assert store.keys() == []


def test_a_wrong_password(locked: redis.Redis) -> None:
    port = port_of(locked)
    for wrong in ({"password": "wrong"}, {}, {"username": "nobody", "password": SECRET}):
        assert "correct redis.password" in failure(port=port, **wrong)


def test_who_may_not_read_the_secret_is_not_stopped(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redis-a1B2c3"
    for code, state in (("AccessDeniedException", "warning"), ("InternalServiceError", "failed")):
        answer = (400, json.dumps({"__type": code}).encode())
        monkeypatch.setattr(Service, "call", lambda *_, answer=answer: answer)
        (check,) = checks(port=port_of(store), secret=arn)
        assert check.state == state
        assert ("the deploy will show whether the functions may" in check.found) == (
            state == "warning"
        )


def test_a_password_where_none_is_wanted(store: redis.Redis) -> None:
    assert "remove it there" in failure(port=port_of(store), password=SECRET)


def test_the_right_password(locked: redis.Redis) -> None:
    assert states(checks(port=port_of(locked), password=SECRET))["Redis"] == "ok"
    url = f"redis://:{URL_SECRET}@127.0.0.1:{port_of(locked)}/0"
    assert states(checks(host=None, url=url))["Redis"] == "ok"


def test_a_user_who_may_not_count(locked: redis.Redis) -> None:
    found = failure(port=port_of(locked), username="reader", password=SECRET)
    assert "lacks a permission that counting needs" in found
    assert "pfadd" in found.lower()


def test_a_user_who_may_not_write_these_keys(locked: redis.Redis) -> None:
    found = failure(port=port_of(locked), username="narrow", password=SECRET)
    assert "lacks a permission that counting needs" in found


def test_a_user_who_may_not_see_the_configuration(locked: redis.Redis) -> None:
    """Hosts that sell Redis forbid CONFIG: persistence is then not to be seen."""
    found = states(checks(port=port_of(locked), username="blind", password=SECRET))
    assert (found["Redis"], found["Persistence"]) == ("ok", "warning")


def test_a_user_who_may_not_ask_how_the_server_is(locked: redis.Redis) -> None:
    found = checks(port=port_of(locked), username="silent", password=SECRET)
    assert states(found) == {"Redis": "ok", "Encryption": "ok", "Safety": "warning"}
    assert "may not call INFO" in found[-1].found


def test_nobody_listens() -> None:
    assert "check host and port" in failure(port=free_port())


def test_no_such_host() -> None:
    found = failure(host="redis.invalid", port=6379)
    assert found.startswith("redis.invalid:6379: ")
    assert "check host and port" in found


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_checks, "_TIMEOUT", 0.2)
    with black_hole() as port:
        assert "Redis does not answer" in failure(port=port)


def test_tls_to_a_plain_port(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Valkey waits for the rest of what is no command to it."""
    monkeypatch.setattr(redis_checks, "_TIMEOUT", 0.2)
    assert "any other port redis:// (or ssl: false)" in failure(port=port_of(store), ssl=True)


@pytest.mark.slow
def test_a_tls_port(tmp_path: Path) -> None:
    with tls_redis(tmp_path) as port:
        assert "a TLS port needs rediss://" in failure(port=port)
        assert "TLS fails" in failure(host="localhost", port=port, ssl=True)
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}"
        found = checks(host=None, url=url)
    assert states(found)["Redis"] == "ok"
    assert Check("Encryption", "ok", "TLS") in found


# Connections


@pytest.mark.parametrize(
    ("concurrency", "executions", "takes", "state", "said"),
    [
        (
            {},
            1000,
            29,
            "ok",
            "up to 29 (reserved_concurrency is 20 + 5 + 2, replays are 2) of Redis's 29",
        ),
        ({}, 1000, 28, "warning", "accepts 28 (maxclients), the functions may open 29"),
        ({}, None, 26, "warning", "reserved_concurrency is 20 + 5 + 2"),
        ({}, 10, 30, "ok", "up to 10 (the account's limit is 10"),
        ({}, 120, 30, "warning", "may open 120: the account's limit is 120"),
        ({"track": None}, 1000, 30, "warning", "may open 1000: the account's limit is 1000"),
        ({}, 1000, None, "ok", "Redis reports no limit"),
    ],
)
def test_connections(
    concurrency: dict[str, int | None],
    executions: int | None,
    takes: int | None,
    state: str,
    said: str,
) -> None:
    figures = {} if takes is None else {"maxclients": takes}
    check = check_connections(Concurrency(**concurrency), executions, figures)
    assert (check.name, check.state) == ("Connections", state)
    assert said in check.found
    if state == "warning":
        assert "lower reserved_concurrency in config.json, or raise maxclients" in check.found


def test_a_redis_that_takes_too_few_connections(
    aws_endpoint: str, locked: redis.Redis, tmp_path: Path
) -> None:
    locked.config_set("maxclients", 25)
    path = tmp_path / "config.json"
    host = {"host": "127.0.0.1", "port": port_of(locked), "password": SECRET}
    path.write_text(json.dumps({"redis": host, "aws": {"region": REGION}}))
    done = run("--config", str(path), "preflight", env={"COLUMNS": "400"})
    assert done.exit_code == 0
    assert "! Connections  Redis accepts 25 (maxclients), the functions may open 29" in done.stdout
    advice = 'off. With "alarm_email" in config.json, AWS mails you when events wait or are lost'
    assert done.stdout.splitlines()[-1] == f"✓ Alarms       {advice} (about $2 a month)"


def of_eviction(store: redis.Redis, policy: str) -> Check:
    store.config_set("maxmemory-policy", policy)
    try:
        (found,) = [each for each in checks(port=port_of(store)) if each.name == "Eviction"]
    finally:
        store.config_set("maxmemory-policy", "noeviction")
    return found


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-ttl"])
def test_a_policy_that_drops_only_what_expires(store: redis.Redis, policy: str) -> None:
    found = of_eviction(store, policy)
    assert found.state == "ok"
    assert found.found == f"{policy}: Redis drops no counter when its memory is full"
    for counting in ("hyperloglog", "exact"):
        counters = Counters(Connection(url_of(store)), counting=counting)
        counters.add([Event("alephbet", counting, PARTICIPATE, "a", "1")])
    assert len(keys := store.keys()) > 4
    assert {store.ttl(key) for key in keys} == {-1}


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
def test_a_policy_that_drops_counters(store: redis.Redis, policy: str) -> None:
    found = of_eviction(store, policy)
    assert found.state == "warning"
    assert f"the policy is {policy}" in found.found
    assert "Set maxmemory-policy to noeviction" in found.found


def test_persistence(store: redis.Redis) -> None:
    (off,) = [each for each in checks(port=port_of(store)) if each.name == "Persistence"]
    assert off.state == "warning"
    assert "appendonly yes" in off.found
    store.config_set("save", "3600 1")
    try:
        assert states(checks(port=port_of(store)))["Persistence"] == "ok"
    finally:
        store.config_set("save", "")


@pytest.mark.slow
def test_redis_as_debian_has_it() -> None:
    with debian_redis() as client:
        assert states(checks(port=port_of(client)))["Redis"] == "ok"


@pytest.mark.parametrize(
    ("scheme", "host", "state"),
    [
        ("rediss", "8.8.8.8", "ok"),
        ("redis", "127.0.0.1", "ok"),
        ("redis", "10.1.2.3", "ok"),
        ("redis", "::1", "ok"),
        ("redis", "fd00::1", "ok"),
        ("redis", "8.8.8.8", "warning"),
        ("redis", "2001:4860:4860::8888", "warning"),
    ],
)
def test_encryption(scheme: str, host: str, state: str) -> None:
    check = _check_encryption(scheme, host)
    assert check.state == state
    assert ("rediss://" in check.found) is (state == "warning")


NOWHERE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}


@pytest.fixture(name="no_aws")
def no_aws_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)


def with_aws(**aws: str) -> Config:
    return Config(redis={"host": "h"}, aws=aws)


def aws_check(**aws: str) -> Check:
    config = with_aws(**aws)
    (check,) = check_aws(config, partial(connect, config))
    return check


def test_no_credentials(no_aws: None) -> None:
    check = aws_check(region="eu-west-1")
    assert check.state == "failed"
    assert "aws configure" in check.found


def test_no_region(no_aws: None) -> None:
    check = aws_check()
    assert check.state == "failed"
    assert "AWS_DEFAULT_REGION" in check.found


def test_a_profile_that_there_is_not(no_aws: None) -> None:
    check = aws_check(region="eu-west-1", profile="nobody")
    assert check.state == "failed"
    assert "nobody" in check.found


@pytest.mark.slow
def test_a_certificate_and_a_key_of_another_region(aws_endpoint: str) -> None:
    """config.json names no region."""
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    settings = Config(
        redis=RedisSettings(host="h"),
        domain=Domain(name="ab.shop.example", certificate=certificate),
        kms_key="arn:aws:kms:us-east-1:123456789012:key/1",
    )
    checks = list(check_aws(settings, lambda: Aws(REGION)))
    found = [check.found for check in checks if check.state == "failed"]
    assert found == [
        f"{name} is in region us-east-1, but the stack is in {REGION}: AWS needs one in {REGION}"
        for name in ("domain.certificate", "kms_key")
    ]
    found = [check.found for check in check_aws(settings, lambda: Aws("us-east-1"))]
    assert not [line for line in found if "is in region us-east-1" in line]


def test_the_command_shows_every_check_and_fails(
    no_aws: None, store: redis.Redis, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    host = {"host": "127.0.0.1", "port": port_of(store), "password": SECRET}
    path.write_text(json.dumps({"redis": host, "aws": {"region": "eu-west-1"}}))
    path.chmod(0o600)
    done = process("--config", str(path), "preflight")
    assert done.returncode == 1
    assert done.stderr == ""
    assert SECRET not in done.stdout
    marks = [line.split()[:2] for line in done.stdout.splitlines() if line[0] in "✓✗!"]
    assert marks == [["✓", "Config"], ["✗", "AWS"], ["✗", "Redis"], ["✓", "Alarms"]]
    assert "\x1b" not in done.stdout
    # In a pipe, a check is one line, however long.
    assert len(done.stdout.splitlines()) == len(marks)
    assert max(map(len, done.stdout.splitlines())) > 80


def test_a_wrong_config_ends_the_checks(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"redis": {"host": "h", "pasword": SECRET}, "shards": 0}))
    done = run("--config", str(path), "preflight")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert [line[0] for line in lines if not line.startswith(" ")].count("✗") == 2
    text = " ".join(done.stdout.split())
    assert 'redis.pasword: unknown key; did you mean "password"?' in text
    assert "shards: " in text
    assert SECRET not in done.output


def test_no_config_says_how_to_make_one(tmp_path: Path) -> None:
    done = run("--config", str(tmp_path / "none.json"), "preflight")
    assert done.exit_code == 1
    assert "create it with `gimel configure`" in " ".join(done.stdout.split())


def test_deploy_checks_first_and_deploys_nothing(no_aws: None, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"redis": {"host": "127.0.0.1", "port": free_port()}}))
    done = run("--config", str(path), "deploy")
    assert done.exit_code == 1
    assert done.stdout.count("✗") == 2
    assert done.stderr == (
        "Error: not deployed: fix what failed, or skip the checks with --no-preflight\n"
    )
