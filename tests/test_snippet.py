"""The HTML to paste: complete by itself, and safe whatever the names."""

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests

from gimel.backend.browser import read_script, script_path
from gimel.snippet import module, snippet
from tests.support.commands import complaint, run, said
from tests.support.names import HOSTILE

URL = "https://x.example/prod"


class Scripts(HTMLParser):
    """The elements of a page, and the attributes and the text of each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.found and data.strip():
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("script_url", [None, URL], ids=["inline", "src"])
def test_the_names_arrive_as_they_are_and_end_no_script(
    script_url: str | None, is_weighted: bool
) -> None:
    variants = {name: float(position + 1) for position, name in enumerate(HOSTILE)}
    for name in HOSTILE:
        html = snippet(
            URL,
            script_url=script_url,
            namespace=name,
            experiment=name,
            variants=variants if is_weighted else dict.fromkeys(variants),
            goals=HOSTILE,
            event_path="hi",
            traffic=0.25,
        )
        ((tag, attributes, text),) = Scripts(html).found
        given = json.loads(attributes.pop("data-variants") or "")
        assert given == (variants if is_weighted else list(variants))
        source = {"src": f"{URL}/{script_path()}"} if script_url else {}
        assert attributes == source | {
            "data-url": f"{URL}/hi",
            "data-namespace": name,
            "data-experiment": name,
            "data-traffic": "0.25",
        }
        assert (tag, text) == ("script", "" if script_url else read_script())
        # So it does not matter which encoding the page has. The comment may hold an attribute.
        assert html[html.index("-->") :].isascii()


def test_what_goes_without_saying_is_not_said() -> None:
    (_, attributes, _), *_ = Scripts(snippet(URL, script_url=URL)).found
    assert attributes == {
        "src": f"{URL}/{script_path()}",
        "data-experiment": "my experiment",
        "data-variants": '["A","B"]',
    }
    (_, attributes, _), *_ = Scripts(snippet("https://events.example", script_url=URL)).found
    assert attributes["data-url"] == "https://events.example/e"


def test_the_comment_says_how_to_use_it() -> None:
    html = snippet(URL, experiment="Button color!", goals=["signup", "page view"])
    assert html.startswith("<!-- CSS finds")
    assert 'html[data-gimel-button-color-="B"]' in html
    assert 'data-gimel-goal="signup", data-gimel-goal="page view" -->' in html


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_the_module_is_one_file(name: str, tmp_path: Path) -> None:
    """On a server, as when React renders a page there, it shows the first variant."""
    path = tmp_path / "gimel.mjs"
    path.write_text(module(URL, namespace=name), "utf-8")
    script = f"""
      import {{ gimel }} from "{path}";
      gimel.goal("signup");
      gimel.optOut();
      console.log(JSON.stringify([gimel.url, gimel.namespace, gimel.variant("e", ["a", "b"]),
        gimel.variant("e", {{b: 1, a: 2}})]));
    """
    node = ["node", "--input-type=module", "--eval", script]
    printed = subprocess.run(node, check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == [f"{URL}/e", name, "a", "b"]


def test_the_command_prints_the_html_and_nothing_else() -> None:
    names = ["a b", "--variant", "x=80", "--variant", "y", "--goal", "g"]
    more = ["--url", "http://127.0.0.1:8000/", "--namespace", "n", "--traffic", "0.5"]
    fields: dict[str, Any] = {
        "namespace": "n",
        "experiment": "a b",
        "variants": {"x": 80, "y": None},
        "traffic": 0.5,
        "goals": ("g",),
    }
    url = "http://127.0.0.1:8000"
    assert said(run("snippet", *names, *more)) == snippet(url, **fields)
    assert said(run("snippet", *names, *more, "--src")) == snippet(url, script_url=url, **fields)
    assert said(run("snippet", "--module", *more)) == module(url, namespace="n")


def test_two_forms_at_once_are_refused() -> None:
    refused = run("snippet", "--src", "--module", "--url", URL)
    assert refused.exit_code == 2
    assert "Error: give one of --src, --module and --alephbet\n" in refused.stderr


def test_it_takes_what_the_experiment_declares(url: str) -> None:
    options = ["--variant", "blue=80", "--variant", "red=20", "--baseline", "red"]
    goals = ["--goal", "signup", "--goal", "orders:total", "--goal", "paid:server"]
    said(run("create", "button color", *options, *goals, "--url", url))
    printed = said(run("snippet", "button color", "--url", url))
    expected: dict[str, Any] = {"experiment": "button color", "goals": ["signup", "orders"]}
    assert printed == snippet(url, variants={"red": 20, "blue": 80}, **expected)
    # What is given says more than the definition.
    more = ["--traffic", "10%", "--goal", "x"]
    printed = said(run("snippet", "button color", *more, "--url", url))
    expected |= {"goals": ["x"], "traffic": 0.1}
    assert printed == snippet(url, variants={"red": 20, "blue": 80}, **expected)
    alephbet = said(run("snippet", "button color", "--alephbet", "--url", url))
    assert 'goals = ["signup"]' in alephbet
    assert '"blue": { weight: 80' in alephbet


def test_a_page_is_told_of_no_goal_that_needs_a_key(url: str) -> None:
    said(
        run(
            "create", "e", "--variant", "a", "--variant", "b", "--goal", "paid:server", "--url", url
        )
    )
    declared = ("snippet", "e", "--url", url)
    comment, _, _ = said(run(*declared, "--src")).partition("\n")
    assert comment == '<!-- CSS finds the variant in an attribute: html[data-gimel-e="b"] -->'
    assert "goals = []" in said(run(*declared, "--alephbet"))


def test_an_experiment_that_nobody_declared_needs_its_variants(url: str) -> None:
    event = {"experiment": "seen", "variant": "a", "event": "participate", "uuid": "1"}
    requests.get(f"{url}/e", event, timeout=60).raise_for_status()
    refused = complaint(run("snippet", "seen", "--url", url))
    assert refused == "seen is not declared: name its variants, with --variant"
    refused = complaint(run("snippet", "unheard", "--url", url))
    assert refused == "unheard is not declared: name its variants, with --variant"


@pytest.mark.parametrize(
    "names",
    [
        {"url": "javascript:alert(1)"},
        {"experiment": ""},
        {"experiment": "x" * 257},
        {"variants": {"A": 1}},
        {"variants": {"A": 1, " ": 1}},
        {"variants": {"A": 1, "__proto__": 1}},
        {"goals": [""]},
        {"variants": {"A": 1, "B": float("inf")}},
        {"traffic": -0.1},
        {"traffic": 10},
        {"variants": {"A": 1, "B": float("nan")}},
        {"variants": {"A": 1, "B": -1}},
        {"variants": {"A": 0, "B": 0}},
    ],
)
def test_what_could_not_work_is_refused(names: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"name|variants|address|weights must|traffic must"):
        snippet(**{"url": URL} | names)
