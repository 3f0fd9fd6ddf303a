"""docs/coming-from-1.x.md: its commands in order, over what gimel 1.5.0 and lamed 0.4.3 left."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from gimel.cli import main
from gimel.client import BackendClient
from gimel.config.file import load
from gimel.stack import trace
from gimel.stack.aws import Aws
from gimel.stack.deployed import find
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION, RecordingAws, emulator, environment
from tests.support.documented_pages import assert_shown
from tests.support.environments import lamed, packages
from tests.support.old_data.make import HERE, VISITORS, events
from tests.support.old_data.make import load as load_data
from tests.support.old_stack import KEYS_LISTED, OldApi, as_aws_lists_keys, deploy_old
from tests.support.pages import DOCS, blocks
from tests.support.servers import port_of

pytestmark = pytest.mark.slow

PAGE = DOCS / "coming-from-1.x.md"
BLOCKS = blocks(PAGE)
COMMANDS = [
    line
    for block in BLOCKS
    if block.language == "sh"
    for line in block.code.splitlines()
    if line.startswith("gimel ")
]
SENT = 6


@pytest.fixture
def account(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RecordingAws]:
    """A new account, and the commands of this process on it."""
    watch = trace.watch

    def watch_and_list(client: object) -> None:
        watch(client)
        client.meta.events.register(KEYS_LISTED, as_aws_lists_keys)  # type: ignore[attr-defined]

    monkeypatch.setattr(trace, "watch", watch_and_list)
    with emulator(tmp_path_factory.mktemp("account")) as endpoint:
        for name, value in (environment(endpoint) | {"AWS_DEFAULT_REGION": REGION}).items():
            monkeypatch.setenv(name, value)
        yield RecordingAws(REGION)


def run(line: str) -> str:
    """Return the output of a command of the page."""
    done = CliRunner().invoke(main, shlex.split(line)[1:], input="y\n", env={"COLUMNS": "80"})
    assert done.exit_code == (2 if "deploy --dry-run" in line else 0), done.output
    return done.output


def counts() -> dict[str, int]:
    backend = find(load().config)
    found = BackendClient(backend.url, backend.key).experiment("button color")
    return {each["label"]: each["trials"] for each in found["variants"]}


def follow(check: dict[str, Callable[[str], None]]) -> None:
    """Run the commands in order. After a command, its check gets what the command printed."""
    checks = dict(check)
    for line in COMMANDS:
        printed = run(line)
        checks.pop(line, lambda printed: None)(printed)
    assert not checks, "the page no longer has these commands"


def test_from_gimel_1(
    account: RecordingAws, store: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    old = deploy_old(account, port_of(store), tmp_path)
    for event in events(range(SENT)):
        assert old.get("track", **event) == (200, None)
    before = {"a": SENT // 2, "b": SENT // 2}

    def compare(printed: str) -> None:
        assert counts() == before
        assert f"{SENT} visitors" in printed
        # Both addresses count, and each visitor once.
        new = {"event": "participate", "experiment": "button color", "variant": "a"}
        assert old.get("track", **new, uuid="new") == (200, None)
        backend = find(load().config)
        for uuid in ("new", "newer"):
            BackendClient(backend.url).track("button color", "a", "participate", uuid)
        before["a"] += 2
        assert counts() == before

    def shown(printed: str) -> None:
        assert_shown(next(each.code for each in BLOCKS if each.language == "text"), printed)

    def unmoved(printed: str) -> None:
        assert "gimel 1.x" in printed
        assert counts() == before

    follow(
        {
            "gimel configure --no-edit": shown,
            "gimel export --output before-gimel-2.jsonl.gz": lambda printed: None,
            "gimel results": compare,
            "gimel migrate --dry-run": unmoved,
            "gimel migrate": unmoved,
            "gimel destroy --legacy": lambda printed: gone(account, old),
        }
    )
    assert (tmp_path / "before-gimel-2.jsonl.gz").exists()
    assert observe(account, Names("gimel")).legacy is None
    assert counts() == before


def gone(account: Aws, old: OldApi) -> None:
    assert old.id not in account.call("apigateway", "get_rest_apis", "items[].id")


def test_from_lamed(
    account: RecordingAws, store: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load_data(store, HERE / "lamed-0.4.3.json")
    config: dict[str, object] = {"redis": {"host": "127.0.0.1", "port": port_of(store)}}
    Path("config.json").write_text(json.dumps(config | {"uuid_expiry_seconds": 86400}))
    done = CliRunner().invoke(main, ["configure", "--no-edit"])
    assert done.exit_code == 1
    assert "uuid_expiry_seconds: unknown key" in done.output
    Path("config.json").write_text(json.dumps(config))
    each = {"a": VISITORS // 2, "b": VISITORS // 2}

    def compare(printed: str) -> None:
        assert f"{VISITORS} visitors" in printed
        assert counts() == each

    def nothing(printed: str) -> None:
        assert "nothing" in printed

    follow({"gimel results": compare, "gimel destroy --legacy": nothing})
    assert counts() == each


def test_what_lamed_deployed_has_the_names_of_the_page() -> None:
    """The page lists what its owner deletes by hand."""
    text = PAGE.read_text("utf-8")
    deploy = (packages(lamed()) / "lamed" / "deploy.py").read_text("utf-8")
    for name in ("lamed-track", "lamed-all-experiments", "lamed-delete-experiment"):
        assert f"`{name}`" in text
        assert f'"FunctionName": "{name}"' in deploy
    for call in ("create_role', RoleName='lamed'", "create_rest_api', name='lamed'"):
        assert call in deploy
    assert "create_api_key', name='lamed'" in deploy


def test_the_page_has_eight_steps() -> None:
    steps = re.findall(r"^## (\d)\. ", PAGE.read_text("utf-8"), re.M)
    assert steps == [*"12345678"]
