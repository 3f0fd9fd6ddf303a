"""`python -m tests.screenshots`: every view and dialog of the dashboard, into build/screenshots/.

Light and dark, at the width of a phone, a tablet, a laptop and a large screen. The experiments are
those of `gimel local --demo`, and those of the tests. Pictures that the documents show go to
docs/images/ too.
"""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page

from gimel.backend.limits import DEMO_NAMESPACE
from gimel.local.made_up import EXPERIMENTS
from tests.support import verdict_experiments
from tests.support.chromium import chromium
from tests.support.dashboard_page import events, send
from tests.support.declared_experiments import ARMS, put, tally
from tests.support.gimel_local import LocalBackend

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build" / "screenshots"
IMAGES = ROOT / "docs" / "images"
STATES, DECLARED, IGNORING = "states", "declared", "Button colour"
WIDTHS = {"phone": 360, "tablet": 768, "laptop": 1280, "large": 1920}
IN_DOCUMENTS = {"overview-light-laptop", "signup-form-dark-laptop"}


def views() -> dict[str, str]:
    """Return the fragment of each view, by its name."""
    of = f"namespace={STATES}&experiment="
    return {
        "overview": f"namespace={DEMO_NAMESPACE}",
        "empty": "namespace=new",
        "states": f"namespace={STATES}",
        "declared": f"namespace={DECLARED}&experiment={quote(IGNORING)}",
        **{
            _name(each): f"namespace={DEMO_NAMESPACE}&experiment={quote(each)}"
            for each in EXPERIMENTS
        },
        **{_name(each): of + quote(each) for each in verdict_experiments.ALL},
    }


def _name(experiment: str) -> str:
    return experiment.lower().replace(" / ", " ").replace(" ", "-")


# The button that opens a dialog of an experiment's view
DIALOGS = {"settings": "Settings", "decide": "Decide…"}


class Camera:
    """A page in one colour scheme at one width, which saves what it shows."""

    def __init__(self, browser: Browser, backend: LocalBackend, scheme: str, size: str) -> None:
        height = {"phone": 780, "tablet": 1024, "laptop": 800, "large": 1080}[size]
        self.page: Page = browser.new_page(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": WIDTHS[size], "height": height},
            locale="en-GB",
        )
        self.address = f"{backend.url}/dashboard#key={backend.key}&"
        self.suffix = f"{scheme}-{size}"

    def open(self, fragment: str) -> None:
        self.page.goto("about:blank")
        self.page.goto(self.address + fragment)
        self.page.wait_for_selector(".list tbody tr, .goal, .snippet:visible")
        self.page.wait_for_load_state("networkidle")

    def take(self, view: str) -> None:
        """Save what is on the screen; of a view that the documents show, for them too."""
        path = FOLDER / f"{view}-{self.suffix}.png"
        self.page.screenshot(path=path, animations="disabled")
        if path.stem in IN_DOCUMENTS:
            shutil.copy(path, IMAGES)

    def take_whole(self, view: str) -> None:
        path = FOLDER / f"{view}-{self.suffix}-whole.png"
        self.page.screenshot(path=path, animations="disabled", full_page=True)

    def tour(self) -> None:
        for view, fragment in views().items():
            self.open(fragment)
            self.take(view)
            self.take_whole(view)
        for view, button in DIALOGS.items():
            self.open(views()["signup-form"])
            self.page.get_by_role("button", name=button).click()
            self.take(view)
        self.open(f"namespace={DECLARED}")
        self.page.get_by_role("button", name="New experiment").click()
        self.take("create")
        self._create(f"Button colour, {self.suffix}")
        self.take("created")
        self.page.close()

    def _create(self, name: str) -> None:
        """Declare an experiment in the dialog that is open."""
        texts = {"Name": name, "Variant 1 (baseline)": "blue", "Variant 2": "red"}
        for label, text in texts.items():
            self.page.get_by_role("textbox", name=label, exact=True).fill(text)
        self.page.get_by_role("textbox", name="Goal 1").fill("signup")
        self.page.get_by_role("button", name="Create").click()
        self.page.wait_for_selector("dialog .snippet")


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder, LocalBackend(Path(folder), "--demo") as backend:
        verdict_experiments.fill(backend, STATES)
        put(backend.url, DECLARED, IGNORING)
        send(backend.url, events(DECLARED, IGNORING, ARMS))
        tally(Path(folder), DECLARED, IGNORING, "Blue")
        with chromium() as browser:
            for scheme in ("light", "dark"):
                for size in WIDTHS:
                    Camera(browser, backend, scheme, size).tour()
    print(f"{len(list(FOLDER.iterdir()))} screenshots in {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
