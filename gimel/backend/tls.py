"""TLS contexts, which a process keeps: to load the system's certificates takes long.

OpenSSL 3 decodes about 150 of them: https://github.com/python/cpython/issues/95031
"""

import functools
import ssl


@functools.cache
def tls_context(ca: str | None = None, minimum: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return the context that verifies servers by the system's certificates and those of `ca`."""
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(cadata=ca)
    if minimum:
        context.minimum_version = minimum
    return context
