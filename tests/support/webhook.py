"""A webhook: an HTTPS server on this machine that keeps what it gets, and fails as told."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from gimel.backend import tls


class Webhook:
    """A server. `status` is its answer; 0: none at all; -1: one byte at a time."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_address[1]
        self.url = f"https://localhost:{self.port}/hook?key=hunter2"
        self.status = 200
        self.got: list[tuple[str, dict[str, Any]]] = []
        # What was answered with 200
        self.taken: list[dict[str, Any]] = []
        self.released = threading.Event()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, body in self.got]


class _Handler(BaseHTTPRequestHandler):
    webhook: Webhook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.webhook.status <= 0:
            return self.hesitate()
        self.webhook.got.append((self.path, body))
        if self.webhook.status == 200:
            self.webhook.taken.append(body)
        self.send_response(self.webhook.status)
        self.send_header("location", f"https://localhost:{self.webhook.port}/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def hesitate(self) -> None:
        """Give no answer, or one byte at a time."""
        for byte in b"HTTP/1.1 200 OK" if self.webhook.status < 0 else b"":
            self.wfile.write(bytes([byte]))
            if self.webhook.released.wait(0.2):
                return
        self.webhook.released.wait(60)

    def do_GET(self) -> None:
        raise AssertionError("a redirect was followed")

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def webhook(folder: Path, patch: pytest.MonkeyPatch, name: str = "localhost") -> Iterator[Webhook]:
    """Serve with a certificate for `name`, whose authority this process trusts during the block."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made = Webhook(server)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"webhook": made})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    patch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    tls.tls_context.cache_clear()
    try:
        yield made
    finally:
        made.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
        patch.delenv("SSL_CERT_FILE")
        tls.tls_context.cache_clear()
