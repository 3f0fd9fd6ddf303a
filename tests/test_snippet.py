"""What snippets have in common: strings in scripts, and the attribute of an experiment."""

import json

import pytest

from gimel.snippet import attribute_name, script_string
from tests.support.names import HOSTILE


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_in_a_script_is_plain_ascii_without_markup(name: str) -> None:
    quoted = script_string(name)
    assert quoted.isascii()
    assert not set("<>&") & set(quoted)
    assert json.loads(quoted) == name


@pytest.mark.parametrize(
    ("experiment", "attribute"),
    [
        ("Button color", "data-gimel-button-color"),
        ("checkout / fewer steps", "data-gimel-checkout-fewer-steps"),
        ("צבע הכפתור", "data-gimel-צבע-הכפתור"),
        ("👩‍👧 & co", "data-gimel--co"),
        ("Ünï·Ö×÷", "data-gimel-ünï-ö-"),
    ],
)
def test_the_attribute_has_the_experiments_letters_and_digits(
    experiment: str, attribute: str
) -> None:
    assert attribute_name(experiment) == attribute
