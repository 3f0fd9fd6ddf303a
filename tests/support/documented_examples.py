"""The examples of the documents, as they are written there."""

import re
from contextlib import suppress
from pathlib import Path

from gimel.client import BackendClient, BackendError
from tests.support.pages import DOCS, blocks
from tests.support.waiting import wait

ADDRESS = "https://abc.execute-api.eu-west-1.amazonaws.com/prod"


def examples(page: str, language: str) -> list[str]:
    """The blocks of code in a language."""
    return [each.code for each in blocks(DOCS / page) if each.language == language]


def for_backend(code: str, url: str) -> str:
    assert ADDRESS in code
    return code.replace(ADDRESS, url)


def write(code: str, folder: Path, url: str) -> str:
    """Write an example into the file that its first line names. Return the file's name."""
    name = code.partition("\n")[0].removeprefix("#").removeprefix("//").strip()
    assert re.fullmatch(r"[\w/.-]+\.\w+", name), name
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code.replace(ADDRESS, url), "utf-8")
    return name


def successes(client: BackendClient, goal: str, experiment: str = "button color") -> int:
    found = {each["goal"]: each for each in client.experiment(experiment)["goals"]}
    return sum(row["successes"] for row in found[goal]["results"])


def visitors(client: BackendClient, experiment: str = "button color") -> dict[str, int]:
    """The visitors of each variant; {} if there is no such experiment yet."""
    try:
        found = client.experiment(experiment)
    except BackendError:
        return {}
    return {variant["label"]: variant["trials"] for variant in found["variants"]}


def wait_for(
    client: BackendClient, goal: str, count: int, experiment: str = "button color"
) -> None:
    """Wait until the goal was counted so often."""

    def is_counted() -> bool:
        with suppress(BackendError, KeyError):
            return successes(client, goal, experiment) == count
        return False

    wait(is_counted)
