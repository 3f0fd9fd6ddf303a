"""A page with `gimel.js`: what it still has to send, and what was counted."""

from playwright.sync_api import Page

from gimel.client import Client

WAITING = "Object.keys(localStorage).filter((key) => key.startsWith('gimel:{')).length"


def wait_until_sent(page: Page, left: int = 0) -> None:
    """Wait until so many events are still to send."""
    page.wait_for_function(f"left => {WAITING} === left", arg=left)


def counts(client: Client, experiment: str, goal: str = "signup") -> tuple[int, int]:
    """Visitors and conversions over all variants."""
    found = client.experiment(experiment)
    trials = sum(variant["trials"] for variant in found["variants"])
    goals = {each["goal"]: each["results"] for each in found["goals"]}
    return trials, sum(result["successes"] for result in goals.get(goal, []))
