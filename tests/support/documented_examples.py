"""The examples of docs/clients.md and docs/self-hosting.md, as they are written there."""

import re
from contextlib import suppress
from pathlib import Path

from gimel.client import BackendClient, BackendError
from tests.support.waiting import wait

DOCS = Path(__file__).parents[2] / "docs"
ADDRESS = "https://abc.execute-api.eu-west-1.amazonaws.com/prod"


def examples(page: str, language: str) -> list[str]:
    """The blocks of code in a language."""
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def for_backend(code: str, url: str) -> str:
    assert ADDRESS in code
    return code.replace(ADDRESS, url)


def successes(client: BackendClient, goal: str, experiment: str = "button color") -> int:
    found = {each["goal"]: each for each in client.experiment(experiment)["goals"]}
    return sum(row["successes"] for row in found[goal]["results"])


def wait_for(client: BackendClient, goal: str, count: int) -> None:
    """Wait until the goal was counted so often."""

    def is_counted() -> bool:
        with suppress(BackendError, KeyError):
            return successes(client, goal) == count
        return False

    wait(is_counted)
