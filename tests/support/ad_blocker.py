"""AdGuard's rules in Chromium's own rule engine, as an ad blocker's extension loads them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import BrowserType, Worker

from tests.support.chromium import EXECUTABLE, QUIET
from tests.support.waiting import wait

RULES = Path(__file__).parents[2] / "build/adguard"
# By AdGuard's numbers: Base, which blocks ads, and Tracking Protection. Both contain EasyList's.
FILTERS = ("ruleset_2", "ruleset_3")
SHOP = "https://shop.example"


class AdBlocker:
    """Tells whether a request of a page is blocked."""

    def __init__(self, worker: Worker, actions: dict[str, dict[int, str]]) -> None:
        self._worker = worker
        self._actions = actions

    def blocks(self, method: str, kind: str, url: str) -> bool:
        request = {"url": url, "method": method, "type": kind, "initiator": SHOP}
        found = self._worker.evaluate(
            "request => chrome.declarativeNetRequest.testMatchOutcome(request)", request
        )
        rules = found["matchedRules"]
        actions = {self._actions[each["rulesetId"]][each["ruleId"]] for each in rules}
        return not actions.isdisjoint({"block", "redirect"})


def extension(folder: Path) -> dict[str, dict[int, str]]:
    """Write an unpacked extension with the rules. Returns each rule's action."""
    actions = {}
    for name in FILTERS:
        rules = json.loads((RULES / f"{name}/{name}.json").read_bytes())
        for rule in rules:
            # AdGuard's own data, which Chromium does not know
            rule.pop("metadata", None)
        (folder / f"{name}.json").write_text(json.dumps(rules))
        actions[name] = {rule["id"]: rule["action"]["type"] for rule in rules}
    resources = [{"id": name, "enabled": True, "path": f"{name}.json"} for name in FILTERS]
    manifest = {
        "manifest_version": 3,
        "name": "Ad blocker",
        "version": "1",
        "permissions": ["declarativeNetRequest", "declarativeNetRequestFeedback"],
        "host_permissions": ["<all_urls>"],
        "background": {"service_worker": "worker.js"},
        "declarative_net_request": {"rule_resources": resources},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "worker.js").touch()
    return actions


@contextmanager
def ad_blocker(chromium: BrowserType, folder: Path) -> Iterator[AdBlocker]:
    """A Chromium with the rules, which ends with the block. `folder` is empty."""
    (source := folder / "extension").mkdir()
    actions = extension(source)
    context = chromium.launch_persistent_context(
        folder / "profile",
        executable_path=EXECUTABLE,
        ignore_default_args=["--disable-extensions"],
        args=["--no-sandbox", *QUIET, f"--load-extension={source}"],
    )
    workers = context.service_workers
    worker = workers[0] if workers else context.wait_for_event("serviceworker", timeout=60_000)
    enabled = "() => chrome.declarativeNetRequest.getEnabledRulesets()"
    wait(lambda: set(worker.evaluate(enabled)) == set(FILTERS))
    yield AdBlocker(worker, actions)
    context.close()
