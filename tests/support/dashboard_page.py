"""The dashboard in a browser: made-up events, a backend with a key, and what the page did."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from playwright.sync_api import Locator, Page, Request

from gimel.backend.wire import MAX_BATCH
from tests.support.gimel_local import KEYS
from tests.support.http_server import granian
from tests.support.servers import free_port

KEY = "the read key / +%20"
READ_ONLY_KEY = "a key of the scope read"
KEYS_IN_URL = (KEY, urlencode({"key": KEY})[4:])

Arms = dict[str, tuple[int, dict[str, int]]]


def events(namespace: str, experiment: str, arms: Arms) -> Iterator[dict[str, str]]:
    """So many visitors of each variant, so many of them reaching each goal."""
    for variant, (visitors, goals) in arms.items():
        for goal, number in {"participate": visitors, **goals}.items():
            for visitor in range(number):
                yield {
                    "namespace": namespace,
                    "experiment": experiment,
                    "variant": variant,
                    "event": goal,
                    "uuid": f"{variant[:200]} {visitor}",
                }


def send(url: str, events: Iterable[dict[str, str]], batch_size: int = MAX_BATCH) -> None:
    """Send events through the open endpoint, in batches."""
    remaining = iter(events)
    with requests.Session() as session:
        while batch := list(islice(remaining, batch_size)):
            answer = session.post(f"{url}/e", json=batch, timeout=60)
            assert answer.json()["rejected"] == []


def address(url: str, **fragment: str) -> str:
    """The address of a view. The key of a `gimel local` is in it."""
    key = {"key": KEYS[url]} if url in KEYS else {}
    return f"{url}/dashboard#{urlencode(key | fragment)}"


class KeyedBackend:
    """The handlers as a process that asks for the key, as the deployed functions do."""

    key = KEY

    def __init__(self, redis_url: str) -> None:
        self.redis_url = redis_url
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        owner, reader = (hashlib.sha256(key.encode()).hexdigest() for key in (KEY, READ_ONLY_KEY))
        hashes = f"owner:{owner},read:{reader}"
        self._process = subprocess.Popen(
            granian("gimel.rsgi:app", port),
            env=os.environ | {"GIMEL_REDIS_URL": redis_url, "GIMEL_KEY_SHA256": hashes},
            stderr=subprocess.DEVNULL,
        )
        adapter = requests.adapters.HTTPAdapter(
            max_retries=requests.adapters.Retry(total=9, backoff_factor=0.1)
        )
        with requests.Session() as session:
            session.mount("http://", adapter)
            session.get(f"{self.url}/dashboard", timeout=60).raise_for_status()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)


class Watch:
    """What must never happen on the page, and the requests that it made."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.wrong: list[str] = []

    def follow(self, page: Page) -> None:
        page.on("request", self._request)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("console", lambda message: self._console(message.type, message.text))

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        if any(key in request.url for key in KEYS_IN_URL):
            self.wrong.append(f"key in {request.url}")

    def _console(self, kind: str, text: str) -> None:
        # Chromium reports each answer that is an error, and each that does not come.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.wrong.append(f"{kind}: {text}")

    def hosts(self) -> set[str]:
        return {urlsplit(request.url).netloc for request in self.requests} - {""}


Opener = Callable[..., Page]


@contextmanager
def held(page: Page, path: str) -> Iterator[None]:
    """Let no request for the path through until the context ends."""
    waiting: list[Any] = []
    page.route(path, lambda route: waiting.append(route))
    yield
    for route in waiting:
        route.continue_()
    page.unroute(path)


AXE = Path(__file__).parent.parent.parent / "build/node_modules/axe-core/axe.min.js"


def axe(page: Page) -> list[str]:
    """What axe-core finds: rule and element, all rules that it has on by default."""
    # Not as a script element: the page's policy allows none.
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run()")
    return [
        f"{violation['id']}: {node['html'][:150]} {[each['message'] for each in node['any']]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def tab_to(page: Page, selector: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def row(page: Page, name: str) -> Locator:
    return page.locator(".list tbody tr, .results tbody tr").filter(
        has=page.locator("th").get_by_text(name, exact=True)
    )


def fragment_of(page: Page) -> dict[str, str]:
    return dict(parse_qsl(page.url.partition("#")[2]))
