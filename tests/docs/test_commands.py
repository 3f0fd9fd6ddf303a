"""docs/commands.md and its two pages of options: every command, option and exit code."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gimel.cli import main
from gimel.terminal.backend_options import namespace_option, url_option
from tests.support.command_line import COMMANDS, exit_codes
from tests.support.commands import run, said
from tests.support.pages import DOCS, ROOT, blocks, section
from tests.support.pages import PAGES as ALL_PAGES
from tests.support.written_tables import compare, table, with_tables

PAGES = ("commands-experiments.md", "commands-operating.md")
_MANY = 4


def shared_options() -> set[str]:
    """Return the options that the page explains once for all commands."""
    command = click.command()(namespace_option(url_option(lambda: None)))
    return {each.opts[0] for each in command.params}


def usage(name: str, command: click.Command) -> str:
    arguments = [
        each.make_metavar(click.Context(command))
        for each in command.params
        if isinstance(each, click.Argument)
    ]
    return " ".join([name, *arguments])


def option_row(option: click.Option, command: click.Command) -> tuple[str, str]:
    """Return an option as it is typed, and what it does."""
    words, metavar = (option.help or "").rstrip("."), ""
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    if len(choices) > _MANY:
        metavar = " NAME"
        words += f": {', '.join(f'`{each}`' for each in choices)}"
    elif choices:
        metavar = " " + "\\|".join(choices)
    elif not option.is_flag:
        metavar = " " + option.make_metavar(click.Context(command)).replace(" RANGE", "")
    spelled = ", ".join(f"`{each}{metavar}`" for each in (*option.opts, *option.secondary_opts))
    if option.required:
        words += ". Required"
    if option.show_default and not option.is_flag and option.default is not None:
        words += f". Default: {option.default}"
    return spelled, words


def options_table(name: str, command: click.Command) -> str:
    """Return the table of a command: its usage, and a row for each option; "" without options."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    own = [each for each in options if each.opts[0] not in shared_options()]
    shared = [each.opts[0] for each in options if each.opts[0] in shared_options()]
    lines = [option_row(each, command) for each in own]
    if shared:
        link = "commands.md#which-backend"
        lines.append((", ".join(f"`{each}`" for each in shared), f"[Which backend]({link})"))
    return table((f"`{usage(name, command)}`", ""), lines) if lines else ""


def groups() -> Iterator[tuple[str, str]]:
    """Yield the heading of each group of commands, and the table that lists them."""
    for page in PAGES:
        text = (DOCS / page).read_text("utf-8")
        for title in re.findall(r"^## (.*)$", text, re.M):
            found = re.findall(r"^### (gimel .*)$", section(page, title), re.M)
            rows = (
                (f"[`{name}`]({page}#{name.replace(' ', '-')})", sentence(COMMANDS[name]))
                for name in found
                if not isinstance(COMMANDS[name], click.Group)
            )
            yield title, table(("command", "what it does"), rows)


def sentence(command: click.Command) -> str:
    """Return the first sentence of a command's help."""
    words = " ".join((command.help or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", words)[0].rstrip(".")


def headings(page: str) -> list[str]:
    return re.findall(r"^### (gimel .*)$", (DOCS / page).read_text("utf-8"), re.M)


def test_every_command_has_one_heading() -> None:
    assert sorted(each for page in PAGES for each in headings(page)) == sorted(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_are_those_of_the_code(page: str) -> None:
    tables = {name: options_table(name, COMMANDS[name]) for name in headings(page)}
    compare(DOCS / page, with_tables((DOCS / page).read_text("utf-8"), tables))


def test_the_list_of_all_commands_is_that_of_the_code() -> None:
    page = DOCS / "commands.md"
    compare(page, with_tables(page.read_text("utf-8"), dict(groups())))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_explained(page: str) -> None:
    for name in headings(page):
        words = re.sub(r"^\|.*\n", "", section(page, name), flags=re.M).strip()
        assert words.endswith((".", ":", "```")), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained_in_its_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_options_of_all_commands_are_in_the_text() -> None:
    text = section("commands.md", "Options of all commands")
    for parameter in main.params:
        if parameter.name != "help":
            assert parameter.opts[0] in text


def test_the_exit_codes_are_those_of_the_code() -> None:
    table = section("commands.md", "Exit codes")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)} == exit_codes()


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_a_page_names_no_other_exit_code(page: Path) -> None:
    named = re.findall(r"\bexit(?:s with)?(?: code)? `?(\d+)", page.read_text("utf-8"), re.I)
    assert {int(code) for code in named} <= exit_codes()


def test_the_variables_of_commands_are_those_that_the_code_reads() -> None:
    named = set(re.findall(r"`(GIMEL_\w+)`", section("commands.md", "Environment variables")))
    sources = (path.read_text("utf-8") for path in ROOT.glob("gimel/*/*.py"))
    read = {name for text in sources for name in re.findall(r'environ\.get\("(GIMEL_\w+)"\)', text)}
    assert named == read - set(re.findall(r"GIMEL_\w+", (ROOT / "gimel/gimel.py").read_text()))


def examples(page: str) -> list[list[str]]:
    """Return the commands in a page's blocks of code, in their order."""
    code = "".join(block.code for block in blocks(DOCS / page))
    return [shlex.split(line) for line in code.replace("\\\n", " ").splitlines()]


def test_the_examples_run(url: str) -> None:
    for program, name, *arguments in examples("commands-experiments.md"):
        assert program == "gimel"
        takes_url = any(each.name == "url" for each in COMMANDS[f"gimel {name}"].params)
        said(run(name, *arguments, *(["--url", url] if takes_url else [])))
