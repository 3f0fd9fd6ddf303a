"""Pages with `gimel.js`: their HTML, what they show, and what they still have to send."""

from typing import Any

from playwright.sync_api import BrowserContext, Page, Request

from gimel.snippet import attribute_name, snippet

_UNSENT = "Object.keys(localStorage).filter((key) => key.startsWith('gimel:{'))"
GOAL = '<button data-gimel-goal="signup">Sign up</button>'


def html(url: str, *experiments: str, linked: bool = False, **fields: Any) -> str:
    """A page with experiments, as `gimel snippet` prints them, and a button for a goal."""
    fields = {"variants": dict.fromkeys(("blue", "red"))} | fields
    script_url = url if linked else None
    tags = [snippet(url, script_url=script_url, experiment=name, **fields) for name in experiments]
    return f"<!doctype html><title>Shop</title>{''.join(tags)}<h1>Shop</h1>{GOAL}"


def shown(page: Page, experiment: str) -> str | None:
    return page.locator("html").get_attribute(attribute_name(experiment))


def unsent(page: Page) -> int:
    """The number of events that the tabs of this browser still have to send."""
    found: int = page.evaluate(f"{_UNSENT}.length")
    return found


def wait_until_sent(page: Page) -> None:
    # A function, because a page with a strict policy evaluates no expression.
    page.wait_for_function(f"() => {_UNSENT}.length === 0")


def posts(page: Page | BrowserContext) -> list[Request]:
    """The requests with events that are sent from now on."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    return sent
