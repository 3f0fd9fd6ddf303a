"""Keys of a deployed stack: what each scope opens, how they are made, and how they end."""

import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests

from gimel import deploy
from gimel.stack.aws import Aws, AwsError
from gimel.stack.deployed import connect, find, find_keys
from gimel.stack.keys import Key, entries
from gimel.stack.observe.keys import observe_keys
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import DeployError, Names
from tests.support.aws_account import REGION
from tests.support.commands import run
from tests.support.deployments import Stack, silent

pytestmark = pytest.mark.slow

_numbers = itertools.count(1)


@pytest.fixture
def stack(aws_endpoint: str, redis_url: str, tmp_path: Path) -> Stack:
    made = Stack(tmp_path, redis_url)
    deploy.deploy(made.config, silent)
    return made


def test_a_shared_link_opens_the_dashboard_and_changes_nothing(stack: Stack) -> None:
    link = stack.run("dashboard", "--share").strip()
    assert stack.run("dashboard", "--share", "--namespace", "shop").strip() == link.replace(
        "namespace=alephbet", "namespace=shop"
    )
    address, _, fragment = link.partition("#")
    assert address == f"{find(stack.config).url}/dashboard"
    key = parse_qs(fragment)["key"][0]
    assert Bearer(stack, key).opens == ["event", "batch", "read"]
    (shared,) = [each for each in find_keys(stack.config, Aws(REGION)) if each.name == "share"]
    assert (shared.scope, shared.value) == ("read", key)
    stack.run("key", "revoke", shared.id)
    assert Bearer(stack, key).opens == []
    assert stack.run("dashboard", "--share").strip() != link


class Bearer:
    """Requests to a stack with a key."""

    def __init__(self, stack: Stack, key: str | None) -> None:
        self.url = find(stack.config).url
        self.headers = {"x-api-key": key} if key else {}

    def ask(self, method: str, path: str, **more: object) -> int:
        url = f"{self.url}{path}"
        answer = requests.request(method, url, headers=self.headers, timeout=60, **more)  # type: ignore[arg-type]
        return answer.status_code

    @property
    def opens(self) -> list[str]:
        """The requests that are answered with anything but 403."""
        # A warm function would not register an experiment again that another one has deleted.
        asked = {"namespace": "keys", "experiment": f"e{next(_numbers)}"}
        event = {**asked, "variant": "a", "event": "participate", "uuid": "1"}
        statuses = {
            "event": self.ask("GET", "/e", params=event),
            "batch": self.ask("POST", "/e", json=[event]),
            "read": self.ask("GET", "/experiments"),
            "settings": self.ask("POST", "/settings", params=asked, json={"state": "running"}),
            "delete": self.ask("DELETE", "/delete", params={**asked, "forget": 1}),
        }
        assert set(statuses.values()) <= {200, 403}
        return [name for name, status in statuses.items() if status == 200]


EVENTS, EVERYTHING = ["event", "batch"], ["event", "batch", "read", "settings", "delete"]
OPENS = {"owner": EVERYTHING, "read": [*EVENTS, "read"], "send": EVENTS}


def create(stack: Stack, *arguments: str) -> str:
    """Return all that `gimel key create` writes to its standard output, without the line's end."""
    printed = stack.run("key", "create", *arguments)
    assert printed.endswith("\n")
    return printed.removesuffix("\n")


def shown(stack: Stack, scope: str) -> dict[str, str]:
    """Return the keys of a scope by id, as `gimel key show` prints them."""
    printed = stack.run("key", "show", "--scope", scope)
    return dict(line.split(" ", 1) for line in printed.splitlines())


def id_of(stack: Stack, key: str) -> str:
    return next(
        each.id for each in find_keys(stack.config, connect(stack.config)) if each.value == key
    )


def unchanged(stack: Stack) -> bool:
    return bool(json.loads(stack.run("deploy", "--dry-run", "--json"))["changes"] == [])


