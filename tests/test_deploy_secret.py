"""A stack whose functions read Redis's password from a secret, and whose environment has a key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gimel import deploy
from gimel.stack.aws import Aws
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import DeployError, Names
from tests.support.aws_account import REGION, new_stack, stack_config
from tests.support.commands import run
from tests.support.deployments import REDIS_PASSWORD, is_as_wanted, silent

pytestmark = pytest.mark.slow

KMS_KEY = f"arn:aws:kms:{REGION}:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def manager(aws_endpoint: str) -> Iterator[Any]:
    client = Aws(REGION).clients["secretsmanager"]
    yield client
    client.close()


def test_the_functions_read_the_secret_and_their_environment_has_no_password(
    manager: Any, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = new_stack()
    secret = manager.create_secret(Name=f"{stack}-redis", SecretString=REDIS_PASSWORD)["ARN"]
    redis = {"host": "127.0.0.1", "port": urlsplit(redis_url).port, "secret": secret}
    config = stack_config("", redis=redis, stack=stack, kms_key=KMS_KEY)
    deploy.deploy(config, silent)
    assert is_as_wanted(config)
    for function in observe(Aws(REGION), Names(stack)).functions.values():
        live = function.versions[str(function.live)]
        assert live["KMSKeyArn"] == KMS_KEY
        assert live["Environment"]["Variables"]["GIMEL_REDIS_SECRET"] == secret
        assert REDIS_PASSWORD not in json.dumps(live)
    manager.put_secret_value(SecretId=secret, SecretString='{"no": "password"}')
    monkeypatch.setattr(deploy, "_REDIS_TIMEOUT", 0.0)
    smaller = config.model_copy(update={"memory": 192})
    with pytest.raises(DeployError, match=r"secret: the functions cannot read redis\.secret"):
        deploy.deploy(smaller, silent)


def test_commands_of_this_machine_read_the_secret_with_the_users_own_credentials(
    manager: Any, redis_url: str, tmp_path: Path
) -> None:
    stack = new_stack()
    secret = manager.create_secret(Name=f"{stack}-redis", SecretString=REDIS_PASSWORD)["ARN"]
    port = urlsplit(redis_url).port
    redis = {"host": "127.0.0.1", "port": port, "secret": secret}
    path = tmp_path / "config.json"
    content = {"redis": redis, "aws": {"region": REGION}, "stack": stack}
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    assert run("--config", str(path), "migrate", "--dry-run").exit_code == 0
    done = run("--config", str(path), "preflight", env={"COLUMNS": "400"})
    assert f"✓ Redis        127.0.0.1:{port} answers and counts" in done.output
    manager.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    done = run("--config", str(path), "migrate")
    assert done.exit_code == 1
    assert "the secret with Redis's password cannot be read" in done.output
    done = run("--config", str(path), "preflight", env={"COLUMNS": "400"})
    assert "✗ Redis" in done.output
