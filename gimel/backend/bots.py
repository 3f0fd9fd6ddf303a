"""Bots: senders whose User-Agent says that they are a crawler or a headless browser.

Googlebot runs JavaScript, so a crawled page takes part in its experiments. HTTP libraries such as
curl and python-requests are how servers send events: they are senders, not bots.
"""

import os
from functools import lru_cache

from gimel.backend import wire
from gimel.backend.wire import ProxyEvent

# Parts of a User-Agent in lower case. A search for each is quicker than compiling one pattern at
# every cold start.
_PARTS = (
    *("bot", "crawl", "spider", "slurp", "headless", "phantomjs", "lighthouse", "pagespeed"),
    *("facebookexternalhit", "bingpreview", "uripreview", "scraper", "scrapy", "mediapartners"),
    *("google-read", "google-inspection", "google-safety", "feedfetcher", "ia_archiver"),
    *("archive.org", "uptime", "pingdom", "statuscake", "site24x7", "prerender", "puppeteer"),
    *("playwright", "selenium", "webdriver", "cypress"),
)
# a maker of phones
_NOT_A_BOT = "cubot"
# Characters of a User-Agent that are looked at, and remembered
_LONGEST = 1000


@lru_cache(1000)
def is_bot(user_agent: str) -> bool:
    """Return whether a User-Agent declares a bot or a headless browser."""
    text = user_agent.lower().replace(_NOT_A_BOT, "")
    return any(part in text for part in _PARTS)


def comes_from_bot(event: ProxyEvent) -> bool:
    """Return whether a request comes from a bot, and bots are not to be counted."""
    # The environment is read last: that takes longer than the rest.
    user_agent = wire.header(event, "user-agent")[:_LONGEST]
    return is_bot(user_agent) and os.environ.get("GIMEL_BOTS") != "count"