def test_each_scope_opens_its_routes_and_no_other(stack: Stack) -> None:
    main = find(stack.config).key
    keys = {scope: create(stack, "--scope", scope) for scope in OPENS}
    second = create(stack, "--scope", "send", "--name", "the shop")
    assert {scope: Bearer(stack, key).opens for scope, key in keys.items()} == OPENS
    assert Bearer(stack, second).opens == EVENTS
    assert Bearer(stack, main).opens == EVERYTHING
    assert Bearer(stack, "wrong").opens == []
    assert Bearer(stack, None).opens == EVENTS
    assert unchanged(stack)
    # A redeploy and a rotation keep them.
    stack.save(memory=512)
    stack.run("deploy", "--no-preflight")
    stack.run("key", "rotate")
    assert {scope: Bearer(stack, key).opens for scope, key in keys.items()} == OPENS
    assert Bearer(stack, main).opens == []
    assert list(shown(stack, "owner").values()) == [find(stack.config).key, keys["owner"]]
    assert set(shown(stack, "send").values()) == {keys["send"], second}
    # One is revoked, and the other keeps working.
    stack.run("key", "revoke", id_of(stack, second))
    assert Bearer(stack, second).opens == []
    assert Bearer(stack, keys["send"]).opens == EVENTS
    assert list(shown(stack, "send").values()) == [keys["send"]]
    assert unchanged(stack)
    stack.run("destroy", "--yes")
    assert stack.is_gone


def test_what_the_commands_print(stack: Stack) -> None:
    main = find(stack.config).key
    assert stack.run("key", "show") == f"{main}\n"
    assert "`gimel key create --scope read` creates one" in stack.run(
        *("key", "show", "--scope", "read"), code=1
    )
    key = create(stack, "--scope", "read", "--name", "Grafana: é_1.2 / a+b=c@d-e")
    owner = create(stack, "--scope", "owner")
    assert len(key) == len(owner) == len(main) == 43
    id = id_of(stack, key)
    assert stack.run("key", "show") == f"{main}\n"
    assert stack.run("key", "show", "--scope", "read") == f"{id} {key}\n"
    assert shown(stack, "owner") == {"main": main, id_of(stack, owner): owner}
    stack.printed = ""
    assert stack.run("key", "list").splitlines() == [
        "main      owner",
        f"{id_of(stack, owner)}  owner",
        f"{id}  read   Grafana: é_1.2 / a+b=c@d-e",
    ]
    stack.run("key", "revoke", id)
    stack.run("status")
    assert not [each for each in (main, key, owner) if each in stack.printed]
    kind = connect(stack.config).call(
        *("ssm", "get_parameter", "Parameter.Type"),
        Name=f"{Names(stack.content['stack']).keys}/owner/{id_of(stack, owner)}",
    )
    assert kind == "SecureString"


@pytest.mark.parametrize("name", ["a\x1b[2J", "a,b", "x" * 65, "a\nb"])
def test_a_name_that_aws_would_refuse(name: str) -> None:
    done = run("key", "create", "--scope", "read", "--name", name)
    assert done.exit_code == 2
    assert "must be at most 64 letters" in done.stderr


def test_no_key_without_a_stack(aws_endpoint: str, redis_url: str, tmp_path: Path) -> None:
    nothing = Stack(tmp_path, redis_url)
    for command in (
        ["show"],
        ["show", "--scope", "read"],
        ["list"],
        ["create", "--scope", "read"],
        ["revoke", "0a1b2c3d"],
    ):
        assert "there is no stack" in nothing.run("key", *command, code=1)
    assert nothing.is_gone


def test_what_cannot_be_revoked(stack: Stack) -> None:
    key = create(stack, "--scope", "owner")
    assert "`gimel key rotate` replaces it" in stack.run("key", "revoke", "main", code=1)
    for id in ("0a1b2c3d", "", "../read-key", find(stack.config).key):
        assert "there is no key" in stack.run("key", "revoke", id, code=1)
    assert Bearer(stack, key).opens == EVERYTHING
    assert unchanged(stack)


class StopError(Exception):
    """The machine went away."""


def stopping(step: str) -> Callable[[str], None]:
    """Take a command's progress, and end the command at the first line that begins so."""

    def hear(line: str) -> None:
        if line.startswith(step):
            raise StopError

    return hear


@pytest.mark.parametrize("step", ["1 of 2", "2 of 2", "update alias", "sending a probe"])
def test_a_creation_that_stops_half_way(stack: Stack, step: str) -> None:
    aws, names = connect(stack.config), Names(stack.content["stack"])
    with pytest.raises(StopError):
        deploy.create_key(stack.config, aws, "read", "", stopping(step))
    keys = observe_keys(aws, names)
    assert len(keys) == (step != "1 of 2")
    if keys and step != "sending a probe":
        stack.run("deploy", "--dry-run", code=2)
    deploy.deploy(stack.config, silent, aws)
    assert observe_keys(aws, names) == keys
    assert accepted(aws, names) == {main_entry(stack), *(key.entry for key in keys)}
    for key in keys:
        assert Bearer(stack, key.value).opens == OPENS["read"]


