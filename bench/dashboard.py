"""The dashboard in Chromium: bytes, and time until its rows are drawn and it obeys."""

import statistics
from collections.abc import Iterator
from urllib.parse import quote

import requests
from playwright.sync_api import Browser

from bench.harness import Lines
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.chromium import chromium
from tests.support.http_server import granian, serving
from tests.support.servers import free_port

HEAD = (
    "experiments",
    "page",
    "data",
    "first paint",
    "data here",
    "interactive",
    "of it the page's own work",
    "a refresh that changes all",
)
SIZES = (1, 50, 500)
ROUNDS = 5
VISITORS = 20

# When the rows of all pages are there, painted, and the main thread is free again.
_WATCH = """
    window.interactive = new Promise((done) => {
      new MutationObserver((_, observer) => {
        if (!document.querySelector(".list tbody tr") || document.querySelector(".loaded")) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now())));
      }).observe(document, { childList: true, subtree: true });
    });
"""
_TIMES = """async () => {
    const interactive = await window.interactive;
    const data = performance.getEntriesByType("resource")
      .findLast((each) => each.name.includes("experiments?"));
    const paint = await new Promise((done) => new PerformanceObserver((list) =>
      list.getEntriesByName("first-contentful-paint").forEach(done)
    ).observe({ type: "paint", buffered: true }));
    const work = interactive - data.responseEnd;
    const answer = app.answers.values().next().value;
    for (const each of answer.data.slice(1)) for (const variant of each.variants) variant.trials++;
    const before = performance.now();
    draw();
    document.body.getBoundingClientRect();
    return [paint.startTime, data.responseEnd, interactive, work, performance.now() - before];
}"""


def _fill(counters: Counters, experiments: int) -> None:
    """Experiments of two variants and two goals, in a namespace named by their number."""
    for number in range(experiments):
        counters.add(
            [
                Event(str(experiments), f"test {number}", goal, variant, f"{variant} {visitor}")
                for variant in ("control", "treatment")
                for goal, every in ((PARTICIPATE, 1), ("signup", 3), ("paid", 7))
                for visitor in range(0, VISITORS, every)
            ]
        )


def _load(browser: Browser, url: str, experiments: int) -> list[float]:
    """One load with nothing cached; milliseconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.goto(f"{url}/dashboard#namespace={experiments}")
    times: list[float] = page.evaluate(_TIMES)
    context.close()
    return times


def _bytes(url: str) -> int:
    """What of the answer goes over the wire, gzipped as for a browser."""
    return int(requests.get(url, timeout=30).headers["content-length"])


def _pages(url: str, experiments: int) -> Iterator[str]:
    """Yield the URLs that the overview requests."""
    address = f"{url}/experiments?namespace={experiments}&view=summary&limit=100"
    query: str | None = ""
    while query is not None:
        yield address + query
        after = requests.get(address + query, timeout=30).json()[0]["meta"]["next"]
        query = None if after is None else f"&after={quote(after)}"


def measure(port: int) -> Lines:
    """The median of each over the rounds, the sizes in turn."""
    redis_url = f"redis://127.0.0.1:{port}/0"
    counters = Counters(Connection(redis_url), limits=Limits(experiments=max(SIZES)))
    for size in SIZES:
        _fill(counters, size)
    url = f"http://127.0.0.1:{(own := free_port())}"
    environ = {"GIMEL_REDIS_URL": redis_url, "GIMEL_KEY_SHA256": "none"}
    with serving(granian("gimel.rsgi:app", own), url, environ):
        with chromium() as browser:
            rounds = [{size: _load(browser, url, size) for size in SIZES} for _ in range(ROUNDS)]
        page = _bytes(f"{url}/dashboard")
        data = {size: sum(_bytes(page) for page in _pages(url, size)) for size in SIZES}
    return [
        (
            f"{size}",
            f"{page / 1000:.1f} KB",
            f"{data[size] / 1000:.1f} KB",
            *(
                f"{statistics.median(times):.0f} ms"
                for times in zip(*(each[size] for each in rounds), strict=True)
            ),
        )
        for size in SIZES
    ]
