"""A cold start by the way that the function logs in to Redis: `python -m bench --logins`.

The server is a Valkey behind the tests' stand-in for ElastiCache Serverless, which speaks TLS and,
for IAM, checks the token. The secret comes from an HTTPS server on loopback that answers at once.
"""

import json
import os
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import trustme

from bench import cold, harness
from bench.harness import Row
from gimel.backend import tls
from gimel.backend.redis.login import SecretLogin
from gimel.stack import bundle
from tests.support.serverless_cache import CREDENTIALS, ServerlessCache, serverless_cache

ROUNDS = 25
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redis-a1B2c3"


class _AnyLogin(ServerlessCache):
    def log_in(self, *login: str) -> str | None:
        return None


class _Secrets(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"SecretString": "password"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _secrets_manager(authority: trustme.CA) -> Iterator[str]:
    """The endpoint of a Secrets Manager that has one secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Secrets) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _trusting(folder: Path, *authorities: str) -> dict[str, str]:
    """What makes OpenSSL trust these authorities as it does the system's."""
    path = folder / "ca.pem"
    system = Path(ssl.get_default_verify_paths().cafile or "").read_text()
    path.write_text("\n".join([system, *authorities]))
    return {"SSL_CERT_FILE": str(path)}


def measure(port: int) -> list[harness.Section]:
    authority = trustme.CA()
    with (
        tempfile.TemporaryDirectory() as folder,
        serverless_cache(port) as cache,
        serverless_cache(port, _AnyLogin) as open_to_all,
        _secrets_manager(authority) as endpoint,
    ):
        own = authority.cert_pem.bytes().decode()
        trusting = _trusting(Path(folder), own, cache.ca, open_to_all.ca)
        url = {"GIMEL_REDIS_URL": f"rediss://127.0.0.1:{open_to_all.port}/0"}
        secret = {"GIMEL_REDIS_SECRET": SECRET, "AWS_ENDPOINT_URL": endpoint, **CREDENTIALS}
        iam = {name: value for name, value in cache.environ.items() if name != "GIMEL_REDIS_CA"}
        password = f"rediss://:password@127.0.0.1:{open_to_all.port}/0"
        environments = {
            "no TLS": {},
            "password": {**trusting, "GIMEL_REDIS_URL": password},
            "secret": trusting | url | secret,
            "iam": trusting | iam,
        }
        starts = {name: _Start(name, each, port) for name, each in environments.items()}
        harness.in_turn({name: start.milliseconds for name, start in starts.items()}, 2)
        for start in starts.values():
            start.cpu.clear()
        walls = harness.in_turn(
            {name: start.milliseconds for name, start in starts.items()}, ROUNDS
        )
        again = _read_again(secret | trusting)
    cpus = {name: start.cpu for name, start in starts.items()}
    return [("logins", harness.HEAD, [row.cells() for row in _rows(walls, cpus, again)])]


class _Start:
    """A function that starts many times in one environment. `cpu`: the ms of each start."""

    def __init__(self, name: str, environment: dict[str, str], port: int) -> None:
        self._function = cold.ours(name.replace(" ", "-"), bundle.build().content, port)
        self._function.environment.update(environment)
        self.cpu: list[float] = []

    def milliseconds(self) -> float:
        """Spawn to first answer."""
        began = time.perf_counter()
        with self._function.running() as started:
            started.ask(self._function.event)
            wall = (time.perf_counter() - began) * 1000
            self.cpu.append(started.cpu())
        return wall


def _read_again(environ: dict[str, str]) -> list[float]:
    """Milliseconds of reading the secret in a process that runs already."""
    login = SecretLogin(SECRET, "", environ)
    with mock.patch.dict(os.environ, environ):
        tls.tls_context.cache_clear()
        login.renew()
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            login.renew()
            times.append((time.perf_counter() - began) * 1000)
    return times


def _rows(walls: harness.Rounds, cpus: harness.Rounds, again: list[float]) -> list[Row]:
    rows = []
    ways = {
        "no TLS": "no TLS, no password",
        "password": "TLS, the password in the environment",
        "secret": "TLS, the password in a secret",
        "iam": "TLS, an IAM token",
    }
    for what, found in (("cold start", walls), ("its CPU", cpus)):
        for name, way in ways.items():
            label = f"{what}: {way}"
            rows.append(harness.ratio_row(label, found[name], found["password"], "ms", "TLS"))
    return [*rows, Row("the secret, read again", f"{statistics.median(again):.1f} ms")]
