"""docs/stability.json: names that 2.x promises are there, and new ones are in the list.

With GIMEL_WRITE_DOCS=1, new names are added to the list. Nothing is ever taken out: a name that a
test misses has to come back, or to wait for the next major version.
"""

import gzip
import inspect
import json
import os
import re
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest
import redis

import gimel
import gimel.gimel
import gimel.rsgi
import gimel.sdk
import gimel.wsgi
from gimel.backend.counting import admission
from gimel.backend.experiment.changes import _SETTINGS
from gimel.backend.experiment.checks import BODY_CHECKS, GOAL_CHECKS, VARIANT_CHECKS
from gimel.config.definition import ExperimentFile
from gimel.config.settings import Config
from gimel.terminal.backup.kinds import KINDS
from gimel.terminal.results import write_csv
from tests.support.answers import ANSWERS, DOCUMENT, SCHEMAS, described, words_of
from tests.support.command_line import COMMANDS, exit_codes
from tests.support.commands import run, said
from tests.support.config_keys import keys_of
from tests.support.pages import DOCS, ROOT, names, section
from tests.support.servers import url_of
from tests.support.whole_life import live

FILE = DOCS / "stability.json"
Names = dict[str, list[str]]
# What the page says is meant for users' code, besides the library for senders
FOR_USERS = {
    gimel: ("Client", "__version__"),
    gimel.wsgi: ("app",),
    gimel.rsgi: ("app",),
    gimel.gimel: ("replay",),
}


def routes() -> Names:
    """Return the parameters of each route's query."""
    return {
        f"{method.upper()} {path}": [
            each["name"] for each in operation.get("parameters", []) if each["in"] == "query"
        ]
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }


def requests() -> Names:
    return {
        "event": list(SCHEMAS["Event"]["properties"]),
        "settings": list(_SETTINGS),
        "definition": [*BODY_CHECKS, *ExperimentFile.model_fields],
        "variant": list(VARIANT_CHECKS),
        "goal": list(GOAL_CHECKS),
    }


def words() -> Names:
    """Return the words that a field of an answer may have."""
    return {
        f"{name}.{path}": found
        for name in ANSWERS
        for path, field in described(SCHEMAS[name])
        if (found := words_of(field))
    }


def library() -> dict[str, type]:
    return {f"gimel.{name}": getattr(gimel.sdk, name) for name in gimel.sdk.__all__}


def functions() -> dict[str, list[inspect.Parameter]]:
    """Return the parameters of the functions and methods that users' code calls."""
    found = {
        f"{module.__name__}.{name}": getattr(module, name, None)
        for module, given in FOR_USERS.items()
        for name in given
    }
    found |= {
        f"{owner}.{name}": method
        for owner, cls in library().items()
        for name, method in vars(cls).items()
        if not name.startswith("_") or (cls is gimel.Client and name == "__init__")
    }
    return {
        name: [each for each in inspect.signature(found).parameters.values() if each.name != "self"]
        for name, found in found.items()
        if inspect.isfunction(found)
    }


def python() -> Names:
    """Return the names for users' code, with the parameters of what can be called."""
    modules = {
        module.__name__: [name for name in given if hasattr(module, name)]
        for module, given in FOR_USERS.items()
    }
    classes = {
        owner: sorted(name for name in vars(cls) if not name.startswith("_"))
        for owner, cls in library().items()
    }
    parameters = {name: [each.name for each in found] for name, found in functions().items()}
    return modules | classes | parameters


def in_the_way(promised: list[str], found: list[inspect.Parameter]) -> list[str]:
    """Return the new parameters that break calls of an earlier 2.x: needed, or not the last."""
    positional = [each for each in found if each.kind == each.POSITIONAL_OR_KEYWORD]
    old = [place for place, each in enumerate(positional) if each.name in promised]
    before = positional[: max(old, default=0)]
    return [
        each.name
        for each in found
        if each.name not in promised and (each.default is each.empty or each in before)
    ]


def browser() -> list[str]:
    """Return the methods of `gimel` in a page, and the attributes that the script reads."""
    folder = ROOT / "gimel" / "backend" / "browser"
    module, script = ((folder / f"{name}.mjs").read_text("utf-8") for name in ("gimel", "script"))
    body = module[module.index("  const gimel = {") : module.index("  // While events")]
    methods = re.findall(r"^    (\w+)\(", body, re.M)
    attributes = {
        *re.findall(r"dataset\.(\w+)", module + script),
        *re.findall(r"const { (\w+) = 1 } = options", module),
        *re.findall(r'"(\w+)"', script[script.index("for (const name of [") :].partition("]")[0]),
    }
    return [
        *methods,
        *sorted("data-" + re.sub("([A-Z])", r"-\1", each).lower() for each in attributes),
    ]


def csv_columns() -> list[str]:
    written = StringIO()
    write_csv(written, [])
    return written.getvalue().strip().split(",")


def export_fields(store: redis.Redis, folder: Path) -> list[str]:
    """Return the fields of the lines of a real export."""
    live(store)
    file = folder / "export.jsonl.gz"
    said(run("export", "--redis-url", url_of(store), "--output", str(file)))
    lines = gzip.decompress(file.read_bytes()).splitlines()
    return sorted({field for line in lines for field in json.loads(line)})


