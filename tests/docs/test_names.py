"""Names that pages mention in sentences exist: routes, settings, environment variables."""

import re
from pathlib import Path

import pytest

from gimel import gimel
from gimel.config.settings import Config
from tests.support.config_keys import keys_of
from tests.support.pages import PAGES, ROOT, name_of

KEYS = keys_of(Config)
SECTIONS = {key.partition(".")[0] for key in KEYS if "." in key}
ROUTES = {route.replace("{proxy+}", "{key}") for route in gimel.ROUTES}
# Of the tests, and of an example's own server
OTHER_VARIABLES = {"GIMEL_EXAMPLES", "GIMEL_SEND_KEY", "GIMEL_URL", "GIMEL_WRITE_DOCS"}

READ = {
    name
    for path in ROOT.glob("gimel/**/*.py")
    for name in re.findall(r"\bGIMEL_[A-Z0-9_]+\b", path.read_text("utf-8"))
}

with_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def spans(page: Path) -> list[str]:
    """Return the text of each span of code."""
    return re.findall(r"`([^`\n]+)`", page.read_text("utf-8"))


@with_page
def test_every_route_exists(page: Path) -> None:
    for span in spans(page):
        if found := re.match(r"((?:GET|POST|PUT|DELETE) /[\w/.{}]*)(?=[?\[]|$)", span):
            assert found[1] in ROUTES, span


@with_page
def test_every_setting_exists(page: Path) -> None:
    for span in spans(page):
        section, _, rest = span.partition(".")
        if section in SECTIONS and re.fullmatch(r"[a-z_.]+", rest):
            assert any(key == span or key.startswith(f"{span}.") for key in KEYS), span


@with_page
def test_every_environment_variable_exists(page: Path) -> None:
    named = re.findall(r"\bGIMEL_[A-Z0-9_]+\b", page.read_text("utf-8"))
    assert set(named) <= READ | OTHER_VARIABLES
