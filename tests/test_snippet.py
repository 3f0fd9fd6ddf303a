"""The HTML to paste: pinned, and safe whatever the names."""

import base64
import hashlib
import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gimel.snippet import ALEPHBET_INTEGRITY, ALEPHBET_URL, script_string, snippet
from tests.support.commands import run, said

ALEPHBET = Path(__file__).parent.parent / "build/node_modules/alephbet/dist/alephbet.min.js"
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    'it\'s "quoted"',
    "back\\slash\\",
    "${x} {y} %s",
    "צבע הכפתור",
    "line\u2028and\u2029paragraph",
    "👩‍👧 & co",
)
# Stands in for the browser: what the snippet tells AlephBet, as JSON.
STAND_IN = """
const told = {goals: []};
const document = {addEventListener() {}, documentElement: {setAttribute(_, v) { told.shown = v; }}};
const AlephBet = {
  GimelAdapter: class { constructor(url, namespace) { Object.assign(told, {url, namespace}); } },
  Goal: class { constructor(name) { told.goals.push(name); } },
  Experiment: class {
    constructor(options) {
      told.name = options.name;
      told.variants = Object.keys(options.variants);
      Object.values(options.variants)[0].activate();
    }
    add_goal() {}
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


def run_in_node(html: str) -> dict[str, object]:
    """What the snippet's own script tells AlephBet."""
    _, (_, script) = Scripts(html).found
    program = f"{STAND_IN}\n{script}\nconsole.log(JSON.stringify(told))"
    done = subprocess.run(
        ["node", "-"], input=program, capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_the_names_arrive_as_they_were_and_end_no_script() -> None:
    html = snippet(
        "https://x.example/prod",
        namespace=HOSTILE[0],
        experiment=HOSTILE[1],
        variants=HOSTILE,
        goals=HOSTILE,
    )
    assert Scripts(html).elements == ["script", "script"]
    assert run_in_node(html) == {
        "url": "https://x.example/prod/e",
        "namespace": HOSTILE[0],
        "name": HOSTILE[1],
        "variants": list(HOSTILE),
        "goals": list(HOSTILE),
        "shown": HOSTILE[0],
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_in_a_script_is_plain_ascii_without_markup(name: str) -> None:
    quoted = script_string(name)
    assert quoted.isascii()
    assert not set("<>&") & set(quoted)
    assert json.loads(quoted) == name


@pytest.mark.slow
def test_alephbet_is_pinned_to_what_npm_serves() -> None:
    (attributes, text), _ = Scripts(snippet("https://x.example")).found
    assert attributes == {
        "src": ALEPHBET_URL,
        "integrity": ALEPHBET_INTEGRITY,
        "crossorigin": "anonymous",
    }
    assert text == ""
    assert "@0.27.0/" in ALEPHBET_URL
    digest = hashlib.sha384(ALEPHBET.read_bytes()).digest()
    assert f"sha384-{base64.b64encode(digest).decode()}" == ALEPHBET_INTEGRITY


def test_the_command_prints_the_html_and_nothing_else() -> None:
    names = ["--experiment", "a b", "--variant", "x", "--variant", "y", "--goal", "g"]
    printed = said(run("snippet", "--url", "http://127.0.0.1:8000/", "--namespace", "n", *names))
    assert printed == snippet(
        "http://127.0.0.1:8000", namespace="n", experiment="a b", variants=("x", "y"), goals=("g",)
    )
    assert '"http://127.0.0.1:8000/e"' in printed
    assert "/track" not in printed


@pytest.mark.slow
def test_without_names_it_is_an_example_that_runs() -> None:
    told = run_in_node(said(run("snippet", "--url", "http://127.0.0.1:8000")))
    assert told == {
        "url": "http://127.0.0.1:8000/e",
        "namespace": "alephbet",
        "name": "my experiment",
        "variants": ["A", "B"],
        "goals": ["signup"],
        "shown": "A",
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
        {"goals": [""]},
    ],
)
def test_what_could_not_work_is_refused(names: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"name|variants|address"):
        snippet(**{"url": "https://backend.example/prod"} | names)
