"""A site that uses Gimel, and AlephBet from npm's package in place of its CDN."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route

ALEPHBET = Path(__file__).parent.parent.parent / "build/node_modules/alephbet/dist/alephbet.min.js"


def serve_alephbet(route: Route) -> None:
    headers = {"access-control-allow-origin": "*", "content-type": "text/javascript"}
    route.fulfill(body=ALEPHBET.read_bytes(), headers=headers)


class Shop:
    """The site under test, on an origin of its own: one page that holds the snippet."""

    def __init__(self) -> None:
        self.html = ""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = shop.html.encode()
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def show(self, snippet: str) -> None:
        goals = "".join(
            f"<button data-goal={goal!r}>{goal}</button>" for goal in ("signup", "page view")
        )
        self.html = f"<!doctype html><title>Shop</title>{snippet}{goals}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


QUEUED = """() => Object.entries(JSON.parse(localStorage.alephbet || "{}"))
    .filter(([name]) => name.endsWith("_queue"))
    .flatMap(([, queue]) => JSON.parse(queue)).length"""


def wait_for_queue(page: Page, length: int) -> None:
    """Wait until AlephBet has so many events still to send."""
    page.wait_for_function(f"length => ({QUEUED})() === length", arg=length)
