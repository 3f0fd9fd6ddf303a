"""The recorded keys of backends on this machine: who gets one, and who does not."""

import stat
from pathlib import Path

import pytest

from gimel.config.local_backends import key_of, recorded

URL = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("url", "is_found"),
    [
        (URL, True),
        (f"{URL}/", True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("http://127.0.0.1:8001", False),
        ("http://127.0.0.1", False),
        ("https://127.0.0.1:8000", False),
        ("http://10.0.0.1:8000", False),
        ("http://127.0.0.1.evil.example:8000", False),
        ("http://127.0.0.1:8000@evil.example", False),
        ("http://127.0.0.1:../../key", False),
        ("", False),
    ],
)
def test_the_key_is_for_the_recorded_port_of_this_machine(url: str, is_found: bool) -> None:
    with recorded(URL, "secret") as is_alone:
        assert is_alone
        assert key_of(url) == ("secret" if is_found else "")
    assert key_of(url) == ""


def test_an_address_in_the_network_gets_the_key_where_it_was_recorded() -> None:
    with recorded("http://10.0.0.1:8000", "secret"):
        assert key_of("http://10.0.0.1:8000") == "secret"
        assert key_of("http://10.0.0.2:8000") == ""


def test_only_its_user_can_read_it(home: Path) -> None:
    folder = home / ".gimel" / "servers"
    with recorded(URL, "secret"):
        assert stat.S_IMODE((folder / "8000.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_port_has_one_backend() -> None:
    with recorded(URL, "first") as is_alone, recorded(URL, "second") as is_alone_too:
        assert (is_alone, is_alone_too) == (True, False)
        assert key_of(URL) == "first"
    with recorded("http://127.0.0.1:8001", "third") as is_alone:
        assert is_alone


def test_what_a_killed_process_left_is_replaced(home: Path) -> None:
    with recorded(URL, "old"):
        left = (home / ".gimel" / "servers" / "8000.json").read_text()
    (home / ".gimel" / "servers" / "8000.json").write_text(left)
    with recorded(URL, "new"):
        assert key_of(URL) == "new"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": 1}', "\0"])
def test_a_damaged_record_is_none(home: Path, text: str) -> None:
    (home / ".gimel" / "servers").mkdir(parents=True)
    (home / ".gimel" / "servers" / "8000.json").write_text(text)
    assert key_of(URL) == ""


def test_without_a_home_it_serves_without_a_record(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("HOME", str(home / "file"))
    with recorded(URL, "secret") as is_alone:
        assert is_alone
        assert key_of(URL) == ""
