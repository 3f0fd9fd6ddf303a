"""Bots are ignored and tallied; senders are not bots."""

import pytest
import redis

from gimel.backend import process
from gimel.backend.bots import is_bot
from tests.support.handler_requests import call

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)
BOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    CHROME.replace("Chrome/", "HeadlessChrome/"),
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1",
    f"{CHROME} Chrome-Lighthouse",
]  # fmt: skip
VISITORS = [
    "",
    CHROME,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    *("curl/8.5.0", "python-requests/2.32.3", "Python-urllib/3.13", "axios/1.7.7", "node"),
    *("okhttp/4.12.0", "Go-http-client/2.0", "Wget/1.21.4"),
]  # fmt: skip
EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}


@pytest.mark.parametrize("user_agent", BOTS)
def test_a_bot(user_agent: str) -> None:
    assert is_bot(user_agent)


@pytest.mark.parametrize("user_agent", VISITORS)
def test_no_bot(user_agent: str) -> None:
    assert not is_bot(user_agent)


def test_a_bots_events_are_ignored_and_leave_nothing(backend: redis.Redis) -> None:
    answer = call("GET", "/e", EVENT, headers={"user-agent": BOTS[0]})
    counted_none = {"accepted": 0, "ignored": 1, "reasons": {"bot": 1}, "rejected": []}
    assert (answer.status, answer.body) == (200, counted_none)
    assert backend.dbsize() == 0


def test_a_mistake_of_a_bot_is_a_mistake(backend: redis.Redis) -> None:
    assert call("GET", "/e", EVENT | {"uuid": ""}, headers={"user-agent": BOTS[0]}).status == 400


def test_one_setting_counts_them(backend: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIMEL_BOTS", "count")
    answer = call("GET", "/e", EVENT, headers={"user-agent": BOTS[0]})
    assert answer.body["accepted"] == 1


def test_they_are_tallied(backend: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    call("GET", "/e", EVENT)
    now = [0.0]
    monkeypatch.setattr(process.counters(), "_clock", lambda: now[0])
    for _ in range(3):
        call("GET", "/e", EVENT, headers={"user-agent": BOTS[0]})
        now[0] += 61
    assert backend.hgetall("alephbet:ignored") == {"bot": "2"}
