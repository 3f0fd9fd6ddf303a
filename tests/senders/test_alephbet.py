"""docs/senders/alephbet.md: its page and its storage, in Chromium."""

import os
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page

from gimel.alephbet import ALEPHBET_URL
from tests.support.documented_examples import examples, for_backend, visitors, wait_for
from tests.support.gimel_local import LocalBackend
from tests.support.shop import NO_LOCAL_STORAGE, Shop

PAGE = "senders/alephbet.md"
(HTML,) = examples(PAGE, "html")
(PRINT,) = examples(PAGE, "sh")
(STORAGE,) = examples(PAGE, "js")

# What a page of gimel 1.x does, with the storage of the page
OLD_PAGE = """url => {
  var experiment = new AlephBet.Experiment({
    name: "button color",
    storage_adapter: storage,
    tracking_adapter: new AlephBet.GimelAdapter(url, "alephbet", storage),
    variants: {blue: {activate: () => {}}, red: {activate: () => {}}}
  });
  var goal = new AlephBet.Goal("signup");
  experiment.add_goal(goal);
  goal.complete();
}"""


def test_a_new_page(page: Page, shop: Shop, local: LocalBackend, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["sh", "-ec", for_backend(PRINT, local.url)]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"PATH": path}, check=True)
    assert "<!-- snippet.html -->" in HTML
    printed = (tmp_path / "snippet.html").read_text("utf-8")
    shop.html = HTML.replace("<!-- snippet.html -->", printed)
    page.goto(shop.url)
    page.locator("html[data-gimel-button-color]").wait_for()
    color = str(page.locator("html").get_attribute("data-gimel-button-color"))
    page.get_by_role("button", name="Sign up").click()
    wait_for(local.client, "signup", 1)
    assert visitors(local.client) == {color: 1}


def test_the_storage_for_old_pages(page: Page, shop: Shop, local: LocalBackend) -> None:
    script = f'<script src="{ALEPHBET_URL}" crossorigin="anonymous"></script>'
    shop.html = f"<!doctype html><title>Shop</title>{script}<script>{STORAGE}</script>"
    page.add_init_script(NO_LOCAL_STORAGE)
    page.goto(shop.url)
    page.evaluate(OLD_PAGE, f"{local.url}/e")
    wait_for(local.client, "signup", 1)
