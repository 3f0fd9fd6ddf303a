"""ElastiCache Serverless with a public endpoint, as AWS documents it, in front of a real Valkey.

A connection speaks TLS 1.3 and logs in first, with a token that botocore's own signer checks. What
the service refuses is refused; everything else is the Valkey's answer. The sources are in
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/: auth-iam, connecting-public-endpoint and
SupportedCommands.
"""

import calendar
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

import trustme
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from redis.crc import key_slot

from tests.support.tls import close_tls_connections

REGION = "eu-west-1"
USER = "default.iam-user"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "ASIATESTING",
    "AWS_SECRET_ACCESS_KEY": "a secret/+=",
    "AWS_SESSION_TOKEN": "a session/+=",
    "AWS_REGION": REGION,
}
REFUSED = {
    *("CONFIG", "MEMORY", "OBJECT", "WAIT", "KEYS", "SLOWLOG", "SELECT", "MULTI"),
    *("CLIENT ID", "CLIENT INFO", "CLIENT LIST", "CLIENT KILL"),
}
# Commands all arguments of which are keys
_OF_KEYS = {"DEL", "EXISTS", "MGET", "PFCOUNT", "PFMERGE", "SUNION", "UNLINK"}
_MOST_ARGUMENTS = 3999
_WRONG = "WRONGPASS invalid username-password pair or user is disabled."


class ServerlessCache:
    """The cache `name`. Its attributes inject what may happen to it.

    `lifetime` and `idle`: seconds after which it closes a connection, by age and since its last
    command. `refusal`: what it answers to every login, if anything. `ahead`: seconds by which its
    clock is ahead of this machine's. `accounts`: the credentials that may log in.
    """

    def __init__(self, valkey_port: int, name: str = "Gimel-Test") -> None:
        self.name = name
        self.lifetime = self.idle = inf
        self.refusal: str | None = None
        self.ahead = 0.0
        self.accounts: list[dict[str, str]] = [CREDENTIALS]
        self.logins = 0
        self.commands: list[str] = []
        self.tokens: list[str] = []
        self._valkey_port = valkey_port
        self._lines: dict[_Line, threading.Thread] = {}
        self._is_open = True
        authority = trustme.CA()
        self.ca = authority.cert_pem.bytes().decode()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        authority.issue_cert("127.0.0.1").configure_cert(self._tls)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._workers = [threading.Thread(target=each) for each in (self._accept, self._reap)]
        for worker in self._workers:
            worker.start()

    @property
    def environ(self) -> dict[str, str]:
        """A function's environment, its credentials included."""
        return {
            "GIMEL_REDIS_URL": f"rediss://127.0.0.1:{self.port}/0",
            "GIMEL_REDIS_IAM": self.name,
            "GIMEL_REDIS_CA": self.ca,
            **CREDENTIALS,
        }

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                line = _Line(self, client, self._tls, self._valkey_port)
                thread = threading.Thread(target=line.serve)
                thread.start()
                self._lines[line] = thread

    def _reap(self) -> None:
        while self._is_open:
            now = time.monotonic()
            for line, thread in list(self._lines.items()):
                if now - line.since > self.lifetime or now - line.used > self.idle:
                    line.cut()
                if not thread.is_alive():
                    thread.join()
                    del self._lines[line]
            time.sleep(0.01)

    def cut(self) -> None:
        """Close all connections."""
        for line in list(self._lines):
            line.cut()

    def close(self) -> None:
        self._is_open = False
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for worker in self._workers:
            worker.join()
        for line, thread in self._lines.items():
            line.cut()
            thread.join()

    def log_in(self, *login: str) -> str | None:
        """Return what is wrong with a login: AUTH's arguments."""
        self.logins += 1
        self.tokens.append(login[-1])
        if self.refusal:
            return self.refusal
        return None if login[0] == USER and self._is_valid(login[-1]) else _WRONG

    def _is_valid(self, token: str) -> bool:
        return any(self._is_signed_by(account, token) for account in self.accounts)

    def _is_signed_by(self, account: dict[str, str], token: str) -> bool:
        host, _, query = token.partition("/?")
        given = dict(parse_qsl(query))
        signature = given.pop("X-Amz-Signature", "")
        made, seconds = given["X-Amz-Date"], int(given["X-Amz-Expires"])
        key, session = account["AWS_ACCESS_KEY_ID"], account.get("AWS_SESSION_TOKEN")
        wanted = {
            "Action": "connect",
            "X-Amz-Credential": f"{key}/{made[:8]}/{REGION}/elasticache/aws4_request",
            "User": USER,
            "ResourceType": "ServerlessCache",
            **({"X-Amz-Security-Token": session} if session else {}),
        }
        if host != self.name.lower() or wanted.items() - given.items():
            return False
        age = time.time() + self.ahead - calendar.timegm(time.strptime(made, "%Y%m%dT%H%M%SZ"))
        if seconds > 900 or not -5 <= age <= seconds:
            return False
        return signature == signature_of(account, f"https://{host}/", given, made)


