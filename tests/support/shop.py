"""A site that uses Gimel, and AlephBet from npm's package in place of its CDN."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route

from gimel.client import BackendClient

ALEPHBET = Path(__file__).parent.parent.parent / "build/node_modules/alephbet/dist/alephbet.min.js"


def serve_alephbet(route: Route) -> None:
    headers = {"access-control-allow-origin": "*", "content-type": "text/javascript"}
    route.fulfill(body=ALEPHBET.read_bytes(), headers=headers)


class Shop:
    """The site under test, on an origin of its own: one page that holds snippets, at all paths."""

    def __init__(self) -> None:
        self.html = ""
        self.headers: dict[str, str] = {}
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = shop.html.encode()
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                for name, value in shop.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def show(self, *snippets: str) -> None:
        goals = "".join(
            f"<button data-goal={goal!r}>{goal}</button>" for goal in ("signup", "page view")
        )
        self.html = f"<!doctype html><title>Shop</title>{''.join(snippets)}<h1>Shop</h1>{goals}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


# In the queue of one of AlephBet's adapters, or in the snippet's
QUEUED = """() => Object.entries(JSON.parse(localStorage.alephbet || "{}"))
    .filter(([name]) => name.endsWith("_queue"))
    .flatMap(([, queue]) => JSON.parse(queue))
    .concat(Object.keys(localStorage).filter(key => key.startsWith("gimel-queue "))).length"""


def wait_for_queue(page: Page, length: int) -> None:
    """Wait until so many events are still to be sent."""
    page.wait_for_function(f"length => ({QUEUED})() === length", arg=length)


def counts(client: BackendClient, experiment: str) -> tuple[int, dict[str, int]]:
    """Visitors, and each goal's conversions, over all variants."""
    found = client.experiment(experiment)
    goals = {
        goal["goal"]: sum(row["successes"] for row in goal["results"]) for goal in found["goals"]
    }
    return sum(each["trials"] for each in found["variants"]), goals


# As a browser does when a visitor blocks all site data
NO_LOCAL_STORAGE = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("Access is denied for this document.", "SecurityError"); }
});"""
