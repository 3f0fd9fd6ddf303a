"""The browser clients in Chromium: requests, bytes and lost events. `python -m bench.clients`.

AlephBet's own adapter, AlephBet in the snippet, and gimel.js make the same visits. The endpoint
counts what reaches it. It fails when a visit asks for that.
"""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page

from gimel.alephbet import ALEPHBET_URL, alephbet_snippet
from gimel.snippet import snippet
from tests.support.chromium import chromium
from tests.support.shop import Shop, serve_alephbet

GOALS = [f"goal {number}" for number in range(1, 31)]
EXPERIMENT = "button color"
# Seconds: between two clicks; for what is on its way; for a client that waits before it tries again
PAUSE, QUIET, LONGEST = 0.2, 3.0, 45.0
LEAVING = 10

_ADAPTER = f"""<script src="{ALEPHBET_URL}"></script><script>
  var experiment = new AlephBet.Experiment({{
    name: "{EXPERIMENT}", variants: {{blue: {{activate() {{}}}}, red: {{activate() {{}}}}}},
    tracking_adapter: new AlephBet.GimelAdapter("URL/e", "alephbet")
  }});
  function reach(name) {{
    var goal = new AlephBet.Goal(name);
    experiment.add_goal(goal);
    goal.complete();
  }}
</script>"""


class Endpoint:
    """An endpoint for events, which may fail. It counts requests, their bytes, and events."""

    def __init__(self) -> None:
        self.is_failing = False
        self.forget()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fields = parse_qs(urlsplit(self.path).query)
                self._answer([{name: values[0] for name, values in fields.items()}], b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self._answer(json.loads(body), body)

            def _answer(self, events: list[dict[str, Any]], body: bytes) -> None:
                endpoint.requests += 1
                endpoint.bytes += len(self.raw_requestline) + len(self.headers.as_bytes())
                endpoint.bytes += len(body)
                if not endpoint.is_failing:
                    endpoint.events |= {each["event"] for each in events}
                self.send_response(503 if endpoint.is_failing else 200)
                self.send_header("access-control-allow-origin", "*")
                self.end_headers()
                answer: dict[str, Any] = {"error": "the counters are out of reach", "field": None}
                if not endpoint.is_failing:
                    answer = {"accepted": len(events), "ignored": 0, "reasons": {}, "rejected": []}
                self.wfile.write(json.dumps(answer, separators=(",", ":")).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def forget(self) -> None:
        self.requests = self.bytes = 0
        self.events: set[str] = set()

    def lost(self, expected: set[str], seconds: float = LONGEST) -> int:
        """The events that are missing when all have come, or the time is up."""
        until = time.monotonic() + seconds
        while expected - self.events and time.monotonic() < until:
            time.sleep(0.2)
        return len(expected - self.events)


class Client(NamedTuple):
    """A client: its HTML for an endpoint, and the call that reaches a goal."""

    name: str
    html: Callable[[str], str]
    reach: str


CLIENTS = [
    Client("AlephBet's adapter", lambda url: _ADAPTER.replace("URL", url), "reach"),
    Client(
        "AlephBet in the snippet",
        lambda url: alephbet_snippet(
            url, experiment=EXPERIMENT, variants=("blue", "red"), goals=GOALS
        ),
        "gimelGoal",
    ),
    Client(
        "gimel.js",
        lambda url: snippet(
            url, experiment=EXPERIMENT, variants=dict.fromkeys(("blue", "red")), goals=GOALS
        ),
        "gimel.goal",
    ),
]


class Visits:
    """The visits of one client, each with a new profile of the browser."""

    def __init__(self, client: Client, browser: Browser, shop: Shop, endpoint: Endpoint) -> None:
        self._client, self._browser, self._shop = client, browser, shop
        self._endpoint = endpoint

    def _visit(self) -> tuple[BrowserContext, Page]:
        self._endpoint.forget()
        context = self._browser.new_context()
        context.route(ALEPHBET_URL, serve_alephbet)
        page = context.new_page()
        self._shop.html = "<!doctype html><title>Shop</title>" + self._client.html(
            self._endpoint.url
        )
        page.goto(self._shop.url)
        return context, page

    def _reach(self, page: Page, goals: list[str]) -> None:
        for goal in goals:
            page.evaluate(f"goal => {{ {self._client.reach}(goal) }}", goal)
            page.wait_for_timeout(1000 * PAUSE)

    def row(self) -> list[str]:
        plain = self._plain()
        failing = self._failing()
        return [self._client.name, *plain, *failing, self._leaving(), self._offline()]

    def _plain(self) -> list[str]:
        context, page = self._visit()
        self._reach(page, GOALS[:5])
        lost = self._endpoint.lost({"participate", *GOALS[:5]})
        page.wait_for_timeout(1000 * QUIET)
        assert not lost
        context.close()
        return [str(self._endpoint.requests), f"{self._endpoint.bytes:,}"]

    def _failing(self) -> list[str]:
        self._endpoint.is_failing = True
        context, page = self._visit()
        self._reach(page, GOALS)
        requests = self._endpoint.requests
        self._endpoint.is_failing = False
        page.reload()
        lost = self._endpoint.lost({"participate", *GOALS})
        context.close()
        return [str(requests), str(lost)]

    def _leaving(self) -> str:
        lost = 0
        for _ in range(LEAVING):
            context, page = self._visit()
            self._endpoint.lost({"participate"}, QUIET)
            page.evaluate(
                f"() => {{ {self._client.reach}('goal 1'); location.href = 'about:blank' }}"
            )
            lost += self._endpoint.lost({"goal 1"}, QUIET)
            context.close()
        return f"{lost} of {LEAVING}"

    def _offline(self) -> str:
        context, page = self._visit()
        self._endpoint.lost({"participate"}, QUIET)
        context.set_offline(True)
        self._reach(page, GOALS[:10])
        context.set_offline(False)
        page.reload()
        lost = self._endpoint.lost(set(GOALS[:10]))
        context.close()
        return f"{lost} of 10"


HEAD = [
    "client",
    "requests of a visit",
    "bytes",
    "requests while the endpoint fails",
    "not sent 45 s after a reload, of 31",
    "lost on leaving",
    "not sent after offline and a reload",
]


def main() -> None:
    print("|".join(["", *HEAD, ""]))
    print("|".join(["", *["---"] * len(HEAD), ""]))
    shop, endpoint = Shop(), Endpoint()
    with chromium() as browser:
        for client in CLIENTS:
            row = Visits(client, browser, shop, endpoint).row()
            print("|".join(["", *row, ""]), flush=True)
    shop.close()


if __name__ == "__main__":
    main()
