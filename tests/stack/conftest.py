"""An account that enforces IAM, servers that refuse, a stack of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gimel.stack.aws import Aws
from tests.support.aws_account import REGION, emulator, environment
from tests.support.iam_account import Account, Life
from tests.support.locked_valkey import SECRET
from tests.support.servers import port_of, valkey


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """The owner of an account that enforces IAM; a user of it is whom boto3 then finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH", "true")
        with emulator(tmp_path_factory.mktemp("account")) as endpoint:
            for name, value in environment(endpoint).items():
                patch.setenv(name, value)
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            owner = Aws(REGION)
            owner.call("iam", "create_user", UserName="deployer")
            key = owner.call("iam", "create_access_key", "AccessKey", UserName="deployer")
            patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
            yield owner


@pytest.fixture(scope="module")
def account(root: Aws) -> Account:
    return Account()


@pytest.fixture
def life(
    root: Aws,
    account: Account,
    own_redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Life:
    monkeypatch.setattr("gimel.stack.deployed.connect", lambda config: account)
    return Life(tmp_path, own_redis_url, root, account)


@pytest.fixture(scope="module", name="locked")
def locked_fixture() -> Iterator[redis.Redis]:
    """A Valkey with a password, and a user each for what may be forbidden."""
    with valkey(SECRET) as client:
        client.connection_pool.reset()
        client = redis.Redis(port=port_of(client), password=SECRET, decode_responses=True)
        users = {"reader": ["-pfadd"], "blind": ["-config"], "narrow": ["resetkeys", "~other:*"]}
        users["silent"] = ["-info"]
        for user, rules in users.items():
            client.execute_command(
                "ACL", "SETUSER", user, "on", f">{SECRET}", "~*", "&*", "+@all", *rules
            )
        yield client
        client.close()
