"""TLS contexts, which a process keeps: to load the system's certificates takes long.

OpenSSL 3 decodes about 150 of them: https://github.com/python/cpython/issues/95031
"""

import functools
import ssl


# No defaults: the cache would keep a call without arguments apart from one with their values.
@functools.cache
def tls_context(ca: str | None, minimum: ssl.TLSVersion | None) -> ssl.SSLContext:
    """Return the context that verifies servers by the system's certificates and those of `ca`."""
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(cadata=ca)
    if minimum:
        context.minimum_version = minimum
    return context
