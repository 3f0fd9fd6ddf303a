"""Every block of code in the pages is run or compared by a test, and every command in them exists.

A block that no test here checks is in RUN_BY, with the test that runs it. A new block fails until
there is one.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import click
import pytest
import trustme
from botocore import xform_name

from gimel.cli import main
from gimel.config.definition import mistakes_in
from gimel.config.settings import Config
from tests.support.pages import PAGES, ROOT, Block, blocks, name_of
from tests.support.shell_words import commands

ALL = [block for page in PAGES for block in blocks(page)]
# The test that runs each block of a page or, by its first line, one block.
RUN_BY: dict[str, str | dict[str, str]] = {
    "README.md": {
        "git clone https://github.com/Alephbet/gimel && cd gimel": "tests/docs/test_installing.py",
    },
    "docs/coming-from-1.x.md": "tests/docs/test_coming_from_1x.py",
    "docs/commands.md": {
        'eval "$(_GIMEL_COMPLETE': "tests/terminal/test_group_completion.py",
        "_GIMEL_COMPLETE=": "tests/terminal/test_group_completion.py",
    },
    "docs/continuous-deployment.md": "tests/test_continuous_deployment.py",
    "docs/declaring.md": "tests/docs/test_declaring.py",
    "docs/deploying.md": {
        "✓ AWS  ": "tests/terminal/test_stack_commands.py",
    },
    "docs/export-format.md": {
        '{"gimel_export": 1,': "tests/terminal/backup/test_file.py",
        "gzip -dc backup.jsonl.gz": "tests/test_operations.py",
    },
    "docs/first-experiment.md": "tests/docs/test_first_experiment.py",
    "docs/openfeature.md": "tests/support/openfeature.py",
    "docs/operations.md": {
        "gimel export --output drill.jsonl.gz": "tests/test_operations.py",
    },
    "docs/permissions.md": "tests/stack/permissions/test_deployer.py",
    "docs/security.md": "tests/docs/test_security.py",
    "docs/self-hosting.md": "tests/test_self_hosting.py",
    "docs/senders/alephbet.md": "tests/senders/test_alephbet.py",
    "docs/senders/browser.md": "tests/senders/test_browser.py",
    "docs/senders/node.md": "tests/senders/test_node.py",
    "docs/senders/python.md": "tests/senders/test_python.py",
    "docs/senders/react.md": "tests/senders/test_react.py",
    "docs/senders/shell.md": "tests/senders/test_shell.py",
    "docs/wire.md": "tests/docs/test_wire.py",
}
# Commands that the tests below check, installers that tests/docs/test_installing.py checks, and
# what needs no check
CHECKED = {"gimel", "make", "aws", "pip", "pipx", "uv", "uvx", "cd", "sleep"}

with_block = pytest.mark.parametrize("block", ALL, ids=lambda each: f"{each.page}:{each.line}")


def runner_of(block: Block) -> str | None:
    """Return the test that runs a block, or None."""
    found = RUN_BY.get(block.page)
    if isinstance(found, dict):
        return next((test for start, test in found.items() if block.code.startswith(start)), None)
    return found


def is_checked(block: Block) -> bool:
    """Return whether the tests below check all of a block."""
    if block.language == "sh":
        return {words[0] for words in commands(block.code)} <= CHECKED
    # A drawing shows something, and says nothing that could be wrong in code.
    return block.language == "json" or "┌" in block.code


@with_block
def test_a_test_runs_every_block(block: Block) -> None:
    assert is_checked(block) or runner_of(block), "say in RUN_BY which test runs it"


@pytest.mark.parametrize("page", [page for page in RUN_BY if (ROOT / page).exists()])
def test_the_test_that_runs_a_page_exists_and_names_it(page: str) -> None:
    found = RUN_BY[page]
    for test in found.values() if isinstance(found, dict) else [found]:
        assert re.search(rf"\b{Path(page).stem}\b", (ROOT / test).read_text("utf-8")), test
    if isinstance(found, dict):
        codes = [block.code for block in ALL if block.page == page]
        assert all(any(code.startswith(start) for code in codes) for start in found)


# gimel


def command_of(words: list[str]) -> tuple[click.Context, list[str]]:
    """Return the command that the words name, and the words after its name."""
    command: click.Command = main
    # click keeps a command's help option, so it must be made with the names that `gimel` has.
    context = click.Context(main, info_name="gimel", **main.context_settings)
    _, rest, _ = main.make_parser(context).parse_args(list(words))
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, *rest = rest
        found = command.get_command(context, name)
        assert found, f"there is no command {name}"
        command = found
        context = click.Context(command, info_name=name, parent=context)
    return context, rest


def check_options(words: list[str]) -> None:
    """Check that the options exist, and that there are not too many arguments."""
    context, rest = command_of(words)
    arguments = [each for each in context.command.params if isinstance(each, click.Argument)]
    try:
        _, given, _ = context.command.make_parser(context).parse_args(rest)
    except click.BadOptionUsage as error:
        # A sentence may name an option without its value.
        if "requires an argument" not in error.message:
            raise
    else:
        is_open = any(each.nargs < 0 for each in arguments)
        present = [each for each in given if each is not None and each != ()]
        assert is_open or len(present) <= len(arguments), words


def gimel_lines(page: Path) -> Iterator[list[str]]:
    """Yield the words after `gimel` of each command in a page's blocks, indented ones too."""
    text = page.read_text("utf-8")
    indented = "\n".join(
        re.findall(r"^    (gimel .*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    )
    for code in [*(each.code for each in blocks(page) if each.language == "sh"), indented]:
        yield from (words[1:] for words in commands(code) if words[0] == "gimel")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_a_block_can_be_run(page: Path) -> None:
    for words in gimel_lines(page):
        context, rest = command_of(words)
        try:
            context.command.make_context(context.info_name, rest, parent=context.parent)
        except click.exceptions.Exit:
            assert {"--help", "--version"} & set(words)
        except click.BadParameter as error:
            # The reader has the file.
            if "does not exist" not in error.message:
                raise


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_a_sentence_exists(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.M | re.S)
    for span in re.findall(r"`(gimel [^`]+)`", " ".join(text.split())):
        # What stands for any command, or leaves something out
        if not re.match(r"gimel (?:--\w+ (?:FILE )?)?(?:[A-Z]+\b|…)", span):
            for words in commands(span.replace("…", "").replace("\\|", "|")):
                check_options(words[1:])


@pytest.mark.parametrize(
    "words",
    ["results --graph", "deploy now", "destroy --yes --all", "publish", "key delete 3f9a01c7"],
)
def test_a_wrong_command_is_found(words: str) -> None:
    with pytest.raises((AssertionError, click.ClickException)):
        check_options(words.split())


# make and aws


def calls_of(program: str) -> list[list[str]]:
    """Return the words after a program in all blocks of shell code."""
    code = (block.code for block in ALL if block.language == "sh")
    return [words[1:] for each in code for words in commands(each) if words[0] == program]


def test_every_make_target_in_a_block_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target, *_ in calls_of("make"):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_call_of_aws_in_a_block_exists() -> None:
    session = botocore.session.get_session()
    calls = calls_of("aws")
    assert calls
    for service, operation, *rest in calls:
        model = session.get_service_model(service)
        names = {xform_name(name, "-"): name for name in model.operation_names}
        shape = model.operation_model(names[operation]).input_shape
        members = {f"--{xform_name(name, '-')}" for name in shape.members} if shape else set()
        assert {word for word in rest if word.startswith("--")} <= members, (service, operation)


# JSON


def documents(code: str) -> Iterator[Any]:
    """Yield the JSON documents that follow each other in a block."""
    decoder, start = json.JSONDecoder(), 0
    while start < len(code.rstrip()):
        document, end = decoder.raw_decode(code, start)
        yield document
        start = end + len(code[end:]) - len(code[end:].lstrip())


@with_block
def test_json_is_a_config_or_a_definition(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if block.language != "json" or runner_of(block):
        return
    monkeypatch.chdir(tmp_path)
    trustme.CA().cert_pem.write_to_path("ca.pem")
    for document in documents(block.code):
        if "variants" in document:
            assert mistakes_in(document) == []
        else:
            Config.model_validate({"redis": {"url": "redis://localhost"}} | document)
