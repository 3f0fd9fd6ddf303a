"""docs/wire.md: routes, parameters, fields, reasons, statuses and limits are those of the code."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import redis

from gimel import gimel, rsgi, wsgi
from gimel.backend import wire
from gimel.backend.access import Scope
from gimel.backend.counting import admission
from gimel.backend.experiment.changes import _SETTINGS
from gimel.backend.limits import DEFAULT_LIMITS
from tests.support.answers import DOCUMENT, SCHEMAS
from tests.support.documented_examples import ADDRESS
from tests.support.handler_requests import KEY_SHA256, point_handlers_at, request
from tests.support.pages import DOCS, blocks, names, rows, section
from tests.support.servers import url_of

PAGE = "wire.md"
TEXT = (DOCS / PAGE).read_text("utf-8")
# A server of one's own answers these, and docs/openapi.json describes API Gateway too.
OF_SERVERS = {"408", "411"}


class Row(NamedTuple):
    """A route in the table: the parameters of its query as they stand there, and who opens it."""

    parameters: str
    scopes: list[str]


def documented_routes() -> dict[str, Row]:
    found = {}
    for cell, scopes, _ in rows(section(PAGE, "Routes").partition("Parameters whose")[0]):
        route, _, parameters = cell.strip("`").replace("[?", "?[").partition("?")
        found[route] = Row(parameters, names(scopes))
    return found


def parameters(route: str) -> list[dict[str, Any]]:
    method, path = route.split(" ")
    described = DOCUMENT["paths"][path][method.lower()].get("parameters", [])
    return [each for each in described if each["in"] == "query"]


def test_the_table_names_every_route() -> None:
    written = {route.replace("{proxy+}", "{key}") for route in gimel.ROUTES}
    assert documented_routes().keys() == {each for each in written if not each.endswith("/track")}
    assert "`/track`" in section(PAGE, "Routes")


@pytest.mark.parametrize("route", sorted(documented_routes()))
def test_the_table_names_every_parameter(route: str) -> None:
    written = documented_routes()[route].parameters
    described = parameters(route)
    assert set(re.findall(r"\w+", written)) == {each["name"] for each in described}
    required = {each["name"] for each in described if each.get("required")}
    assert set(re.findall(r"\w+", re.sub(r"\[.*?\]", "", written))) == required


def test_a_route_needs_the_key_that_the_table_says() -> None:
    for route, row in documented_routes().items():
        method, path = route.split(" ")
        assert bool(row.scopes) == ("security" in DOCUMENT["paths"][path][method.lower()]), route


def test_a_wrong_key_is_refused_on_every_route_but_those_that_the_page_names(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_handlers_at(monkeypatch, url_of(store), KEY_SHA256)
    sentence = re.search(r"A wrong key gets 403 on every route but (.*?),", section(PAGE, "Keys"))
    assert sentence
    wrong = {"x-api-key": "wrong"}
    answered = [
        route
        for route in gimel.ROUTES
        if gimel.handle(request(*route.split(" "), headers=wrong))["statusCode"] != 403
    ]
    assert answered == names(sentence[1])


def test_the_scopes_open_the_routes_that_the_table_says() -> None:
    scopes = {names(scope)[0]: names(opened) for scope, opened in rows(section(PAGE, "Keys"))}
    assert list(scopes) == list(get_args(Scope))
    readable = [route for route, row in documented_routes().items() if "read" in row.scopes]
    assert scopes["read"] == readable


def test_the_fields_of_an_event_are_those_of_the_openapi_document() -> None:
    found = {names(row[0])[0]: row[1] for row in rows(section(PAGE, "Events")) if len(row) == 3}
    event = SCHEMAS["Event"]
    assert found.keys() == event["properties"].keys()
    assert {field for field, needed in found.items() if needed == "yes"} == set(event["required"])


def test_every_reason_of_an_ignored_event_is_explained() -> None:
    found = {names(row[0])[0] for row in rows(section(PAGE, "Events")) if len(row) == 2}
    reasons = {each for each in vars(admission).values() if isinstance(each, admission.Ignored)}
    assert found == reasons


def test_the_settings_are_those_of_the_code() -> None:
    found = [name for row in rows(section(PAGE, "Settings")) for name in names(row[0])]
    assert sorted(found) == sorted(_SETTINGS) == sorted(SCHEMAS["Settings"]["properties"])


def test_every_status_is_explained() -> None:
    written = {
        status
        for line in section(PAGE, "Errors").splitlines()
        if (cell := re.match(r"\| ([\d, ]+) \|", line))
        for status in re.findall(r"\d+", cell[1])
    }
    described = {
        status
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    }
    # No route is there to answer with 405.
    assert written == described - {"200", "304"} | {"405"} | OF_SERVERS
    sources = [Path(module.__file__).read_text("utf-8") for module in (wsgi, rsgi)]
    assert set(re.findall(r"HTTPError\((4\d\d)", "".join(sources))) - described == OF_SERVERS


def test_the_limits_are_those_of_the_code() -> None:
    limits = " ".join(section(PAGE, "Names and limits").split())
    default = DEFAULT_LIMITS
    assert f"1 to {wire.MAX_NAME} characters" in limits
    assert (
        f"{default.namespaces} namespaces, {default.experiments} experiments in a namespace, and "
        f"{default.variants} variants and {default.goals} goals"
    ) in limits
    assert f"(1 to {wire.MAX_LIMIT})" in TEXT
    assert TEXT.count(str(wire.MAX_BATCH)) == 2
    assert wire.MAX_BODY == 1 << 20


def test_the_example_runs(url: str, tmp_path: Path) -> None:
    shell, answer = blocks(DOCS / PAGE)
    code = shell.code.replace(ADDRESS, url)
    done = subprocess.run(
        ["sh", "-euc", code],
        cwd=tmp_path,
        env=os.environ | {"GIMEL_KEY": "any"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == answer.code.strip()
    found = json.loads((tmp_path / "experiment.json").read_text("utf-8"))
    assert [each["trials"] for each in found["variants"]] == [1, 0]
