"""AWS's signature, version 4, with the standard library alone.

Importing boto3 takes 0.3 s on a fast machine and several times that in a function of 256 MB, which
is longer than an event may take.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

The credentials come from a mapping of environment variables, as Lambda sets them.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


def signed_headers(
    service: str,
    region: str,
    headers: Mapping[str, str],
    body: bytes,
    endpoint: str,
    environ: Mapping[str, str],
) -> dict[str, str]:
    """Return the headers of a POST to the root of a service's endpoint, with their signature.

    `headers` are those that the service needs, in lower case: `content-type`, `x-amz-target`.
    """
    now = _now()
    signed = {**headers, "host": urlsplit(endpoint).netloc, "x-amz-date": now}
    if token := environ.get("AWS_SESSION_TOKEN"):
        signed["x-amz-security-token"] = token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = _scope(now, region, service)
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={_key(environ)}/{scope}, SignedHeaders={names}, "
        f"Signature={_signature(now, scope, request, environ)}"
    )
    return signed


def presigned_query(
    service: str,
    region: str,
    host: str,
    query: Mapping[str, str],
    seconds: int,
    environ: Mapping[str, str],
) -> str:
    """Return the query of a GET to the root of a host, signed and valid for some seconds."""
    now = _now()
    scope = _scope(now, region, service)
    signed = {
        **query,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{_key(environ)}/{scope}",
        "X-Amz-Date": now,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    if token := environ.get("AWS_SESSION_TOKEN"):
        signed["X-Amz-Security-Token"] = token
    text = urlencode(sorted(signed.items()), quote_via=quote, safe="")
    request = f"GET\n/\n{text}\nhost:{host}\n\nhost\n{hashlib.sha256().hexdigest()}"
    return f"{text}&X-Amz-Signature={_signature(now, scope, request, environ)}"


def _now() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def _scope(now: str, region: str, service: str) -> str:
    return f"{now[:8]}/{region}/{service}/aws4_request"


def _key(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_ACCESS_KEY_ID", "")


def _signature(now: str, scope: str, request: str, environ: Mapping[str, str]) -> str:
    digest = hashlib.sha256(request.encode()).hexdigest()
    secret = b"AWS4" + environ.get("AWS_SECRET_ACCESS_KEY", "").encode()
    for step in (*scope.split("/"), f"{_ALGORITHM}\n{now}\n{scope}\n{digest}"):
        secret = hmac.digest(secret, step.encode(), "sha256")
    return secret.hex()
