"""The documents say what the code does: commands, options, configuration, links, paths, version."""

import ast
import re
from collections.abc import Iterator
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


def parameters(command: click.Command) -> Iterator[click.Parameter]:
    """The parameters of a command, and of the commands below it."""
    yield from command.params
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from parameters(below)


def real_commands() -> dict[str, set[str]]:
    return {
        name: {
            option
            for parameter in parameters(command)
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
    for parameter in parameters(command):
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
        for match in re.findall(r"`([A-Z]+ /[\w./{}]+)", cell)
    }
    written = {route.replace("{proxy+}", "{key}") for route in ROUTES}
    assert named == {route for route in written if not route.endswith("/track")}
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


# A path of this repository, in a span of code. A path at home or in /tmp is none.
REPOSITORY_PATH = r"(?<![\w~/.])(?:(?:\.ci|\.github|bench|docs|gimel|tests)/[\w./-]*)"


def code_of(document: Path) -> list[str]:
    """Return the text of each span of code."""
    return re.findall(r"`([^`\n]+)`", document.read_text("utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_and_module_exists(document: Path) -> None:
    text = "\n".join(code_of(document))
    for path in re.findall(REPOSITORY_PATH, text):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m ((?:bench|gimel|tests)[\w.]*)", text):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_exists(document: Path) -> None:
    text = document.read_text("utf-8")
    commands = [*code_of(document), *re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make ([a-z-]+)", "\n".join(commands), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_a_recipe_names_what_its_file_holds() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    seen = 0
    for step in re.findall(r"^\d\. (.*?)(?=^\S|^$)", text, re.M | re.S):
        spans = re.findall(r"`([^`]+)`", step)
        files = [ROOT / span for span in spans if re.fullmatch(REPOSITORY_PATH, span)]
        held = "\n".join(file.read_text("utf-8") for file in files if file.is_file())
        for name in (span for span in spans if span.isidentifier()):
            assert re.search(rf"\b{name}\b", held), name
            seen += 1
    assert seen >= 8


# PyPI's `gimel` without a version is 1.5.0 until 2.0 is released. An unquoted > redirects.
_INSTALLER = re.compile(r"\b(?:pip[\d.]*|pipx|uvx?|poetry|pdm)\s[^\n`;&|#]*")
_PACKAGE = re.compile(r"(?<![\w./-])gimel(?![\w./-])")
_FROM_2 = re.compile(r"""(['"])gimel(\[[\w,-]+\])?>=2[\d.,<]*\1""")


def bare_installs(text: str) -> list[str]:
    """Return the commands that install or run `gimel` in any version."""
    commands = (found[0] for found in _INSTALLER.finditer(text))
    return [each for each in commands if _PACKAGE.search(each) and not _FROM_2.search(each)]


@pytest.mark.parametrize(
    "command",
    [
        "pip install gimel",
        "pip3 install --user gimel",
        "python3 -m pip install -U gimel gunicorn",
        "pip install 'gimel[local]'",
        'pip install "gimel[local]"',
        "pip install gimel>=2",
        "pip install 'gimel>=1'",
        "pip install 'gimel==1.5.0'",
        "pipx install gimel",
        "pipx run gimel local",
        "uv pip install gimel",
        "uv tool install gimel[local]",
        "uv add gimel",
        "uvx gimel local --demo",
        "Run `pip install gimel`, then `gimel deploy`.",
    ],
)
def test_a_bare_install_is_seen(command: str) -> None:
    assert bare_installs(command)


@pytest.mark.parametrize(
    "command",
    [
        "pip install 'gimel>=2'",
        "pip install 'gimel[local]>=2'",
        'pip install "gimel[local]>=2.1,<3" gunicorn',
        "uvx --from 'gimel[local]>=2' gimel local --demo",
        "pip install . && gimel deploy",
        "pip install ./gimel",
        "pip install .\ngimel deploy",
        "Run `pip install .`, then `gimel deploy`.",
        "git clone https://github.com/Alephbet/gimel && cd gimel",
    ],
)
def test_an_install_of_gimel_2_is_none(command: str) -> None:
    assert not bare_installs(command)


def strings(source: str) -> Iterator[str]:
    """Yield each string of a Python file; a literal in parts, or with fields, is one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (each.value if isinstance(each, ast.Constant) else "…" for each in node.values)
            yield "".join(map(str, parts))


def texts() -> Iterator[tuple[Path, str]]:
    """Yield what a person may read, with the file that it is in."""
    pages = [path for end in ("html", "js") for path in ROOT.glob(f"gimel/**/*.{end}")]
    for path in [*DOCUMENTS, *ROOT.glob(".github/**/*.*"), *ROOT.glob("docs/*.json"), *pages]:
        yield path, path.read_text("utf-8")
    for path in ROOT.glob("gimel/**/*.py"):
        yield from ((path, each) for each in strings(path.read_text("utf-8")))


def test_nothing_tells_to_install_gimel_1() -> None:
    told = {(path.name, each) for path, text in texts() for each in bare_installs(text)}
    assert not told


def test_the_quick_start_installs_what_exists() -> None:
    unreleased = re.search(r"^## .*unreleased$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    block = re.search(r"^```sh\n(.*?)^```", section("Quick start"), re.M | re.S)
    assert block
    first = "git clone https://github.com/Alephbet/gimel " if unreleased else "pip install 'gimel"
    assert block[1].startswith(first)
