"""The commands of `gimel` and their exit codes, as the code has them."""

import ast
import functools
from collections.abc import Iterator

import click

from gimel.cli import main
from tests.support.pages import ROOT


def all_commands(group: click.Group, above: str = "gimel") -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its full name; of a group, the commands below it too."""
    for name, command in group.commands.items():
        yield f"{above} {name}", command
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{above} {name}")


COMMANDS: dict[str, click.Command] = dict(all_commands(main))


def is_code(name: str) -> bool:
    return name == "exit_code" or (name.startswith("EXIT_") and name != "EXIT_SECONDS")


def codes_in(node: ast.expr) -> set[int]:
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and type(each.value) is int
    }


@functools.cache
def exit_codes() -> set[int]:
    """Return every exit code that the code names, and those of Python and click."""
    found = {0, click.UsageError.exit_code}
    for path in ROOT.glob("gimel/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if is_code(ast.unparse(targets[0])):
                    found |= codes_in(node.value)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.exit", "ctx.exit"):
                found |= codes_in(ast.Tuple(node.args))
    return found
