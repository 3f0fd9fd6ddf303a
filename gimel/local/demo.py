"""The page of `gimel local --demo` to click through. `made_up` fills the dashboard beside it."""

from importlib.resources import files

from gimel import wsgi
from gimel.backend.limits import DEMO_NAMESPACE as NAMESPACE
from gimel.backend.wire import ProxyEvent, Response
from gimel.snippet import snippet

EXPERIMENT = "button colour"
VARIANTS = dict.fromkeys(("blue", "green"))
GOALS = ("clicked the button",)


def answer(event: ProxyEvent) -> Response:
    """Answer a request as the backend does, with the demo page at `/`."""
    if event["routeKey"] != "GET /":
        return wsgi.answer(event)
    # Without a URL, the page sends events to the host that it was opened from.
    script = snippet("", namespace=NAMESPACE, experiment=EXPERIMENT, variants=VARIANTS, goals=GOALS)
    html = (files("gimel.local") / "demo.html").read_text("utf-8")
    headers = {"content-type": "text/html; charset=utf-8"}
    return {
        "statusCode": 200,
        "headers": headers,
        "body": html.replace("<!-- snippet -->", script),
    }
