"""The HTML to paste for AlephBet: pinned, and safe whatever the names."""

import base64
import hashlib
import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gimel.alephbet import ALEPHBET_INTEGRITY, ALEPHBET_URL, alephbet_snippet
from tests.support.commands import run, said
from tests.support.names import HOSTILE

ALEPHBET = Path(__file__).parent.parent / "build/node_modules/alephbet/dist/alephbet.min.js"
# Stands in for the browser: what the snippet tells AlephBet, as JSON.
STAND_IN = """
const told = {goals: []};
const window = globalThis;
const document = {
  addEventListener() {},
  documentElement: {setAttribute(name, value) { told.shown = [name, value]; }},
};
window.addEventListener = () => {};
window.fetch = (url, request) => {
  told.url = url;
  told.namespace = JSON.parse(request.body)[0].namespace;
  return new Promise(() => {});
};
window.AlephBet = {
  utils: {uuid: () => "1"},
  Experiment: class {
    constructor(options) {
      told.name = options.name;
      told.variants = Object.entries(options.variants).map(([name, {weight}]) => [name, weight]);
      options.tracking_adapter.experiment_start(this, "");
      Object.values(options.variants)[0].activate();
    }
    goal_complete(name) { told.goals.push(name); }
  },
};
"""


class Scripts(HTMLParser):
    """The script elements of a page: attributes and text of each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.elements: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.found.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if data.strip():
            attributes, text = self.found[-1]
            self.found[-1] = (attributes, text + data)


def run_in_node(html: str, *goals: str) -> dict[str, object]:
    """The goals that the snippet's script knows, and its calls to AlephBet."""
    _, (_, script) = Scripts(html).found
    reach = f"{json.dumps(goals)}.forEach(goal => gimelGoal(goal))"
    tell = "setTimeout(() => console.log(JSON.stringify(told)))"
    program = f"{STAND_IN}\n{script}\n{reach}\n{tell}"
    done = subprocess.run(
        ["node", "-"], input=program, capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_the_names_arrive_as_they_were_and_end_no_script() -> None:
    html = alephbet_snippet(
        "https://x.example/prod",
        namespace=HOSTILE[0],
        experiment=HOSTILE[1],
        variants=HOSTILE,
        goals=HOSTILE,
    )
    assert Scripts(html).elements == ["script", "script"]
    assert run_in_node(html, *HOSTILE, "unknown") == {
        "url": "https://x.example/prod/e",
        "namespace": HOSTILE[0],
        "name": HOSTILE[1],
        "variants": [[name, None] for name in HOSTILE],
        "goals": list(HOSTILE),
        "shown": ["data-gimel--script-", HOSTILE[0]],
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "told"), [((80, 20), [80, 20]), ((99.9, 0.1), [99900, 100]), ((1, 0), [1, 0])]
)
def test_alephbet_gets_weights_in_whole_numbers(weights: Any, told: list[int]) -> None:
    html = alephbet_snippet("https://x.example", variants=dict(zip("AB", weights, strict=True)))
    assert run_in_node(html)["variants"] == [["A", told[0]], ["B", told[1]]]


@pytest.mark.slow
def test_alephbet_is_pinned_to_what_npm_serves() -> None:
    (attributes, text), _ = Scripts(alephbet_snippet("https://x.example")).found
    assert attributes == {
        "async": None,
        "src": ALEPHBET_URL,
        "integrity": ALEPHBET_INTEGRITY,
        "crossorigin": "anonymous",
    }
    assert text == ""
    assert "@0.27.0/" in ALEPHBET_URL
    digest = hashlib.sha384(ALEPHBET.read_bytes()).digest()
    assert f"sha384-{base64.b64encode(digest).decode()}" == ALEPHBET_INTEGRITY


def test_the_command_prints_the_html_and_nothing_else() -> None:
    names = ["a b", "--variant", "x", "--variant", "y", "--goal", "g"]
    command = ["snippet", "--alephbet", "--url", "http://127.0.0.1:8000/", "--namespace", "n"]
    printed = said(run(*command, *names))
    assert printed == alephbet_snippet(
        "http://127.0.0.1:8000", namespace="n", experiment="a b", variants=("x", "y"), goals=("g",)
    )
    assert '"http://127.0.0.1:8000/e"' in printed
    assert "/track" not in printed


@pytest.mark.slow
def test_without_names_it_is_an_example_that_runs() -> None:
    html = said(run("snippet", "--alephbet", "--url", "http://127.0.0.1:8000"))
    told = run_in_node(html, "signup")
    assert told == {
        "url": "http://127.0.0.1:8000/e",
        "namespace": "alephbet",
        "name": "my experiment",
        "variants": [["A", None], ["B", None]],
        "goals": ["signup"],
        "shown": ["data-gimel-my-experiment", "A"],
    }


@pytest.mark.parametrize(
    "names",
    [
        {"url": "javascript:alert(1)"},
        {"experiment": ""},
        {"experiment": "x" * 257},
        {"variants": ["A"]},
        {"variants": ["A", "A"]},
        {"variants": ["A", " "]},
        {"variants": ["A", "__proto__"]},
        {"variants": {"A": 1, "B": None}},
        {"goals": [""]},
    ],
)
def test_what_could_not_work_is_refused(names: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"name|variant|address"):
        alephbet_snippet(**{"url": "https://backend.example/prod"} | names)
