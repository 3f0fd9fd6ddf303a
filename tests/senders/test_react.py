"""docs/senders/react.md, built by esbuild and by Next.js, in Chromium."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from gimel import Client
from tests.support.documented_examples import examples, for_backend, visitors, wait_for, write
from tests.support.gimel_local import LocalBackend
from tests.support.http_server import serving
from tests.support.servers import free_port
from tests.support.shop import Shop

pytestmark = pytest.mark.slow

PAGE = "senders/react.md"
MODULES = (Path(__file__).parents[2] / "build" / "node_modules").resolve()
COLORS = {"blue": "rgb(0, 0, 255)", "red": "rgb(255, 0, 0)"}


@pytest.fixture
def project(tmp_path: Path, local: LocalBackend) -> Path:
    """A folder with every file of the page, and npm's packages."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "node_modules").symlink_to(MODULES)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    (code,) = examples(PAGE, "sh")
    command = ["sh", "-ec", for_backend(code, local.url)]
    subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, check=True)
    for code in (*examples(PAGE, "jsx"), *examples(PAGE, "js")):
        write(code, folder, local.url)
    return folder


def fail_at_errors(page: Page, errors: list[str]) -> None:
    page.on("pageerror", lambda error: errors.append(str(error)))

    def note(line: ConsoleMessage) -> None:
        # The browser asks for a favicon by itself.
        if line.type == "error" and not line.location["url"].endswith("/favicon.ico"):
            errors.append(line.text)

    page.on("console", note)


def sign_up(page: Page) -> str:
    """Click the button. Return its color."""
    button = page.get_by_role("button", name="Sign up")
    button.click()
    return {value: name for name, value in COLORS.items()}[
        button.evaluate("element => getComputedStyle(element).color")
    ]


def test_react(browser: Browser, shop: Shop, local: LocalBackend, project: Path) -> None:
    program = str(MODULES / ".bin" / "esbuild")
    command = [program, "app.jsx", "--bundle", "--jsx=automatic", "--outfile=app.js"]
    mode = '--define:process.env.NODE_ENV="development"'
    subprocess.run([*command, mode], cwd=project, check=True)
    script = (project / "app.js").read_text("utf-8")
    shop.html = f"<!doctype html><title>Shop</title><div id=root></div><script>{script}</script>"
    shown: list[str] = []
    errors: list[str] = []
    for _ in range(4):
        context = browser.new_context()
        page = context.new_page()
        fail_at_errors(page, errors)
        page.goto(shop.url)
        shown.append(sign_up(page))
        page.reload()
        assert sign_up(page) == shown[-1]
        context.close()
    wait_for(local.client, "signup", 4)
    assert visitors(local.client) == {each: shown.count(each) for each in set(shown)}
    assert errors == []


@contextmanager
def next_server(folder: Path) -> Iterator[str]:
    """Build and start the site. Yields its address."""
    program = str(MODULES / ".bin" / "next")
    # Only because npm's packages are in another folder.
    root = os.path.commonpath([folder.resolve(), MODULES])
    config = f"export default {{ turbopack: {{ root: {json.dumps(root)} }} }};"
    (folder / "next.config.mjs").write_text(config)
    environ = {"NEXT_TELEMETRY_DISABLED": "1", "CI": "1"}
    subprocess.run([program, "build"], cwd=folder, env=os.environ | environ, check=True)
    port = free_port()
    command = [program, "start", str(folder), "--hostname", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with serving(command, url, environ):
        yield url


def test_next(browser: Browser, local: LocalBackend, project: Path) -> None:
    expected = Client(None).experiment("button color", list(COLORS))
    shown: list[str] = []
    errors: list[str] = []
    with next_server(project) as site:
        for number in range(6):
            # A visitor who has been here, and one who is new.
            cookies = {"gimel_id": f"visitor-{number}"} if number % 2 else {}
            answer = requests.get(site, cookies=cookies, timeout=60)
            visitor = answer.cookies.get("gimel_id") or cookies["gimel_id"]
            color = expected.variant(visitor)
            assert f'style="color:{color}"' in answer.text
            context = browser.new_context()
            context.add_cookies([{"name": "gimel_id", "value": visitor, "url": site}])
            page = context.new_page()
            fail_at_errors(page, errors)
            page.goto(site)
            expect(page.locator("html")).to_have_attribute("data-gimel-button-color", color)
            assert sign_up(page) == color
            shown.append(color)
            wait_for(local.client, "signup", number + 1)
            context.close()
        opted_out = requests.get(site, cookies={"gimel_id": "opted out"}, timeout=60)
        assert 'style="color:blue"' in opted_out.text
    assert visitors(local.client) == {each: shown.count(each) for each in set(shown)}
    assert errors == []
