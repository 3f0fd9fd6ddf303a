"""Faults between a client and its server: a line that is cut, a listener that never answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis

from tests.support.servers import port_of


class Proxy:
    """A TCP proxy on loopback whose line can be cut.

    `budget` is how many bytes it still takes from clients: at 0 it closes every connection, and
    each new one at once. None lets everything through. New connections lead to the port `target`.
    """

    def __init__(self, port: int) -> None:
        self.budget: int | None = None
        self.taken = 0
        self.target = port
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)

    def _start(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.budget == 0:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except ConnectionRefusedError:  # it is down, and may come back
                    client.close()
                    continue
                self._sockets += [client, server]
                self._start(self._carry, client, server, True)
                self._start(self._carry, server, client, False)

    def _carry(self, source: socket.socket, target: socket.socket, metered: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if metered:
                    data = self._meter(data)
                target.sendall(data)
                if metered and self.budget == 0:
                    break
        if metered:
            # The server has read all that came before the end, then closes the line itself.
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)
        else:
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)

    def _meter(self, data: bytes) -> bytes:
        self.taken += len(data)
        if self.budget is not None:
            data = data[: self.budget]
            self.budget -= len(data)
        return data

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._sockets:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for line in self._sockets:
            line.close()


@contextmanager
def proxy_of(client: redis.Redis) -> Iterator[Proxy]:
    proxy = Proxy(port_of(client))
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def black_hole(*, accepts: bool = True) -> Iterator[int]:
    """The port of a listener that never answers; with `accepts` false, not even to a SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=5 if accepts else 0) as listener:
        port = int(listener.getsockname()[1])
        fillers = [] if accepts else [_start_connecting(port) for _ in range(4)]
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


def _start_connecting(port: int) -> socket.socket:
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(("127.0.0.1", port))
    return filler
