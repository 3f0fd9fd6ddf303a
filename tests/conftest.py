"""Fixtures for all rooms: a Redis, the handlers on it, an AWS account, a deployed stack, a browser.

A fixture that one folder uses is in that folder's conftest.py.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import requests
from playwright.sync_api import Browser, Page

from gimel import background, deploy
from gimel.alephbet import ALEPHBET_URL
from gimel.backend import process
from gimel.config.settings import Config
from gimel.deploy import Deployed
from gimel.stack.deployed import find
from gimel.stack.wanted import Names
from tests.support import hypothesis_settings
from tests.support.aws_account import (
    emulator,
    environment,
    new_stack,
    stack_config,
)
from tests.support.chromium import chromium
from tests.support.commands import server_url
from tests.support.counting import SALT
from tests.support.deployments import Deployment, locked_redis, silent
from tests.support.gimel_local import LocalBackend
from tests.support.handler_requests import point_handlers_at, post
from tests.support.old_handlers import OldHandlers
from tests.support.openfeature import Backend
from tests.support.servers import shared_valkey_url, url_of
from tests.support.shop import Shop, serve_alephbet
from tests.support.waiting import wait

hypothesis_settings.settings.load_profile("gimel")
# Requests to the application in this process start a thread, which must not write into the Redis of
# some later test.
background._SNAPSHOT_PERIOD = 1e6

# These start Chromium, deploy a stack, or make an environment with packages from PyPI.
SLOW_FIXTURES = {"browser", "deployed", "first_deploy", "flagged", "root", "run_old"}
# The tests of each of these take 3 s or more together: they wait, start processes or simulate.
SLOW_MODULES = {
    *("backend/experiment/test_snapshots.py", "backend/news/test_outbox.py"),
    *("backend/redis/test_login_iam.py", "backend/redis/test_login_secret.py"),
    *("backend/results/test_measures.py", "backend/results/test_posterior.py"),
    *("local/test_server.py", "local/test_server_raw_http.py"),
    *("sdk/test_client.py", "sdk/test_sender.py", "sdk/test_sender_refused.py"),
    *("terminal/backup/test_merging.py", "terminal/backup/test_merging_verdicts.py"),
    *("terminal/backup/test_moving.py", "terminal/backup/test_reading.py"),
    *("terminal/test_text_output.py", "test_rsgi.py"),
}


_SLOW_PATHS = {Path(__file__).parent / name for name in SLOW_MODULES}
assert all(path.exists() for path in _SLOW_PATHS)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave slow modules out of a quick run, so that they are not even imported."""
    if "not slow" not in config.option.markexpr or not collection_path.match("test_*.py"):
        return None
    is_slow = collection_path in _SLOW_PATHS
    return is_slow or "\npytestmark = pytest.mark.slow\n" in collection_path.read_text() or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a slow fixture or is in a slow module. Other slow tests have a mark."""
    for item in items:
        if item.path in _SLOW_PATHS or SLOW_FIXTURES.intersection(
            getattr(item, "fixturenames", ())
        ):
            item.add_marker("slow")


@pytest.fixture
def store() -> Iterator[redis.Redis]:
    """A client of an empty Valkey."""
    with redis.Redis.from_url(shared_valkey_url(), decode_responses=True) as client:
        client.flushall()
        yield client


# What begins an experiment: its first event, or its declaration
_BEGINNERS = ("gimel.backend.counting.registration", "gimel.backend.counting.declaring")


@pytest.fixture(autouse=True)
def _seeded_salts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test draws the same salts in every run. Random ones let 2 of 200 visitors collide in a
    HyperLogLog in one run of fifty, and the count is then 199.
    """
    numbers = random.Random(f"1 {request.node.nodeid}")
    for module in _BEGINNERS:
        monkeypatch.setattr(f"{module}.new_salt", lambda: numbers.randbytes(16).hex())


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that disturb nothing: on a loaded machine, a first event may take over 2 s."""
    monkeypatch.setattr("gimel.backend.intake._REDIS_SECONDS", 20.0)
    monkeypatch.setattr("tests.support.sender.SECONDS", 30.0)


@pytest.fixture
def fixed_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every experiment gets the same salt, so that what is in Redis can be compared."""
    for module in _BEGINNERS:
        monkeypatch.setattr(f"{module}.new_salt", SALT.hex)


@pytest.fixture
def backend(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """The handlers on an empty Valkey, reads open. Gives a client of that Valkey."""
    point_handlers_at(monkeypatch, url_of(store))
    yield store
    process.reset()


@pytest.fixture
def url(backend: redis.Redis) -> str:
    """The address of the handlers over HTTP, on an empty Valkey, reads open."""
    return server_url()


@pytest.fixture
def run_old(store: redis.Redis, tmp_path: Path) -> OldHandlers:
    """The handlers of gimel 1.5.0 and lamed 0.4.3 on the same Valkey, to be called."""
    return OldHandlers(store, tmp_path)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose CDN is answered from npm's package. Errors in the page fail the test."""
    context = browser.new_context()
    context.route(ALEPHBET_URL, serve_alephbet)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBackend]:
    """`gimel local` with data of its own."""
    with LocalBackend(tmp_path) as backend:
        yield backend


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
    """The Redis that deployed functions use."""
    with locked_redis() as address:
        # Most deployed stacks share this Redis, in any order: no test may find it empty.
        with pytest.MonkeyPatch.context() as patch:
            point_handlers_at(patch, address)
            event = {"experiment": "an earlier one", "variant": "red", "event": "participate"}
            assert post([event | {"uuid": "1"}]).body["accepted"] == 1
        process.reset()
        yield address


@pytest.fixture(scope="module")
def own_redis_url() -> Iterator[str]:
    """A Redis of the module's own, for tests that delete all experiments."""
    with locked_redis() as address:
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


@pytest.fixture(scope="session")
def deployed_flags(deployed: Deployment) -> Iterator[Backend]:
    """The flag of docs/openfeature.md on the default stack, in one namespace after the other.

    A process of the tracking function sees a new flag only after a minute. So all are declared
    before the first is evaluated. An earlier test may have let the process read the flags.
    """
    backends = [Backend(deployed.url, deployed.key, f"openfeature-{n}") for n in range(8)]
    for backend in backends:
        backend.declare()
        backend.declare("a/b c")
        backend.declare("stopped")
        backend.client.configure("stopped", {"state": "stopped"}, namespace=backend.namespace)
    last = backends[-1]

    def is_known() -> bool:
        answer = requests.post(
            f"{last.url}/ofrep/v1/evaluate/flags",
            json={"context": {"targetingKey": "user 7"}},
            headers={"x-gimel-namespace": last.namespace},
            timeout=60,
        )
        return bool(answer.json()["flags"])

    wait(is_known, 180)
    return iter(backends)


@pytest.fixture(params=["local", "deployed_flags"])
def flagged(request: pytest.FixtureRequest) -> Backend:
    """A backend with the flag of docs/openfeature.md: `gimel local`, and the deployed zip."""
    found = request.getfixturevalue(request.param)
    if isinstance(found, LocalBackend):
        backend = Backend(found.url, found.key)
        backend.declare()
        return backend
    return next(found)


@pytest.fixture
def own_settings(aws_endpoint: str, redis_url: str) -> Config:
    """The settings of a stack of the test's own."""
    return stack_config(redis_url, stack=new_stack())


@pytest.fixture
def own_names(own_settings: Config) -> Names:
    return Names(own_settings.stack)


@pytest.fixture
def first_deploy(own_settings: Config) -> Deployed:
    """That stack, deployed."""
    return deploy.deploy(own_settings, silent)
