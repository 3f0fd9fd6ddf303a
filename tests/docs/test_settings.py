"""docs/settings.md: every key of config.json, with its default and its values."""

import json
import re
from typing import Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le
from pydantic import SecretStr

from gimel import gimel
from gimel.config.settings import Config
from tests.support.config_keys import keys_of, parts
from tests.support.pages import DOCS, names, rows, section

PAGE = (DOCS / "settings.md").read_text("utf-8")
# Keys without a default in the code, whose absence means something
WORDS = ("none", "AWS's own", "Lambda's own", "this Python's")


KEYS = keys_of(Config)
ROWS = {names(key)[0]: rest for key, *rest in rows(PAGE)}


def test_the_tables_name_every_key() -> None:
    # What makes the section, not a key of it
    assert ROWS.keys() == KEYS.keys() | {"redis.managed"}


def test_redis_alone_is_needed() -> None:
    needed = [name for name, field in Config.model_fields.items() if field.is_required()]
    assert needed == ["redis"]


@pytest.mark.parametrize("key", KEYS)
def test_a_default_is_that_of_the_code(key: str) -> None:
    default = KEYS[key].get_default(call_default_factory=True)
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    written = ROWS[key][0].strip("`")
    if KEYS[key].is_required() or default in (None, ""):
        assert written in WORDS
    else:
        assert written == (default if isinstance(default, str) else json.dumps(default))


@pytest.mark.parametrize("key", KEYS)
def test_the_values_are_those_of_the_code(key: str) -> None:
    field, written = KEYS[key], ROWS[key][1]
    choices = [
        str(choice)
        for part in parts(field.annotation)
        if get_origin(part) is Literal
        for choice in get_args(part)
    ]
    bounds = {type(each): each for each in field.metadata}
    if choices:
        assert re.findall(r"[\w.-]+", written) == choices
    elif Le in bounds:
        low = bounds[Ge].ge if Ge in bounds else None
        assert low is not None or bounds[Gt].gt == 0
        words = "up to" if low is None else f"{low} to"
        assert written == f"{words} {bounds[Le].le}"
    else:
        assert written == ""


# What only a deployed stack sets
_OF_STACKS = {"GIMEL_REDIS_IAM", "GIMEL_EVENT_ROUTES"}


def test_the_variables_of_a_server_are_those_of_the_code() -> None:
    table = rows(section("self-hosting.md", "Settings"))
    found = {name for key, *_ in table for name in names(key)}
    assert found == set(re.findall(r"\bGIMEL_\w+", gimel.__doc__ or "")) - _OF_STACKS
