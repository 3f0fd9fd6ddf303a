"""Calls to AWS's services with the standard library alone: SQS, Secrets Manager, SSM and SNS."""

import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from gimel.backend.signing import signed_headers
from gimel.backend.tls import tls_context

if TYPE_CHECKING:
    from http.client import HTTPConnection

# Each service's name for itself, and its version of JSON, from botocore's models
_PROTOCOLS = {
    "sqs": ("AmazonSQS", "1.0"),
    "secretsmanager": ("secretsmanager", "1.1"),
    "ssm": ("AmazonSSM", "1.1"),
}


class Service:
    """The service and region that an ARN names. The credentials come from the environment."""

    def __init__(self, arn: str, environ: Mapping[str, str]) -> None:
        _, partition, self.name, self._region, *_ = arn.split(":")
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        default = f"https://{self.name}.{self._region}.{suffix}"
        self.endpoint = environ.get("AWS_ENDPOINT_URL") or default
        self._environ = environ

    def connection(self) -> "HTTPConnection":
        """Return a connection that the first call opens."""
        # Imported here: most events need no service of AWS.
        from http.client import HTTPConnection

        return HTTPConnection(urlsplit(self.endpoint).netloc)

    def call(
        self,
        connection: "HTTPConnection",
        action: str,
        arguments: Mapping[str, Any],
        seconds: Callable[[], float],
    ) -> tuple[int, bytes]:
        """Call an action. Return the status and the body of the answer.

        `seconds` returns the time for the next step on the socket. Raises OSError, HTTPException
        and what `seconds` raises; the connection is closed then.
        """
        headers, body = self._encode(action, arguments)
        signed = signed_headers(
            self.name, self._region, headers, body, self.endpoint, self._environ
        )
        try:
            if connection.sock is None:
                connection.sock = open_socket(self.endpoint, seconds)
            connection.sock.settimeout(seconds())
            connection.request("POST", "/", body, signed)
            connection.sock.settimeout(seconds())
            answer = connection.getresponse()
            return answer.status, answer.read()
        except BaseException:
            connection.close()
            raise

    def _encode(self, action: str, arguments: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of a call."""
        if self.name == "sns":
            # It takes no JSON.
            form = {"Action": action, "Version": "2010-03-31", **arguments}
            return {"content-type": "application/x-www-form-urlencoded"}, urlencode(form).encode()
        prefix, version = _PROTOCOLS[self.name]
        headers = {
            "content-type": f"application/x-amz-json-{version}",
            "x-amz-target": f"{prefix}.{action}",
        }
        return headers, json.dumps(arguments).encode()


def seconds_until(deadline: float) -> float:
    """Return the time left until a `time.monotonic` deadline. Raises TimeoutError if it passed."""
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError("no time is left")
    return left


def open_socket(url: str, seconds: Callable[[], float]) -> socket.socket:
    """Connect to the host of a URL, with TLS if its scheme is https. Raises OSError.

    `seconds` returns the time for the next step. http.client would give each address of the host
    the same time anew.
    """
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    host, port = str(parts.hostname), parts.port or (443 if is_tls else 80)
    failure = OSError("the host has no address")
    for *kind, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(*kind)
        try:
            sock.settimeout(seconds())
            sock.connect(address)
            if not is_tls:
                return sock
            return tls_context(None, None).wrap_socket(sock, server_hostname=host)
        except OSError as error:
            sock.close()
            failure = error
    raise failure
