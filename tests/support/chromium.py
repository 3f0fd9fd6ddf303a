"""Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

EXECUTABLE = shutil.which("chromium") or "chromium"
QUIET = ("--disable-background-networking", "--disable-component-update", "--no-first-run")
# A visitor's: a headless browser says that it is one, and is ignored as a bot.
VISITOR = (
    "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)


expect.set_options(timeout=60_000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium that ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=EXECUTABLE,
            args=["--no-sandbox", VISITOR, *QUIET],
        )
        yield browser
        browser.close()