@pytest.mark.parametrize("step", ["1 of 2", "2 of 2", "update alias", "sending a probe"])
def test_a_revocation_that_stops_half_way(stack: Stack, step: str) -> None:
    aws, names = connect(stack.config), Names(stack.content["stack"])
    key = create(stack, "--scope", "read")
    id = id_of(stack, key)
    with pytest.raises(StopError):
        deploy.revoke_key(stack.config, aws, id, stopping(step))
    is_kept = step == "1 of 2"
    assert len(observe_keys(aws, names)) == is_kept
    if not is_kept:
        assert "`gimel deploy` completes it" in stack.run("key", "revoke", id, code=1)
    deploy.deploy(stack.config, silent, aws)
    assert Bearer(stack, key).opens == (OPENS["read"] if is_kept else [])
    assert unchanged(stack)


def main_entry(stack: Stack) -> str:
    return f"owner:{hashlib.sha256(find(stack.config).key.encode()).hexdigest()}"


def accepted(aws: Aws, names: Names) -> frozenset[str]:
    """Return what all live functions accept."""
    found = set()
    for function in observe(aws, names).functions.values():
        assert function.live
        variables = function.versions[function.live]["Environment"]["Variables"]
        found.add(entries(variables["GIMEL_KEY_SHA256"]))
    (same,) = found
    return same


def test_a_rollback_revives_no_revoked_key(stack: Stack) -> None:
    key = create(stack, "--scope", "read")
    id = id_of(stack, key)
    # The first version knows the main key only: it accepts nothing that is not valid today.
    said = stack.run("rollback")
    assert f"until the next deploy, newer keys get 403: {id}" in said
    assert Bearer(stack, key).opens == []
    stack.run("deploy", "--no-preflight")
    assert Bearer(stack, key).opens == OPENS["read"]
    stack.save(memory=512)
    stack.run("deploy", "--no-preflight")
    assert "newer keys" not in stack.run("rollback")
    stack.run("key", "revoke", id)
    for version in ("2", "3"):
        assert "accepts other keys than today's" in stack.run("rollback", "--to", version, code=1)
    assert "Version 1 is live" in stack.run("rollback", "--to", "1")
    stack.run("deploy", "--no-preflight")
    stack.run("key", "rotate")
    assert "accepts other keys than today's" in stack.run("rollback", "--to", "4", code=1)
    assert Bearer(stack, key).opens == []


def test_a_key_that_the_functions_have_no_room_for(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimel.stack.wanted._MAX_ENVIRONMENT", 400)
    aws, names = connect(stack.config), Names(stack.content["stack"])
    with pytest.raises(DeployError, match="Lambda allows 400"):
        deploy.create_key(stack.config, aws, "read", "", silent)
    assert observe_keys(aws, names) == ()


def test_keys_of_nobody_open_nothing(stack: Stack) -> None:
    """A parameter without the stack's tag is left alone: by a deploy, and by a destroy."""
    aws, names = connect(stack.config), Names(stack.content["stack"])
    foreign = Key("0a1b2c3d", "owner", "known to others")
    parameter = {"Name": f"{names.keys}/owner/{foreign.id}", "Value": foreign.value}
    aws.call("ssm", "put_parameter", **parameter, Type="SecureString")
    assert unchanged(stack)
    stack.save(memory=512)
    stack.run("deploy", "--no-preflight")
    assert Bearer(stack, foreign.value).opens == []
    assert foreign.id not in stack.run("key", "list")
    stack.run("destroy", "--yes")
    assert aws.call("ssm", "get_parameter", Name=parameter["Name"])
    aws.call("ssm", "delete_parameter", Name=parameter["Name"])


def test_an_id_that_is_taken_is_not_overwritten(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimel.stack.keys.secrets.token_hex", lambda length: "0a1b2c3d")
    first = deploy.create_key(stack.config, connect(stack.config), "send", "", silent)
    with pytest.raises(AwsError, match="ParameterAlreadyExists"):
        deploy.create_key(stack.config, connect(stack.config), "send", "", silent)
    assert list(shown(stack, "send").values()) == [first]
