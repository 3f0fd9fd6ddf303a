"""A stack with a managed Redis, by its commands: the functions and this machine log in with IAM.

The emulator's cache leads to a Valkey behind a server that speaks TLS and checks each token.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gimel.backend.tls import tls_context
from gimel.stack.aws import Aws
from gimel.stack.cache import redis_environment
from gimel.stack.observe.cache import observe_cache
from gimel.stack.wanted import DeployError, Names
from tests.support.aws_account import REGION, emulator, environment
from tests.support.deployments import Stack
from tests.support.serverless_cache import ServerlessCache
from tests.support.serverless_caches import make_user_group
from tests.support.servers import port_of
from tests.support.terminal import run_in_terminal

pytestmark = pytest.mark.slow

# Those of the emulator's functions, and of this machine.
ACCOUNTS = [
    {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    for key, secret in (("000000000000", "test"), ("testing", "testing"))
]
PRICE = "about $6 a month at the minimum, at most about $122 with these limits (us-east-1 prices)"


@pytest.fixture
def stack(store: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    stack = Stack(tmp_path, "")
    stack.save(redis="managed")
    cache = ServerlessCache(port_of(store), stack.content["stack"])
    cache.accounts = ACCOUNTS
    try:
        (tmp_path / "ca.pem").write_text(cache.ca)
        for name, value in (
            ("REDIS_HOST", "127.0.0.1"),
            ("REDIS_PORT", str(cache.port)),
            ("SSL_CERT_FILE", str(tmp_path / "ca.pem")),
        ):
            monkeypatch.setenv(name, value)
        # Another test of this process may have made it, from other certificates.
        tls_context.cache_clear()
        with emulator(tmp_path) as endpoint:
            for name, value in environment(endpoint).items():
                monkeypatch.setenv(name, value)
            make_user_group(Aws(REGION))
            yield stack
    finally:
        cache.close()
        tls_context.cache_clear()


def test_a_life(stack: Stack) -> None:
    name, aws = stack.content["stack"], Aws(REGION)
    offer = f"deploy creates a Redis, cache {name} of ElastiCache: {PRICE}"
    checks = " ".join(stack.run("preflight").split())
    assert f"✓ Redis cache {name} does not exist yet, {PRICE}" in checks
    # Nobody is there to agree.
    said = stack.run("deploy", code=1)
    assert said.splitlines()[-1] == f"Error: {offer}. To agree: `gimel deploy --yes`"
    command = (*stack.command[3:], "deploy", "--no-preflight")
    question = "Create it? [y/N]: "
    refused = run_in_terminal(*command, answers=[(question, "n")])
    assert refused.code == 1
    assert observe_cache(aws, Names(name)) is None
    agreed = run_in_terminal(*command, answers=[(question, "y")])
    assert agreed.code == 0
    assert "a probe event was counted" in agreed.written
    assert "Nothing to change" in stack.run("deploy")
    assert "queued" not in stack.client().track("button", "red", "participate", "1")
    checks = " ".join(stack.run("preflight").split())
    assert "answers and counts" in checks
    assert "promises no durability" in checks
    assert "✗" not in checks
    status = stack.run("status")
    assert "MB of 1 GB; about $0.00 this month so far, at most about $122 a month" in status
    assert "Nothing to move" in stack.run("migrate", "--dry-run")
    said = " ".join(stack.run("destroy", "--yes").split())
    assert f"cache {name} stays with all counts and costs about $6 a month at the minimum" in said
    stack.run("deploy", "--no-preflight")
    (variant,) = stack.client().experiment("button")["variants"]
    assert variant["trials"] == 1
    stack.run("destroy", "--yes", "--data", "--no-snapshot")
    assert observe_cache(aws, Names(name)) is None
    (line,) = stack.run("destroy", "--data").splitlines()
    assert line.startswith("There is nothing to remove")
    with pytest.raises(DeployError):
        redis_environment(stack.config, aws)
