"""`python -m tests.screenshots`: every view of the dashboard into build/screenshots/.

Light and dark, at the width of a phone, a tablet, a laptop and a large screen. The experiments are
made up, and a real backend counted them. Those that the README shows go to docs/images/ too.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import redis
import requests
from playwright.sync_api import Browser, Page

from tests.support import verdict_experiments
from tests.support.chromium import chromium
from tests.support.dashboard_page import events as made_up
from tests.support.dashboard_page import send
from tests.support.declared_experiments import ARMS, put, tally
from tests.support.gimel_local import KEYS, LocalBackend, key_header

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build" / "screenshots"
IMAGES = ROOT / "docs" / "images"
NAMESPACE = "shop"
# Not in the namespace that the README shows
DECLARED, BUTTON = "declared", "Button colour"
STATES = "states"
WIDTHS = {"phone": 360, "tablet": 768, "laptop": 1280, "large": 2560}
IN_README = {"overview-light-laptop", "experiment-dark-laptop"}

Rates = dict[str, float]


class Made(NamedTuple):
    """A made-up experiment: visitors and rates of each variant, what it was told, its age."""

    arms: dict[str, tuple[int, Rates]]
    days: int
    settings: dict[str, object]


EXPERIMENTS = {
    "Signup form": Made(
        {
            "control": (11_840, {"signup": 0.084, "paid": 0.0121}),
            "one field": (11_910, {"signup": 0.101, "paid": 0.0146}),
            "one field, no password": (11_870, {"signup": 0.088, "paid": 0.0102}),
        },
        12,
        {"primary_goal": "signup"},
    ),
    "Pricing headline": Made(
        {
            "control": (6_020, {"plan chosen": 0.118}),
            "save 20 %": (5_960, {"plan chosen": 0.119}),
            "pay as you go": (6_090, {"plan chosen": 0.117}),
        },
        6,
        {},
    ),
    "Checkout / fewer steps": Made(
        {"control": (443, {"order": 0.152}), "two steps": (451, {"order": 0.166})}, 1, {}
    ),
    "Delivery promise": Made(
        {"control": (5_210, {"order": 0.061}), "tomorrow": (4_480, {"order": 0.071})}, 9, {}
    ),
    "Cookie banner": Made(
        {"bottom": (7_900, {"accepted": 0.64}), "modal": (7_850, {"accepted": 0.55})},
        21,
        {"baseline": "bottom", "state": "stopped"},
    ),
    "Search suggestions": Made(
        {
            "control": (9_400, {"result opened": 0.71}),
            "with images": (9_420, {"result opened": 0.712}),
        },
        34,
        {"equivalence": 0.06},
    ),
}


def events() -> Iterator[dict[str, str]]:
    """The events of all visitors, the same every time."""
    chance = random.Random(7)
    for experiment, made in EXPERIMENTS.items():
        for variant, (visitors, rates) in made.arms.items():
            for number in range(visitors):
                event = {
                    "namespace": NAMESPACE,
                    "experiment": experiment,
                    "variant": variant,
                    "uuid": f"{variant} {number}",
                }
                yield event | {"event": "participate"}
                for goal, rate in rates.items():
                    if chance.random() < rate:
                        yield event | {"event": goal}


def fill(url: str, data_dir: Path) -> None:
    """Let the backend count the experiments, and make them as old as they are said to be."""
    send(url, events())
    with redis.Redis(unix_socket_path=str(data_dir / "valkey.sock")) as store:
        for name, made in EXPERIMENTS.items():
            born = datetime.now(UTC) - timedelta(days=made.days, hours=1)
            key = f"{NAMESPACE}:{name}:settings"
            assert store.hset(key, "created_at", born.strftime("%Y-%m-%dT%H:%M:%SZ")) == 0
            fields = {"namespace": NAMESPACE, "experiment": name}
            requests.post(
                f"{url}/settings",
                params=fields,
                json=made.settings,
                headers=key_header(url),
                timeout=60,
            ).raise_for_status()
    put(url, DECLARED, BUTTON)
    send(url, made_up(DECLARED, BUTTON, ARMS))
    tally(data_dir, DECLARED, BUTTON, "Blue")


def views() -> dict[str, str]:
    """The fragments of the views."""
    return {
        "overview": f"namespace={NAMESPACE}",
        "experiment": f"namespace={NAMESPACE}&experiment={quote('Signup form')}",
        "alarm": f"namespace={NAMESPACE}&experiment={quote('Delivery promise')}",
        "declared": f"namespace={DECLARED}&experiment={quote(BUTTON)}",
        "empty": "namespace=new",
        "states": f"namespace={STATES}",
    } | {
        name.lower().replace(" ", "-"): f"namespace={STATES}&experiment={quote(name)}"
        for name in verdict_experiments.ALL
    }


def take(page: Page, name: str) -> None:
    """One screenshot: the whole page, but never less than a screen."""
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    if name in IN_README:
        IMAGES.mkdir(exist_ok=True)
        shutil.copy(path, IMAGES)


def visit(browser: Browser, url: str, scheme: str, size: str) -> None:
    """Every view, in one colour scheme at one width."""
    height = {"phone": 780, "tablet": 1024, "laptop": 800, "large": 1440}[size]
    page = browser.new_page(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": WIDTHS[size], "height": height},
        locale="en-GB",
    )
    for view, fragment in views().items():
        page.goto("about:blank")
        page.goto(f"{url}/dashboard#key={KEYS[url]}&{fragment}")
        page.wait_for_selector(".list tbody tr, .goal, .snippet")
        take(page, f"{view}-{scheme}-{size}")
    page.goto(f"{url}/dashboard#key={KEYS[url]}&{views()['experiment']}")
    page.get_by_role("button", name="Settings").click()
    take(page, f"settings-{scheme}-{size}")
    page.goto(f"{url}/dashboard#key={KEYS[url]}&namespace={DECLARED}")
    page.get_by_role("button", name="New experiment").click()
    take(page, f"create-{scheme}-{size}")
    create(page, f"Button colour, {scheme} {size}")
    take(page, f"created-{scheme}-{size}")
    page.close()


def create(page: Page, name: str) -> None:
    """Declare an experiment in the dialog that is open."""
    for label, text in {"Name": name, "Variant 1 (baseline)": "blue", "Variant 2": "red"}.items():
        page.get_by_role("textbox", name=label, exact=True).fill(text)
    page.get_by_role("textbox", name="Goal 1").fill("signup")
    page.get_by_role("button", name="Create").click()
    page.wait_for_selector("dialog .snippet")


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder, LocalBackend(Path(folder)) as backend:
        fill(backend.url, Path(folder))
        verdict_experiments.fill(backend, STATES)
        with chromium() as browser:
            for scheme in ("light", "dark"):
                for size in WIDTHS:
                    visit(browser, backend.url, scheme, size)
    print(f"{len(list(FOLDER.iterdir()))} screenshots in {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
