"""Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

QUIET = ("--disable-background-networking", "--disable-component-update", "--no-first-run")


expect.set_options(timeout=60_000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium that ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "chromium", args=["--no-sandbox", *QUIET]
        )
        yield browser
        browser.close()
