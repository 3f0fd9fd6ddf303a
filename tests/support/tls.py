"""A redis-server that speaks TLS, with certificates made for it. Valkey's wheel has no TLS."""

import gc
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import trustme

from tests.support.servers import free_port


def close_tls_connections() -> None:
    """Close what redis-py has open with TLS in this process.

    The garbage collector may find a socket before its connection. It then warns of an open socket,
    in some later test.
    """
    for each in gc.get_objects():
        if issubclass(type(each), redis.SSLConnection):
            each.disconnect()


@contextmanager
def tls_redis(folder: Path, name: str = "localhost", *options: str) -> Iterator[int]:
    """The port of a server whose certificate is for `name`; folder/ca.pem vouches for it."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    chain = authority.issue_cert(name).private_key_and_cert_chain_pem
    chain.write_to_path(folder / "server.pem")
    port = free_port()
    command = [binary, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--tls-cert-file", "server.pem", "--tls-key-file", "server.pem"]
    command += ["--tls-ca-cert-file", "ca.pem", "--tls-auth-clients", "no"]
    server = subprocess.Popen([*command, *options], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        assert any("Ready to accept" in line for line in server.stdout)
        yield port
    finally:
        server.kill()
        server.communicate()
        close_tls_connections()
