"""TLS to a real server: verified, by a private authority too, for the name asked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.sender import Sender
from tests.support.tls import tls_redis

pytestmark = pytest.mark.slow


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    """A server whose certificate is for its address, with a user `app`; ca.pem vouches for it."""
    user = ("--user", "app", "on", ">pw", "~*", "+@all")
    with tls_redis(tmp_path, "127.0.0.1", *user) as port:
        yield port


def authority(folder: Path, name: str | None) -> str | None:
    """The certificate of the server's authority, of another one, or none."""
    if name == "another":
        return trustme.CA().cert_pem.bytes().decode()
    return (folder / "ca.pem").read_text() if name else None


def test_tls_with_a_private_authority_and_a_user(tmp_path: Path, tls_port: int) -> None:
    sender = Sender(f"rediss://app:pw@127.0.0.1:{tls_port}", ca=authority(tmp_path, "its own"))
    assert sender.send(3)
    assert sender.all_counted()


@pytest.mark.parametrize("name", [None, "another"])
def test_tls_is_verified(tmp_path: Path, tls_port: int, name: str | None) -> None:
    sender = Sender(f"rediss://app:pw@127.0.0.1:{tls_port}", ca=authority(tmp_path, name))
    assert not sender.send()


def test_tls_is_for_the_name(tmp_path: Path, tls_port: int) -> None:
    sender = Sender(f"rediss://app:pw@localhost:{tls_port}", ca=authority(tmp_path, "its own"))
    assert not sender.send()
