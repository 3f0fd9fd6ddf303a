"""The commands that declare an experiment and show what is declared: create, show."""

from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import click

from gimel.backend.experiment.checks import METHODS, Better, Kind, Role, Source
from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.client import BackendClient, BackendError
from gimel.config.definition import Declaration, check_declaration, read_declarations
from gimel.terminal import definitions
from gimel.terminal.backend_options import connect_client, namespace_option, url_option
from gimel.terminal.hints import command_line
from gimel.terminal.sample_size import SampleSize
from gimel.terminal.text import console, plain, print_json

_FIELDS_OF_WORDS = {"role": Role, "kind": Kind, "better": Better, "from": Source}
_WORDS = {word: field for field, words in _FIELDS_OF_WORDS.items() for word in get_args(words)}
_NUMBERS = ("cap=500", "margin=2%")
_ALL_WORDS = ", ".join([*_WORDS, *_NUMBERS])


def _parse_variants(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return the variants in NAME or NAME=WEIGHT. Raises click.BadParameter."""
    variants: list[dict[str, Any]] = []
    for text in value:
        name, is_weighted, weight = text.rpartition("=")
        if not is_weighted:
            variants.append({"name": text})
            continue
        try:
            variants.append({"name": name, "weight": _number(weight)})
        except ValueError:
            raise click.BadParameter("must look like blue or blue=50") from None
    return variants


def _number(text: str) -> float:
    """Return the number in 50 or 0.5. Raises ValueError."""
    number = float(text)
    return int(number) if number.is_integer() else number


variants_option = click.option(
    "--variant",
    "variants",
    metavar="NAME[=WEIGHT]",
    multiple=True,
    callback=_parse_variants,
    help="Variant, and its share of visitors in any unit. Repeat for each variant.",
)


def _parse_goals(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return the goals in NAME or NAME:WORD,WORD. Raises click.BadParameter."""
    goals: list[dict[str, Any]] = []
    for text in value:
        name, has_words, words = text.rpartition(":")
        goal = {"name": name if has_words else text}
        goals.append(goal | dict(map(_field, words.split(","))) if has_words else goal)
    return goals


def _field(word: str) -> tuple[str, Any]:
    """Return the field of a goal that a word sets, and its value. Raises click.BadParameter."""
    if word in _WORDS:
        return _WORDS[word], word
    field, _, number = word.partition("=")
    with suppress(ValueError):
        if field == "margin" and number.endswith("%"):
            # 1.1 / 100 is not quite 0.011.
            return field, round(float(number[:-1]) / 100, 12)
        if field in ("cap", "margin"):
            return field, _number(number)
    raise click.BadParameter(
        f"{plain(word)!r} is not a word for a goal: after the colon stand {_ALL_WORDS}"
    )


@click.command()
@click.argument("name", required=False)
@variants_option
@click.option(
    "--goal",
    "goals",
    metavar="NAME[:WORD,…]",
    multiple=True,
    callback=_parse_goals,
    help=f"Goal. Words that say more about it: {_ALL_WORDS}. Repeat for each goal.",
)
@click.option("--baseline", metavar="VARIANT", help="Variant that the others are compared with.")
@click.option("--hypothesis", help="What you expect, and why.")
@click.option("--owner", help="Who answers for the experiment.")
@click.option("--link", metavar="URL", help="Where more is written about it.")
@click.option("--planned-visitors", type=int, help="Visitors that it is meant to have.")
@click.option("--counting", type=click.Choice(METHODS), help="Counting method.")
@click.option("--like", metavar="OLD", help="Copy the definition of OLD, then apply the options.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Declare what this JSON file holds: a definition, or a list of them.",
)
@namespace_option
@url_option
@click.pass_obj
def create(
    config_file: Path | None,
    /,
    name: str | None,
    like: str | None,
    file: Path | None,
    namespace: str,
    url: str | None,
    **options: Any,
) -> None:
    """Declare an experiment NAME, or those in a file.

    A declared experiment counts its variants and goals, and ignores everything else. The first
    variant is the baseline, and the first goal is the primary one, unless you say otherwise.

    \b
    gimel create "button color" --variant blue=50 --variant red=50 \\
      --goal signup --goal refund:guardrail,lower --planned-visitors 40000

    A name with = or : and everything that has no option goes into a file: see `gimel show --json`.
    Run the command again: nothing changes.
    """
    fields = {field: value for field, value in options.items() if value not in (None, [])}
    if file is not None:
        if name is not None or like is not None or fields:
            raise click.UsageError("--file holds whole definitions: give no NAME or other option")
        declarations = read_declarations(file)
        client = connect_client(config_file, url)
        for each in declarations:
            _, outcome = _declare(client, each, namespace)
            click.echo(f"{plain(each.experiment)}: {outcome}")
        return
    if name is None:
        raise click.UsageError("give a NAME and its variants, or --file")
    if like is None and len(options["variants"]) < 2:
        raise click.UsageError("an experiment has two variants or more: --variant A --variant B")
    item = {"experiment": name} | fields
    declaration = check_declaration(item) if like is None else None
    client = connect_client(config_file, url)
    if declaration is None:
        declaration = check_declaration(_definition(client, str(like), namespace, item))
    answer, outcome = _declare(client, declaration, namespace, keeps_plan=True)
    definitions.show_created(console, answer, outcome)
    place: Any = {"config_file": config_file, "namespace": namespace, "url": url}
    command = command_line("snippet", answer["experiment"], **place)
    click.echo(f"Next, print the HTML for your page:\n  {command}")


def _definition(
    client: BackendClient, name: str, namespace: str, changes: dict[str, Any]
) -> dict[str, Any]:
    """Return the definition of a declared experiment, with changes. Variants keep their values."""
    old: dict[str, Any] | None = client.experiment(name, namespace)["definition"]
    if old is None:
        raise click.ClickException(f"{plain(name)} is not declared: it has no definition to copy")
    merged: dict[str, Any] = old | changes
    if "variants" in changes:
        values = {each["name"]: each["value"] for each in old["variants"] if "value" in each}
        merged["variants"] = [
            each | ({"value": values[each["name"]]} if each["name"] in values else {})
            for each in changes["variants"]
        ]
    return merged


def _declare(
    client: BackendClient, declaration: Declaration, namespace: str, *, keeps_plan: bool = False
) -> tuple[dict[str, Any], str]:
    """Declare an experiment. Return it, and what that did.

    `keeps_plan`: a plan that the declaration does not name stays.
    """
    name, space = declaration.experiment, declaration.namespace or namespace
    body = declaration.body
    before: dict[str, Any] | None = None
    try:
        try:
            before = client.experiment(name, space)
        except BackendError as error:
            if error.status != 404:
                raise
        if keeps_plan and before and before["declared"]:
            # `gimel sample-size --save` may have set it: `gimel create` again must not remove it.
            body = {"planned_visitors": before["definition"].get("planned_visitors")} | body
        after = client.declare(name, body, space)
    except BackendError as error:
        if declaration.source and error.status in (400, 409):
            raise click.ClickException(plain(f"{declaration.source}: {error}")) from None
        raise
    return after, _outcome(before, after)


def _outcome(before: dict[str, Any] | None, after: dict[str, Any]) -> str:
    if before is None:
        return "created"
    if not before["declared"]:
        return "declared, after its first event"
    old, new = ({"state": each["state"]} | each["definition"] for each in (before, after))
    changed = [field for field in old | new if old.get(field) != new.get(field)]
    return f"changed: {', '.join(changed)}" if changed else "unchanged"


@click.command()
@click.argument("experiment")
@click.option("--json", "as_json", is_flag=True, help="Print a file for `gimel create --file`.")
@namespace_option
@url_option
@click.pass_obj
def show(
    config_file: Path | None, experiment: str, as_json: bool, namespace: str, url: str | None
) -> None:
    """Show what is declared about an EXPERIMENT, and what it ignored."""
    client = connect_client(config_file, url)
    if not as_json:
        definitions.show(console, client.experiment(experiment, namespace))
        return
    space = {} if namespace == DEFAULT_NAMESPACE else {"namespace": namespace}
    names = {"experiment": experiment} | space
    item = names | _definition(client, experiment, namespace, {})
    print_json(item)


def plan_of(client: BackendClient, name: str, namespace: str) -> tuple[dict[str, int], float]:
    """Return the variants and primary goals to correct for, and the counters' relative error."""
    found = client.experiment(name, namespace)
    if found["definition"] is None:
        raise click.ClickException(f"{plain(name)} is not declared: `gimel create` declares it")
    if len({each.get("weight") for each in found["definition"]["variants"]}) > 1:
        raise click.ClickException(
            f"the variants of {plain(name)} have unequal weights, and the size is for equal ones: "
            "set the plan yourself, with `gimel create` and --planned-visitors"
        )
    goals = [goal for goal in found["definition"]["goals"] if goal["role"] == "primary"]
    numbers = {
        "variants": len(found["definition"]["variants"]),
        "primary_goals": max(1, len(goals)),
    }
    return numbers, found["counting"]["relative_error"]


def save_plan(client: BackendClient, name: str, namespace: str, needed: SampleSize) -> None:
    """Make the size the plan of an experiment. The backend refuses it after the first event."""
    if needed.planned is None:
        raise click.ClickException(f"{plain(name)} gets no plan: no number of visitors is enough")
    visitors = needed.planned.total
    client.configure(name, {"planned_visitors": visitors}, namespace)
    click.echo(f"{plain(name)}: planned for {visitors:,} visitors.")


COMMANDS = (create, show)
