"""The documents say what the code does: commands, options, configuration, links, version."""

import re
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

import gimel
from gimel.cli import main
from gimel.config.redis import RedisSettings
from gimel.config.settings import AwsSettings, Config, LimitSettings
from gimel.gimel import ROUTES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def section(title: str) -> str:
    """The part of the README under a heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert found, f"README has no section {title}"
    return found[1]


def first_cells(title: str) -> list[str]:
    """The first cell of each row of a section's table, its heading apart."""
    rows = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [row.split(" | ")[0].removeprefix("| ") for row in rows]


def documented_commands() -> dict[str, set[str]]:
    """Each command of the table with its options."""
    found: dict[str, set[str]] = {}
    for cell in first_cells("Commands"):
        named = re.match(r"`gimel ([a-z-]+)", cell)
        assert named, cell
        found.setdefault(named[1], set()).update(re.findall(r"--[a-z-]+", cell))
    return found


def real_commands() -> dict[str, set[str]]:
    return {
        name: {
            option
            for parameter in command.params
            if isinstance(parameter, click.Option)
            # Of a pair, the README names the one that is not the default.
            for option in parameter.secondary_opts or parameter.opts
            if option.startswith("--")
        }
        for name, command in main.commands.items()
    }


def test_the_table_names_every_command() -> None:
    assert set(documented_commands()) == set(real_commands())


@pytest.mark.parametrize("name", sorted(main.commands))
def test_the_table_names_every_option_of(name: str) -> None:
    assert documented_commands()[name] == real_commands()[name]


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_option_is_explained_in_its_help(name: str) -> None:
    command = main.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.show_default, parameter.name


def test_the_options_of_all_commands_are_in_the_text() -> None:
    text = section("Commands")
    for parameter in main.params:
        if parameter.name not in ("version", "help"):
            assert parameter.opts[0] in text


def fields(model: type[BaseModel], start: str = "") -> set[str]:
    sections = {"redis": RedisSettings, "aws": AwsSettings, "limits": LimitSettings}
    found: set[str] = set()
    for name in model.model_fields:
        if not start and name in sections:
            found |= fields(sections[name], f"{name}.")
        else:
            found.add(start + name)
    return found


def test_the_table_of_the_configuration_names_every_key() -> None:
    named: set[str] = set()
    for cell in first_cells("Configuration"):
        keys = re.findall(r"`([a-z_.]+)`", cell)
        opening = keys[0].partition(".")[0]
        named |= {f"{opening}{key}" if key.startswith(".") else key for key in keys}
    assert named == fields(Config)


@pytest.mark.parametrize("name", ["shards", "stack", "memory", "log_retention_days"])
def test_the_defaults_are_those_of_the_code(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| `?([^`|]+?)`? \|", section("Configuration"), re.M)
    assert row
    assert row[1] == str(Config.model_fields[name].default)


def test_the_table_of_the_wire_names_every_route() -> None:
    named = {
        match
        for cell in first_cells("The wire")
        for match in re.findall(r"`([A-Z]+ /[a-z]+)", cell)
    }
    assert named == {route for route in ROUTES if not route.endswith("/track")}
    assert "/track" in section("The wire")


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = document.read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), link


def test_the_changelog_begins_with_this_version() -> None:
    heading = re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert heading
    assert heading[1] == gimel.__version__