def signature_of(account: dict[str, str], url: str, query: dict[str, str], made: str) -> str:
    """Return botocore's signature of a GET for an ElastiCache."""
    request = AWSRequest("GET", url, params=query)
    request.context["timestamp"] = made
    keys = (account["AWS_ACCESS_KEY_ID"], account["AWS_SECRET_ACCESS_KEY"])
    signer: Any = SigV4QueryAuth(Credentials(*keys), "elasticache", REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return str(signer.signature(text, request))


class _Line:
    """A client's connection, and one to the Valkey for it."""

    def __init__(
        self, cache: ServerlessCache, client: socket.socket, tls: ssl.SSLContext, port: int
    ) -> None:
        self.since = self.used = time.monotonic()
        self._cache = cache
        self._client = client
        self._tls = tls
        self._port = port

    def cut(self) -> None:
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        with (
            suppress(OSError, EOFError),
            self._tls.wrap_socket(self._client, server_side=True) as client,
            client.makefile("rb") as commands,
            socket.create_connection(("127.0.0.1", self._port)) as valkey,
            valkey.makefile("rb") as replies,
        ):
            # The wrapped socket has taken the descriptor over.
            self._client = client
            if not self._log_in(client, commands):
                return
            while True:
                command = _command(commands)
                self.used = time.monotonic()
                if error := self._refusal(command):
                    client.sendall(f"-{error}\r\n".encode())
                    continue
                valkey.sendall(_packed(command))
                client.sendall(_reply(replies))

    def _log_in(self, client: ssl.SSLSocket, commands: BinaryIO) -> bool:
        name, *arguments = _command(commands)
        error: str | None = "NOAUTH Authentication required."
        if name.upper() == b"AUTH":
            error = self._cache.log_in(*(each.decode() for each in arguments))
        client.sendall(f"-{error}\r\n".encode() if error else b"+OK\r\n")
        return error is None

    def _refusal(self, command: list[bytes]) -> str | None:
        name, *arguments = command
        words = name.decode().upper()
        if words == "CLIENT":
            words += f" {arguments[0].decode().upper()}"
        self._cache.commands.append(words)
        if words in REFUSED:
            return f"ERR unknown command '{words}'"
        if len(arguments) > _MOST_ARGUMENTS:
            return "ERR too many arguments"
        if words in _OF_KEYS and len({key_slot(key) for key in arguments}) > 1:
            return "CROSSSLOT Keys in request don't hash to the same slot"
        return None


def _command(source: BinaryIO) -> list[bytes]:
    count = int(_line(source)[1:])
    return [source.read(int(_line(source)[1:]) + 2)[:-2] for _ in range(count)]


def _packed(command: list[bytes]) -> bytes:
    parts = [b"$%d\r\n%b\r\n" % (len(each), each) for each in command]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


def _reply(source: BinaryIO) -> bytes:
    """Return one whole reply as it is."""
    line = _line(source)
    kind, rest = line[:1], line[1:]
    if kind == b"$" and int(rest) >= 0:
        return line + source.read(int(rest) + 2)
    if kind == b"*" and int(rest) > 0:
        return line + b"".join(_reply(source) for _ in range(int(rest)))
    return line


def _line(source: BinaryIO) -> bytes:
    line = source.readline()
    if not line:
        raise EOFError
    return line


@contextmanager
def serverless_cache(
    valkey_port: int, kind: type[ServerlessCache] = ServerlessCache
) -> Iterator[ServerlessCache]:
    cache = kind(valkey_port)
    try:
        yield cache
    finally:
        cache.close()
        close_tls_connections()