def environment() -> list[str]:
    """Return the variables that the functions read, and those of commands."""
    of_commands = section("commands.md", "Environment variables")
    texts = (gimel.gimel.__doc__ or "", of_commands)
    return sorted({name for text in texts for name in re.findall(r"\bGIMEL_\w+", text)})


def option_names(command: click.Command) -> list[str]:
    options = [each for each in command.params if isinstance(each, click.Option)]
    return sorted(name for each in options for name in (*each.opts, *each.secondary_opts))


def surface(store: redis.Redis, folder: Path) -> dict[str, Any]:
    """Return everything that the page promises, as the code has it."""
    return {
        "routes": routes(),
        "requests": requests(),
        "answers": {name: [path for path, _ in described(SCHEMAS[name])] for name in ANSWERS},
        "words": words(),
        "reasons": [
            each for each in vars(admission).values() if isinstance(each, admission.Ignored)
        ],
        "commands": {name: option_names(command) for name, command in COMMANDS.items()},
        "exit_codes": sorted(exit_codes()),
        "csv": csv_columns(),
        "settings": list(keys_of(Config)),
        "environment": environment(),
        "python": python(),
        "browser": browser(),
        "redis": KINDS,
        "export": export_fields(store, folder),
    }


def missing(promised: Any, found: Any, above: str = "") -> list[str]:
    """Return each name that is promised and not found, with what it belongs to."""
    if not isinstance(promised, dict):
        if isinstance(promised, str):
            return [] if promised == found else [f"{above}: {promised}"]
        return [f"{above}: {name}" for name in promised if name not in (found or ())]
    inside = {name: (found or {}).get(name) for name in promised}
    return [
        each
        for name, inner in promised.items()
        for each in (
            [f"{above}: {name}"]
            if inside[name] is None
            else missing(inner, inside[name], f"{above} {name}")
        )
    ]


def together(promised: Any, found: Any) -> Any:
    """Return what is promised and what is found, each name once, the promised ones first."""
    if isinstance(found, dict):
        old = promised or {}
        return {
            name: together(old.get(name), found.get(name))
            for name in [*old, *(n for n in found if n not in old)]
        }
    if found is None or isinstance(found, str):
        return promised or found
    old = promised or []
    return [*old, *dict.fromkeys(name for name in found if name not in old)]


def test_what_is_promised_is_there_and_what_is_there_is_listed(
    backend: redis.Redis, tmp_path: Path
) -> None:
    found = surface(backend, tmp_path)
    promised = json.loads(FILE.read_text("utf-8"))
    assert missing(promised, found) == [], "2.x promises these names"
    for name, order in promised["python"].items():
        assert [each for each in found["python"][name] if each in order] == order, name
    for name, parameters in functions().items():
        old = promised["python"].get(name, found["python"][name])
        assert in_the_way(old, parameters) == [], f"{name}: a new parameter is optional and last"
    columns = promised["csv"]
    assert found["csv"][: len(columns)] == columns, "new columns come at the end of a CSV"
    listed = together(promised, found)
    if "GIMEL_WRITE_DOCS" in os.environ:
        FILE.write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n", "utf-8")
        promised = listed
    assert missing(found, promised) == [], f"list them in {FILE.name}, with GIMEL_WRITE_DOCS=1"


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        ({"a": {"b": ["c"]}}, [" a b: d"]),
        ({"a": {"e": ["c", "d"]}}, [" a: b"]),
        ({"a": {"b": ["d", "c", "e"]}, "f": []}, []),
    ],
)
def test_a_name_that_is_gone_is_found(found: Any, lost: list[str]) -> None:
    assert missing({"a": {"b": ["c", "d"]}}, found) == lost


def _taken(name, *, key=None): ...  # type: ignore[no-untyped-def]
def _needed(name, size, *, key=None): ...  # type: ignore[no-untyped-def]
def _between(size=1, name=None, *, key=None): ...  # type: ignore[no-untyped-def]
def _last(name, size=1, *, more=None, key=None): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("function", "wrong"),
    [(_taken, []), (_needed, ["size"]), (_between, ["size"]), (_last, [])],
)
def test_a_new_parameter_that_breaks_calls_is_found(function: Any, wrong: list[str]) -> None:
    parameters = list(inspect.signature(function).parameters.values())
    assert in_the_way(["name", "key"], parameters) == wrong


def test_nothing_is_taken_out_of_the_list() -> None:
    promised = {"a": ["b", "c"], "d": {"e": ["f"]}}
    assert together(promised, {"a": ["c", "g"]}) == {"a": ["b", "c", "g"], "d": {"e": ["f"]}}


def test_the_page_names_every_part_of_the_list() -> None:
    lines = re.findall(r"^\| .* \| (`[^|]*) \|$", section("stability.md", "What stays"), re.M)
    named = {name for cell in lines for name in names(cell)}
    assert named - {"under"} == set(json.loads(FILE.read_text("utf-8")))
