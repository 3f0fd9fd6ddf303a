"""A webhook over HTTPS, and how it fails; the forms of a message."""

import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from gimel.backend.news.delivery import Send, delivery
from gimel.backend.news.messages import Message
from tests.support.servers import free_port
from tests.support.webhook import Webhook, webhook

MESSAGE = Message(
    "id", "verdict", "alephbet", "a<b>&c", "Experiment a<!channel>&c: <https://x|y> wins.", "Ship."
)


@pytest.fixture(name="hook")
def hook_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook(tmp_path, monkeypatch) as made:
        yield made


def sending(hook: Webhook, form: str = "generic") -> Send:
    send = delivery({"GIMEL_NOTIFY": hook.url, "GIMEL_NOTIFY_FORM": form})
    assert send
    return send


def test_the_general_form_has_every_field(hook: Webhook) -> None:
    assert sending(hook)(MESSAGE, 20) == 200
    ((path, body),) = hook.got
    assert path == "/hook?key=hunter2"
    assert body == {
        "id": "id",
        "kind": "verdict",
        "namespace": "alephbet",
        "experiment": "a<b>&c",
        "message": MESSAGE.message,
        "next_step": "Ship.",
    }


def test_slacks_form_has_names_that_mean_nothing_to_slack(hook: Webhook) -> None:
    assert sending(hook, "slack")(MESSAGE, 20) == 200
    (body,) = hook.bodies
    assert body == {
        "text": "Experiment a&lt;!channel&gt;&amp;c: &lt;https://x|y&gt; wins. Ship.",
        **{"mrkdwn": False, "unfurl_links": False, "unfurl_media": False},
    }


def test_a_redirect_is_not_followed(hook: Webhook) -> None:
    for status in (301, 302, 307, 308):
        hook.status = status
        assert sending(hook)(MESSAGE, 20) == status
    assert {path for path, _ in hook.got} == {"/hook?key=hunter2"}


@pytest.mark.parametrize("status", [0, -1], ids=["no answer", "an answer byte by byte"])
def test_a_slow_webhook_takes_no_more_than_its_time(hook: Webhook, status: int) -> None:
    hook.status = status
    started = time.monotonic()
    with pytest.raises((OSError, HTTPException)):
        sending(hook)(MESSAGE, 0.8)
    assert time.monotonic() - started < 2.5


def test_a_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        webhook(tmp_path, monkeypatch, "another.example") as hook,
        pytest.raises(OSError, match="certificate is not valid for 'localhost'"),
    ):
        sending(hook)(MESSAGE, 20)
    assert hook.got == []


def test_a_webhook_that_is_away_is_an_error() -> None:
    send = delivery({"GIMEL_NOTIFY": f"https://localhost:{free_port()}"})
    assert send
    with pytest.raises(ConnectionRefusedError):
        send(MESSAGE, 20)


def test_no_other_way_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert delivery({}) is delivery({"GIMEL_NOTIFY": ""}) is None
    assert capsys.readouterr().out == ""
    for wrong in ("http://localhost/hunter2", "file:///etc/passwd"):
        assert delivery({"GIMEL_NOTIFY": wrong}) is None
        said = capsys.readouterr().out
        assert "GIMEL_NOTIFY must" in said
        assert "hunter2" not in said
