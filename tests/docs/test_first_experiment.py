"""docs/first-experiment.md, from its top to its end: commands, files, and what is shown of them."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gimel.client import BackendClient
from tests.support.deployments import Deployment
from tests.support.documented_examples import visitors, wait_for
from tests.support.documented_pages import Shell, assert_shown
from tests.support.pages import DOCS, blocks
from tests.support.servers import free_port
from tests.support.shop import Shop

pytestmark = pytest.mark.slow

BLOCKS = blocks(DOCS / "first-experiment.md")
START, *LOCAL, AWS = BLOCKS
HTML = [block.code for block in BLOCKS if block.language == "html"]
RED, BLUE = "rgb(255, 0, 0)", "rgb(0, 0, 255)"


@contextmanager
def server(shell: Shell, port: int) -> Iterator[str]:
    """Run the first commands of the page, the last of which goes on. Gives what it prints."""
    install = r"^(?:python3 -m venv|pip install) .*\n"
    command = re.sub(install, "", START.code, flags=re.M).strip()
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command} --port {port}"],
        cwd=shell.folder,
        env=shell.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    printed = ""
    try:
        for line in process.stdout:
            printed += line
            if line.startswith("Ctrl-C"):
                break
        yield printed
    finally:
        process.terminate()
        process.communicate(timeout=60)


def color(page: Page) -> str:
    button = page.get_by_role("button", name="Sign up")
    return str(button.evaluate("button => getComputedStyle(button).backgroundColor"))


def test_the_page_from_top_to_end(page: Page, shop: Shop, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    shell = Shell(tmp_path, {"http://127.0.0.1:8000": url})

    def visit() -> None:
        client = BackendClient(url, (tmp_path / "first-experiment" / "key").read_text().strip())
        page.goto((tmp_path / "shop.html").as_uri())
        seen = color(page)
        page.get_by_role("button", name="Sign up").click()
        wait_for(client, "signup", 1)
        page.reload()
        assert color(page) == seen
        # What a reader sees who opens the page from a server, and looks at each variant
        shop.html = (tmp_path / "shop.html").read_text()
        button = page.get_by_role("button", name="Sign up")
        for name, expected in (("red", RED), ("blue", BLUE)):
            page.goto(f"{shop.url}?gimel=button%20color:{name}")
            expect(button).to_have_css("background-color", expected)
        assert visitors(client) == {"blue": seen == BLUE, "red": seen == RED}

    with server(shell, port) as printed:
        for _, _, language, code in LOCAL:
            if language == "text":
                assert_shown(shell.replace(code), printed)
            elif language == "html":
                (tmp_path / "shop.html").write_text(shell.replace(code))
                if code == HTML[0]:
                    visit()
            else:
                printed = shell.run(code)
    assert not (tmp_path / "first-experiment").exists()
    assert not (tmp_path / "shop.html").exists()


def test_the_shipped_page_needs_no_script(page: Page, shop: Shop) -> None:
    shop.html = HTML[1]
    page.goto(shop.url)
    assert color(page) == RED
    assert "gimel" not in HTML[1]
    assert len(HTML[0].splitlines()) < 30


def test_the_same_on_aws(deployed: Deployment, tmp_path: Path) -> None:
    configure, deploy, *rest = AWS.code.splitlines()
    shell = Shell(tmp_path, {})
    assert "config.json is valid." in shell.run(configure)
    (tmp_path / "config.json").write_text(deployed.config_file.read_text())
    shell.run(deploy)
    printed = [shell.run(command) for command in rest]
    # Other tests use this stack too.
    shell.run("gimel delete 'button color' --forget --yes")
    assert "button color: created" in printed[0]
    assert deployed.url in printed[1]
    assert "keep collecting" in printed[2]


def test_a_page_that_shows_something_else_is_found() -> None:
    with pytest.raises(AssertionError, match="the page shows 'b'"):
        assert_shown("a\nb\n", "a\nc\nb\n")
    assert_shown("a\n…\nb  5 │──●│\n", "a\nc\nb 5  │─●─│\n")
    assert_shown("at 2026-01-01: 20,004 of …\n", "at 2027-02-03: 20,104 of 20\n")
    with pytest.raises(AssertionError):
        assert_shown("20,004\n", "25,004\n")
