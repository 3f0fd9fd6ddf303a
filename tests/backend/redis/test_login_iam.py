"""ElastiCache Serverless with IAM: logged in with a token, survived when it cuts or refuses."""

import ssl
import time
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
import redis

from gimel.backend import process
from gimel.backend.inspection import look_at_redis
from gimel.backend.redis.connection import Connection
from gimel.backend.redis.errors import trouble
from gimel.backend.redis.login import IamLogin
from tests.support.handler_requests import call, point_handlers_at, post
from tests.support.sender import SECONDS, Sender
from tests.support.serverless_cache import (
    CREDENTIALS,
    REFUSED,
    ServerlessCache,
    serverless_cache,
)
from tests.support.servers import port_of

EVENT = {"experiment": "button color", "variant": "red", "event": "participate", "uuid": "1"}


@pytest.fixture
def cache(store: redis.Redis) -> Iterator[ServerlessCache]:
    with serverless_cache(port_of(store)) as cache:
        yield cache


@pytest.fixture
def handlers(cache: ServerlessCache, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerlessCache]:
    """The handlers on the cache, as a deployed function's environment leads to it."""
    point_handlers_at(monkeypatch, "")
    for name, value in cache.environ.items():
        monkeypatch.setenv(name, value)
    yield cache
    process.reset()


@pytest.fixture
def sender(cache: ServerlessCache) -> Sender:
    return Sender(Connection.from_environment(cache.environ))


def ask(environ: dict[str, str]) -> list[object]:
    return Connection.from_environment(environ).execute([("SCARD", "none")])


def test_events_count_and_reads_read(handlers: ServerlessCache) -> None:
    assert call("GET", "/e", EVENT).status == 200
    events = [
        EVENT | {"uuid": str(n), "event": goal}
        for n in range(90)
        for goal in ("participate", "buy")
    ]
    assert post(events).body["accepted"] == 180
    _, found = call("GET", "/experiments").body
    assert [variant["trials"] for variant in found["variants"]] == [90]
    assert call("GET", "/experiment", {"experiment": "button color"}).status == 200
    assert call("DELETE", "/delete", {"experiment": "button color"}).body["deleted"]
    assert handlers.logins == 1
    assert not REFUSED & set(handlers.commands)


def test_what_the_functions_say_of_it(cache: ServerlessCache) -> None:
    found = look_at_redis(cache.environ)
    assert found["trouble"] is None
    assert found["used_memory"] > 0
    assert not REFUSED & set(cache.commands)
    cache.refusal = "ERR service is not available"
    assert look_at_redis(cache.environ)["trouble"] == "busy"


def test_a_token_is_for_one_cache_and_user_for_15_minutes(cache: ServerlessCache) -> None:
    assert ask(cache.environ) == [0]
    (token,) = cache.tokens
    host, _, query = token.partition("/?")
    assert host == cache.name.lower()
    given = parse_qs(query)
    assert given["X-Amz-Expires"] == ["900"]
    assert given["X-Amz-Credential"][0].endswith("/eu-west-1/elasticache/aws4_request")
    cache.ahead = 890
    assert ask(cache.environ) == [0]
    cache.ahead = 902
    with pytest.raises(redis.AuthenticationError) as refused:
        ask(cache.environ)
    assert trouble(refused.value) == "password"


@pytest.mark.parametrize("wrong", [*CREDENTIALS, "GIMEL_REDIS_IAM"])
def test_a_wrong_key_region_or_name_is_refused(cache: ServerlessCache, wrong: str) -> None:
    with pytest.raises(redis.AuthenticationError):
        ask(cache.environ | {wrong: "wrong"})
    assert cache.logins == 1, "a second try would be refused, too"


def test_each_connection_has_a_new_token(
    cache: ServerlessCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = IamLogin(cache.name, cache.environ)
    before = login.get_credentials()
    monkeypatch.setattr("gimel.backend.signing._now", lambda: "20300101T000000Z")
    assert before != login.get_credentials()


def test_connections_that_are_cut_cost_no_event(cache: ServerlessCache, sender: Sender) -> None:
    for _ in range(5):
        assert sender.send(3)
        cache.cut()
    assert sender.send()
    assert cache.logins == 6
    assert sender.all_counted()


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["lifetime", "idle"])
def test_connections_that_grow_old_or_idle_cost_no_event(
    cache: ServerlessCache, sender: Sender, limit: str
) -> None:
    setattr(cache, limit, 2.0)
    for _ in range(3):
        assert sender.send(5)
        time.sleep(2.2)
    assert sender.send()
    assert cache.logins == 4
    assert sender.all_counted()


@pytest.mark.parametrize(
    "refusal",
    [
        "ERR service is not available",
        "ERR IAM Authentication service is not available",
        "ERR Exceeded limit of IAM Authentication requests",
    ],
)
def test_events_wait_while_nobody_can_log_in(
    cache: ServerlessCache, sender: Sender, refusal: str
) -> None:
    assert sender.send()
    cache.refusal = refusal
    assert sender.send(), "a connection that stands goes on"
    cache.cut()
    logins = cache.logins
    assert not sender.send()
    assert cache.logins == logins + 1, "the rate of logins is limited"
    with pytest.raises(redis.ConnectionError):
        sender.intake.count(sender.spill.events)
    cache.refusal = None
    assert sender.send()
    assert sender.all_counted()
    assert sender.slowest < SECONDS


def test_a_read_while_nobody_can_log_in_is_503(handlers: ServerlessCache) -> None:
    handlers.refusal = "ERR service is not available"
    assert call("GET", "/experiments").status == 503


def test_nothing_but_tls_1_3_is_spoken(cache: ServerlessCache) -> None:
    cache._tls.minimum_version = ssl.TLSVersion.TLSv1_2
    cache._tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(redis.ConnectionError) as refused:
        ask(cache.environ)
    assert trouble(refused.value) == "tls"
