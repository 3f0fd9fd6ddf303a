"""The code of docs/openfeature.md, with OpenFeature's packages from npm and PyPI."""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from gimel.client import BackendClient
from tests.support.commands import process
from tests.support.documented_examples import ADDRESS, examples, write

ROOT = Path(__file__).parents[2]
NAME = "button color"
# The flag of the page. It counts without error, so that a test can compare numbers.
DEFINITION: dict[str, Any] = json.loads(examples("openfeature.md", "json")[0]) | {
    "counting": "exact"
}
VALUES = {each["name"]: each["value"] for each in DEFINITION["variants"]}
SECONDS = 120


class Backend(NamedTuple):
    """A backend to point a provider at: its address, the owner's key, and a namespace."""

    url: str
    key: str
    namespace: str = "alephbet"

    @property
    def client(self) -> BackendClient:
        return BackendClient(self.url, self.key)

    def declare(self, name: str = NAME, **changes: Any) -> None:
        self.client.declare(name, {**DEFINITION, "experiment": name, **changes}, self.namespace)

    def counted(self, goal: str) -> dict[str, int]:
        """Visitors (`participate`) or conversions of the page's flag, by variant."""
        found = self.client.experiment(NAME, self.namespace)
        if goal == "participate":
            return {each["label"]: each["trials"] for each in found["variants"]}
        (rows,) = (each["results"] for each in found["goals"] if each["goal"] == goal)
        return {row["label"]: row["successes"] for row in rows}

    def printed_results(self) -> str:
        """The output of `gimel results` for the page's flag."""
        options = ("--namespace", self.namespace, "--url", self.url)
        done = process("results", NAME, *options, env={"GIMEL_KEY": self.key})
        assert done.returncode == 0, done.stderr
        return done.stdout


def write_examples(folder: Path, backend: Backend) -> None:
    """Write the page's JavaScript files, for a backend, where npm's packages are found."""
    (folder / "node_modules").symlink_to(ROOT / "build" / "node_modules")
    for code in examples("openfeature.md", "js"):
        if ADDRESS in code:
            code = code.replace("{ url }", f'{{ url, namespace: "{backend.namespace}" }}')
        write(code, folder, backend.url)


def python_example(backend: Backend) -> dict[str, Any]:
    """The names that the page's Python code defines, for a backend."""
    names: dict[str, Any] = {}
    provider, use = examples("openfeature.md", "python")
    exec(provider, names)
    assert ADDRESS in use
    exec(use.replace(f'"{ADDRESS}"', f'"{backend.url}", "{backend.namespace}"'), names)
    # The machine of the tests may be busy, and the default is a variant's value.
    names["client"].provider.timeout = SECONDS
    return names


def node(folder: Path, script: str, *arguments: object) -> Any:
    """The parsed JSON that a Node script prints. The script finds its arguments in `args`."""
    program = f"const args = {json.dumps(arguments)};\n{script}"
    (folder / "test.mjs").write_text(program)
    done = subprocess.run(
        ["node", "test.mjs"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assigned(folder: Path, visitors: list[str]) -> list[str]:
    """The value that gimel.js's own assignment gives each visitor."""
    module = ROOT / "gimel/backend/browser/assignment.mjs"
    weights = dict.fromkeys(VALUES, 1)
    script = f"""
      import {{ assignedVariant }} from "{module}";
      const [experiment, visitors, weights] = args;
      const variants = visitors.map((each) => assignedVariant(experiment, each, weights));
      console.log(JSON.stringify(variants));
    """
    return [VALUES[variant] for variant in node(folder, script, NAME, visitors, weights)]
