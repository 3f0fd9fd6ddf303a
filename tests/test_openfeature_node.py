"""OpenFeature's own SDK and provider for Node, unmodified, with the code of docs/openfeature.md."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.gimel_local import LocalBackend
from tests.support.openfeature import NAME, VALUES, Backend, assigned, node, write_examples

pytestmark = pytest.mark.slow

IMPORT = """
import { OpenFeature } from "@openfeature/server-sdk";
import { client, colorFor, paid, signedUp } from "./server.mjs";
const told = (value) => console.log(JSON.stringify(value));
const all = (visitors, ask) => visitors.reduce(
  async (before, visitor) => [...await before, await ask(visitor)], []);
"""


@pytest.fixture
def on_this_machine(local: LocalBackend, tmp_path: Path) -> Backend:
    return Backend(local.url, local.key)


def run(folder: Path, script: str, *arguments: object) -> Any:
    """The output of the script. Node ends when all events are sent."""
    return node(folder, IMPORT + script, *arguments)


def test_from_the_flag_to_the_verdict(flagged: Backend, tmp_path: Path) -> None:
    write_examples(tmp_path, flagged)
    visitors = [f"user {number}" for number in range(240)]
    script = """
      const values = await all(args[0], colorFor);
      const again = await all(args[0].slice(0, 50), colorFor);
      args[0].forEach((visitor, number) => {
        if (number % (values[number] === args[1] ? 2 : 20) === 0) signedUp(visitor);
      });
      told([values, again]);
    """
    values, again = run(tmp_path, script, visitors, VALUES["red"])
    assert values == assigned(tmp_path, visitors)
    assert again == values[:50]
    by_variant = {name: values.count(value) for name, value in VALUES.items()}
    assert flagged.counted("participate") == by_variant
    assert "winner" in flagged.printed_results()


def test_a_goal_that_another_process_books(flagged: Backend, tmp_path: Path) -> None:
    write_examples(tmp_path, flagged)
    visitors = [f"user {number}" for number in range(20)]
    values = run(tmp_path, "told(await all(args[0], colorFor));", visitors)
    script = """
      for (const visitor of args[0]) { signedUp(visitor); paid(visitor, 20); }
      told(null);
    """
    run(tmp_path, script, visitors)
    expected = {name: 20 * values.count(value) for name, value in VALUES.items()}
    assert flagged.counted("revenue") == pytest.approx(expected, rel=0.1)
    # The second process saw no visitor use the flag, and `signedUp` names no experiment.
    assert sum(flagged.counted("signup").values()) == 0


def test_kill_switch_traffic_and_default(on_this_machine: Backend, tmp_path: Path) -> None:
    on_this_machine.declare()
    on_this_machine.declare("a/b", traffic=0.3)
    write_examples(tmp_path, on_this_machine)
    script = """
      const details = (name, visitor, fallback = "#fff", type = "String") =>
        client[`get${type}Details`](name, fallback, visitor && { targetingKey: visitor });
      told({
        split: await details(args[0], "user 7"),
        traffic: await all(args[1], (visitor) => details("a/b", visitor)),
        unknown: await details("no such flag", "user 7"),
        wrong: await details(args[0], "user 7", false, "Boolean"),
        nobody: await details(args[0]),
      });
    """
    visitors = [f"user {number}" for number in range(60)]
    found = run(tmp_path, script, NAME, visitors)
    assert found["split"]["reason"] == "SPLIT"
    assert {each["reason"] for each in found["traffic"]} == {"SPLIT", "DEFAULT"}
    for name, code in [
        ("unknown", "FLAG_NOT_FOUND"),
        ("wrong", "TYPE_MISMATCH"),
        ("nobody", "TARGETING_KEY_MISSING"),
    ]:
        assert found[name]["errorCode"] == code
        assert found[name]["value"] == (False if name == "wrong" else "#fff")
    on_this_machine.client.configure(NAME, {"state": "stopped"})
    stopped = run(tmp_path, script, NAME, visitors)["split"]
    assert (stopped["value"], stopped["reason"]) == ("#00f", "DISABLED")
    decision = {"winner": "red", "reason": "It won"}
    on_this_machine.client.configure(NAME, {"decision": decision})
    decided = run(tmp_path, script, NAME, visitors)["split"]
    assert (decided["value"], decided["reason"]) == ("#f00", "STATIC")
    # A stopped flag and visitors outside of the traffic are not counted as participations.
    assert sum(on_this_machine.counted("participate").values()) == 1
    part = sum(each["reason"] == "SPLIT" for each in found["traffic"])
    (counted,) = on_this_machine.client.read("a/b")
    assert sum(each["trials"] for each in counted["variants"]) == part


def test_while_the_backend_is_away(
    local: LocalBackend, on_this_machine: Backend, tmp_path: Path
) -> None:
    on_this_machine.declare()
    write_examples(tmp_path, on_this_machine)
    with local.down():
        script = """
          told(await colorFor("user 7").then((value) => [value, signedUp("user 7")]));
          process.exit();
        """
        assert run(tmp_path, script) == ["#00f", None]
    assert run(tmp_path, 'told(await colorFor("user 7"));') in VALUES.values()


def test_what_cannot_be_sent_is_sent_later(
    local: LocalBackend, on_this_machine: Backend, tmp_path: Path
) -> None:
    on_this_machine.declare()
    write_examples(tmp_path, on_this_machine)
    # The provider of this script asks the backend, and its first batch of events fails.
    script = """
      const real = fetch;
      let failures = 0;
      globalThis.fetch = (...asked) =>
        String(asked[0]).endsWith("/e") && failures++ < 1
          ? Promise.reject(new Error("away")) : real(...asked);
      await colorFor("user 7");
      signedUp("user 7");
      process.on("exit", () => told(failures));
    """
    assert run(tmp_path, script) == 2
    assert sum(on_this_machine.counted("signup").values()) == 1
