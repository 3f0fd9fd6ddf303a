"""The demo of `gimel local --demo`: a few made-up experiments, and a page to click through."""

import random
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from typing import NamedTuple

from gimel import wsgi
from gimel.alephbet import alephbet_snippet
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.limits import DEMO_NAMESPACE as NAMESPACE
from gimel.backend.wire import MAX_BATCH, Event, ProxyEvent, Response

EXPERIMENT = "button colour"
VARIANTS = ("blue", "green")
GOALS = ("clicked the button",)


class Arm(NamedTuple):
    """A made-up variant: its number of visitors, and the rate of each goal."""

    variant: str
    visitors: int
    rates: dict[str, float]


EXPERIMENTS: dict[str, list[Arm]] = {
    "signup form": [
        Arm("control", 11_840, {"signup": 0.084, "paid": 0.0121}),
        Arm("one field", 11_910, {"signup": 0.101, "paid": 0.0146}),
    ],
    "pricing headline": [
        Arm("control", 6_020, {"plan chosen": 0.118}),
        Arm("save 20 %", 5_960, {"plan chosen": 0.119}),
        Arm("pay as you go", 6_090, {"plan chosen": 0.117}),
    ],
    "checkout / fewer steps": [
        Arm("control", 143, {"order": 0.052}),
        Arm("two steps", 151, {"order": 0.066}),
    ],
}


def fill(counters: Counters) -> None:
    """Count the made-up visitors. A second call adds nothing, since their uuids stay the same."""
    events = _events()
    while batch := list(islice(events, MAX_BATCH)):
        counters.add(batch)


def _events() -> Iterator[Event]:
    generator = random.Random(3)  # noqa: S311 - the same visitors every time, no secret
    for experiment, arms in EXPERIMENTS.items():
        for arm in arms:
            for number in range(arm.visitors):
                uuid = f"{arm.variant}-{number}"
                yield Event(NAMESPACE, experiment, PARTICIPATE, arm.variant, uuid)
                for goal, rate in arm.rates.items():
                    if generator.random() < rate:
                        yield Event(NAMESPACE, experiment, goal, arm.variant, uuid)


def answer(event: ProxyEvent) -> Response:
    """Answer a request as the backend does, with the demo page at `/`."""
    if event["routeKey"] != "GET /":
        return wsgi.answer(event)
    # Without a URL, the page sends events to the host that it was opened from.
    headers = {"content-type": "text/html; charset=utf-8"}
    return {"statusCode": 200, "headers": headers, "body": page(url="")}


def page(url: str) -> str:
    """Return the HTML of the page, with the snippet as `gimel snippet` prints it."""
    script = alephbet_snippet(
        url, namespace=NAMESPACE, experiment=EXPERIMENT, variants=VARIANTS, goals=GOALS
    )
    return (
        (files("gimel.local") / "demo.html").read_text("utf-8").replace("<!-- snippet -->", script)
    )
